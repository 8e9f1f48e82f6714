# SPDX-License-Identifier: Apache-2.0
"""Flows of images as normflows' multiscale flows with Millrace's parameters.

normflows' layers run from latent to data, so its inverses are the maps here: (z - t) exp(-s) where Millrace has
x exp(s) + t. What has no counterpart:
  a checkerboard in its GlowBlock, which packs the pixels it keeps into an image of half the width: MaskedAffineFlow
    has Millrace's
  its scale map "sigmoid", which never expands: "exp" is taken, of soft-clipped numbers
  its prior of what left, which depends on nothing: a coupling of one convolution stands before its split
  the bias of Millrace's linear layer: the ActNorm before adds it
  odd sides, residual networks of convolutions, and a condition of numbers
"""

from collections import deque

import normflows
import numpy as np
import torch
from normflows import flows, nets
from normflows.flows.affine.coupling import AffineCouplingBlock
from torch import nn

from flow_layers import LOG_DIAGONAL_BOUND
from flow_model import Flow
from peer_layers import soft_clip, tensor


class Conditioner(nn.Module):
    """normflows' network with a layer's weights; shifts and scales are those of its couplings."""

    def __init__(self, net, move, p):
        super().__init__()
        self.net, self.additive = net, move.b["kind"] == "additive"
        convolutions = [part for part in net.net if isinstance(part, nn.Conv2d)]
        for part, name in zip(convolutions, move.network.names, strict=True):
            outputs, inputs, *taps = part.weight.shape
            part.weight.data = tensor(p[name + ".weight"]).reshape(outputs, *taps, inputs).permute(0, 3, 1, 2)
            part.bias.data = tensor(p[name + ".bias"][0])

    def forward(self, image):
        theta = self.net(image)
        if self.additive:
            return -theta
        t, s = theta[:, 0::2], soft_clip(theta[:, 1::2])
        return torch.stack([-t * (-s).exp(), -s], 2).flatten(1, 2)


class Part(nn.Module):
    """Every other channel of what a module gives, from `first` on."""

    def __init__(self, module, first):
        super().__init__()
        self.module, self.first = module, first

    def forward(self, image):
        return self.module(image)[:, self.first :: 2]


def network(move, p):
    sizes = [len(move.inputs), *move.network.sizes, len(move.outputs) * move.count]
    return Conditioner(nets.ConvNet2d(sizes, [3, *[1] * (len(sizes) - 3), 3][: len(sizes) - 1], leaky=0.0), move, p)


def masked_coupling(layer, p):
    both = network(layer.move, p)
    return flows.MaskedAffineFlow(tensor(~layer.move.moved), t=Part(both, 0), s=Part(both, 1))


def channel_coupling(layer, p, flip=False):
    mode = "channel_inv" if flip else "channel"
    return AffineCouplingBlock(network(layer.move, p), layer.move.b["kind"] == "affine", "exp", mode)


def set_act_norm(norm, layer, p, more=0):
    t, a = tensor(p["theta"]).reshape(-1, 2).T
    norm.s.data = -soft_clip(a).reshape(norm.s.shape)
    norm.t.data = -(t + more).reshape(norm.t.shape) * norm.s.exp()
    norm.data_dep_init_done = torch.tensor(1.0)
    return norm


def act_norm(layer, p):
    return set_act_norm(flows.ActNorm((layer.size[0], 1, 1)), layer, p)


def glow_block(norm, norm_p, linear, linear_p, coupling, coupling_p):
    channels, (hidden, _) = norm.size[0], coupling.move.network.sizes
    affine = coupling.move.b["kind"] == "affine"
    block = flows.GlowBlock(channels, hidden, scale=affine, scale_map="exp", leaky=0.0, use_lu=True)
    couple, plu, own_norm = block.flows
    couple.flows[1].param_map = Conditioner(couple.flows[1].param_map, coupling.move, coupling_p)
    plu.P[:] = torch.eye(channels)[linear.layer.order]
    plu.sign_S[:] = 1
    plu.log_S.data = soft_clip(tensor(linear_p["log_diagonal"][0]), LOG_DIAGONAL_BOUND)
    plu.L.data, plu.U.data = tensor(linear_p["lower"]), tensor(linear_p["upper"])
    lu = plu.P.T @ plu._assemble_W()
    set_act_norm(own_norm, norm, norm_p, torch.linalg.solve(lu, tensor(linear_p["bias"][0])))
    return block


def levels_of(spec, p):
    """From data to latent: the layers of each level, and the shape of what leaves at its end."""
    queue = deque((layer, {name: p[prefix + name] for name in layer.shapes}) for prefix, layer in Flow(spec).layers)
    levels = [[]]
    while queue:
        layer, own = queue.popleft()
        if layer.kind == "act_norm" and queue and queue[0][0].kind == "plu":
            levels[-1].append(glow_block(layer, own, *queue.popleft(), *queue.popleft()))
        elif layer.kind == "act_norm":
            levels[-1].append(act_norm(layer, own))
        elif layer.kind == "edge":
            levels[-1].append(flows.Squeeze())
        elif layer.kind == "factor_out":
            levels[-1] = [*levels[-1], channel_coupling(layer, own)], (layer.size[0] - layer.kept, *layer.size[1:])
            levels.append([])
        elif layer.layer["mask"] == "checkerboard":
            levels[-1].append(masked_coupling(layer, own))
        else:
            levels[-1].append(channel_coupling(layer, own, layer.layer["flip"]))
    return [*levels[:-1], (levels[-1], layer.left)]


class Peer:
    def __init__(self, spec, p):
        self.shape = [spec["image"][side] for side in ("height", "width", "channels")]
        levels = levels_of(spec, p)[::-1]
        self.flow = normflows.MultiscaleFlow(
            [normflows.distributions.DiagGaussian(shape, trainable=False) for _, shape in levels],
            [layers[::-1] for layers, _ in levels], [flows.Merge() for _ in levels[1:]], class_cond=False)

    def images(self, x):
        return tensor(x).reshape(-1, *self.shape).permute(0, 3, 1, 2)

    def log_prob(self, x):
        return self.flow.log_prob(self.images(x), None).detach().numpy()

    def forward(self, x):
        """z and log_det of rows."""
        parts, log_det = self.flow.inverse_and_log_det(self.images(x))
        return np.concatenate([part.flatten(1).detach().numpy() for part in parts], 1), log_det.detach().numpy()
