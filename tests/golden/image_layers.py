# SPDX-License-Identifier: Apache-2.0
"""The layers of flows of images in plain NumPy, from data to latent.

Rows come pixel by pixel (HWC). Between layers they hold what has not left yet, channel by channel, and behind it what
left, last first. Convolutions are computed pixel by pixel.
"""

import math

import numpy as np

import flow_layers
import scalar_maps
from flow_layers import Layer, Network

AFFINE = {"kind": "affine"}


def convolve(image, weight, bias):
    """Of an image [rows, channels, height, width] with zeros around it; weight [outputs, taps * channels], the taps
    those around a pixel row by row."""
    rows, channels, height, width = image.shape
    size = math.isqrt(weight.shape[1] // channels)
    padded = np.pad(image, ((0, 0), (0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    result = np.empty((rows, len(weight), height, width))
    for y in range(height):
        for x in range(width):
            around = padded[:, :, y : y + size, x : x + size].transpose(0, 2, 3, 1)
            result[:, :, y, x] = around.reshape(rows, -1) @ weight.T + bias
    return result


class ConvolutionNetwork(Network):
    """Plain: 3x3, then 1x1, and 3x3 at the end; residual: 3x3, and 1x1 at the end, their weights normalised or not."""

    def __init__(self, shape, inputs, outputs):
        super().__init__(shape, inputs, outputs, 0)
        plain, self.shapes = self.shapes, {}
        for l, name in enumerate(self.names):
            size, before = plain[name + ".weight"]
            wide = l < self.count if self.residual else l in (0, self.count)
            self.shapes[name + ".weight"] = size, 9 * before if wide else before
            if shape.get("weight_norm"):
                self.shapes[name + ".gain"] = 1, size
            self.shapes[name + ".bias"] = 1, size

    def dense(self, p, l, v):
        weight, gain = p[self.names[l] + ".weight"], p.get(self.names[l] + ".gain")
        if gain is not None:
            weight = gain.T * weight / np.linalg.norm(weight, axis=1, keepdims=True)
        return convolve(v, weight, p[self.names[l] + ".bias"])

    def __call__(self, p, image):
        return super().__call__(p, image, None) if self.count else self.dense(p, 0, image)


class ImageLayer(Layer):
    """`size` is that of the image it is given (channels, height, width), `left` that of what has not left after it."""

    def __init__(self, kind, shapes, size, left=None):
        super().__init__(kind, shapes)
        self.size, self.left = size, left or size

    def forward(self, p, x, context):
        count = math.prod(self.size)
        parts, log_det = self.apply(p, x[:, :count].reshape(-1, *self.size), context)
        return np.concatenate([*(part.reshape(len(x), -1) for part in parts), x[:, count:]], 1), log_det


class Moved:
    """What a coupling does to an image: the columns moved, an array of truth of its size, go through a bijection whose
    parameters a network computes from the others."""

    def __init__(self, moved, b, network):
        self.moved, self.b, self.count = moved, b, scalar_maps.count(b)
        self.inputs, self.outputs = ((m.reshape(len(m), -1).any(1)).nonzero()[0] for m in (~moved, moved))
        self.network = ConvolutionNetwork(network, len(self.inputs), len(self.outputs) * self.count)

    def theta(self, p, image):
        planes = self.network(p, np.where(self.moved, 0, image)[:, self.inputs])
        by_plane = planes.reshape(len(image), len(self.outputs), self.count, *image.shape[2:])
        return np.moveaxis(by_plane, 2, -1)[:, self.moved[self.outputs]]

    def __call__(self, p, image):
        z, log_det = scalar_maps.forward(self.b, image[:, self.moved], self.theta(p, image))
        result = image.copy()
        result[:, self.moved] = z
        return result, log_det


def moved_by(spec, layer, size):
    channel, y, x = np.indices(size)
    if layer["mask"] == "checkerboard":
        return ((y + x) % 2 == 1) != layer["flip"]
    if layer["mask"] == "channels":
        return (channel >= (size[0] + 1) // 2) != layer["flip"]
    moved = np.zeros(math.prod(size), bool)
    moved[flow_layers.moved_columns(spec["seed"], layer, len(moved))] = True
    return moved.reshape(size)


class Coupling(ImageLayer):
    def __init__(self, spec, layer, size):
        self.layer = layer
        self.move = Moved(moved_by(spec, layer, size), layer["bijection"], layer["network"])
        super().__init__("coupling", self.move.network.shapes, size)

    def apply(self, p, image, context):
        image, log_det = self.move(p, image)
        return [image], log_det


class Prior(ImageLayer):
    """A coupling that keeps nothing: its parameters depend on the condition alone."""

    def __init__(self, spec, layer, size):
        self.b, self.count = layer["bijection"], scalar_maps.count(layer["bijection"])
        self.network = Network(layer["network"], 0, math.prod(size) * self.count, spec["context_dim"])
        super().__init__("coupling", self.network.shapes, size)

    def apply(self, p, image, context):
        x = image.reshape(len(image), -1)
        z, log_det = scalar_maps.forward(self.b, x, self.network(p, x[:, :0], context).reshape(*x.shape, self.count))
        return [z], log_det


class FactorOut(ImageLayer):
    """The second half of the channels leaves, standardised given the first."""

    def __init__(self, layer, size):
        self.kept = (size[0] + 1) // 2
        self.move = Moved(np.indices(size)[0] >= self.kept, AFFINE, layer["network"])
        super().__init__("factor_out", self.move.network.shapes, size, (self.kept, *size[1:]))

    def apply(self, p, image, context):
        image, log_det = self.move(p, image)
        return [image[:, : self.kept], image[:, self.kept :]], log_det


class Squeeze(ImageLayer):
    """Channel 4 c + 2 dy + dx is that of pixels (2 y + dy, 2 x + dx); an odd row or column leaves before, standardised
    given the others."""

    def __init__(self, layer, size):
        channels, height, width = size
        self.even = height // 2 * 2, width // 2 * 2
        _, y, x = np.indices(size)
        self.edge = (y >= self.even[0]) | (x >= self.even[1])
        self.move = Moved(self.edge, AFFINE, layer["network"]) if self.edge.any() else None
        super().__init__("edge", self.move.network.shapes if self.move else {}, size,
                         (4 * channels, height // 2, width // 2))

    def apply(self, p, image, context):
        image, log_det = self.move(p, image) if self.move else (image, 0)
        even = image[:, :, : self.even[0], : self.even[1]]
        squeezed = np.empty((len(image), *self.left))
        for dy in range(2):
            for dx in range(2):
                squeezed[:, 2 * dy + dx :: 4] = even[:, :, dy::2, dx::2]
        return [squeezed, image[:, self.edge]], log_det


class PerPixel(ImageLayer):
    """A layer of the channels, the same for every pixel."""

    def __init__(self, layer, size):
        self.layer = layer
        super().__init__(layer.kind, layer.shapes, size)

    def support(self, name):
        return self.layer.support(name)

    def apply(self, p, image, context):
        by_pixel = np.moveaxis(image, 1, -1)
        pixels = by_pixel.reshape(-1, self.size[0])
        z, log_det = self.layer.forward(p, pixels, None)
        log_det = np.broadcast_to(log_det, len(pixels)).reshape(len(image), -1).sum(1)
        return [np.moveaxis(z.reshape(by_pixel.shape), -1, 1)], log_det


def build(spec, layer, index, size):
    if "coupling" in layer:
        return (Prior if layer["coupling"]["mask"] == "none" else Coupling)(spec, layer["coupling"], size)
    if "squeeze" in layer:
        return Squeeze(layer["squeeze"], size)
    if "factor_out" in layer:
        return FactorOut(layer["factor_out"], size)
    return PerPixel(flow_layers.build(spec | {"dim": size[0]}, {"inverse": False} | layer, index), size)


def build_chain(spec, chain):
    image, layers = spec["image"], []
    size = image["channels"], image["height"], image["width"]
    for index, layer in enumerate(chain):
        layers.append(build(spec, layer, index, size))
        size = layers[-1].left
    return layers


def from_pixels(spec, x):
    """From rows pixel by pixel to rows channel by channel."""
    image = spec["image"]
    return np.moveaxis(x.reshape(-1, image["height"] * image["width"], image["channels"]), 2, 1).reshape(x.shape)
