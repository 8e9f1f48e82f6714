# SPDX-License-Identifier: Apache-2.0
"""Autoregressive flows of zuko and nflows, their weights moved into Millrace's layout.

The peers compute with masks, orders and degrees of their own. What each hidden unit may see is read from their masks,
and it is seated among Millrace's units of that degree (the seats left over stay zero).
"""

import numpy as np
import torch
import zuko
from nflows import distributions, flows, transforms
from nflows.nn.nde import MixtureOfGaussiansMADE

import flow_layers
from flow_model import Flow
from peer_layers import slope_parameters, soft_clip, softplus_inverse


class SoftClippedAffine(transforms.MaskedAffineAutoregressiveTransform):
    """nflows' transform with the log-scale that zuko and Millrace use; its network and composition are its own."""

    def _elementwise_forward(self, inputs, autoregressive_params):
        a, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        return inputs * soft_clip(a).exp() + shift, soft_clip(a).sum(-1)

    def _elementwise_inverse(self, inputs, autoregressive_params):
        a, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        return (inputs - shift) * (-soft_clip(a)).exp(), -soft_clip(a).sum(-1)


class SoftClippedSpline(transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform):
    """nflows' transform, its slopes constrained as Millrace's are."""

    def _elementwise(self, inputs, autoregressive_params, inverse=False):
        theta = autoregressive_params.view(*inputs.shape, -1)
        return super()._elementwise(inputs, slope_parameters(theta, {"bins": self.num_bins}), inverse)


class SoftClippedMixture(MixtureOfGaussiansMADE):
    """nflows' density, its components constrained as Millrace's are."""

    def forward(self, inputs, context=None):
        theta = super().forward(inputs).reshape(*inputs.shape, self.num_mixture_components, 3)
        spread = 1.5 * ((2 * torch.arange(theta.shape[2]) + 1) / theta.shape[2] - 1)
        scales = (1 - spread.var(correction=0)).sqrt() * soft_clip(theta[..., 2]).exp()
        return torch.stack([soft_clip(theta[..., 0], 30.0), theta[..., 1] + spread,
                            softplus_inverse(scales - self.epsilon)], -1).flatten(1)


def randomise(module, generator):
    """Moderate weights of few digits."""
    with torch.no_grad():
        for p in module.parameters():
            scale = 0.3 if p.dim() == 1 else 0.8 / p.shape[1] ** 0.5
            p.copy_((512 * scale * torch.randn(p.shape, generator=generator)).round() / 512)


def array(tensor):
    return tensor.detach().numpy().astype(np.float64)


def seats(spec, layer, unit_degrees, taken=None):
    """For each unit, a free one of Millrace's hidden layer with the same degree."""
    ours = flow_layers.degrees(spec["stack"]["hidden_sizes"][layer], spec["dim"], spec["context_dim"])
    taken = set() if taken is None else taken
    result = []
    for degree in unit_degrees:
        seat = next(j for j in np.flatnonzero(ours == degree) if j not in taken)
        taken.add(seat)
        result.append(seat)
    return np.array(result)


def visible(reach, ranks):
    """How many of the first columns, in the peer's order, each unit sees; they must be the first ones."""
    by_rank = reach[:, np.argsort(ranks)]
    count = by_rank.sum(1)
    assert (by_rank == (np.arange(len(ranks)) < count[:, None])).all()
    return count


def put(p, name, rows, columns, values):
    p[name][np.ix_(rows, columns)] += values


def move_plain(spec, p, prefix, layers, ranks, places):
    """Layers are (weight, mask, bias) of a plain masked network; the output's rows are column by column, those of a
    column in `places`."""
    dim = spec["dim"]
    by_rank = np.argsort(ranks)
    reach, before = np.eye(dim + spec["context_dim"], dtype=bool), by_rank
    for l, (weight, mask, bias) in enumerate(layers):
        weight, reach = weight * mask, (mask.astype(int) @ reach) > 0
        if l == len(layers) - 1:
            rows = np.array([len(places) * c + q for c in by_rank for q in places])
            put(p, prefix + "output.weight", range(len(rows)), before, weight[rows])
            p[prefix + "output.bias"][0] = bias[rows]
            return
        units = seats(spec, l, visible(reach[:, :dim], ranks))
        name = f"{prefix}hidden.{l}"
        if l == 0:
            put(p, name + ".weight", units, range(dim), weight[:, by_rank])
            if spec["context_dim"]:
                p[prefix + "context.weight"][units] = weight[:, dim:]
        else:
            put(p, name + ".weight", units, before, weight)
        p[name + ".bias"][0, units] = bias
        before = units


def move_residual(spec, p, prefix, net):
    """nflows' residual network has no activation before its last layer. With ReLU, h = relu(h) - relu(-h): each of its
    units becomes two of Millrace's, h and -h."""
    masked = lambda layer: (array(layer.weight) * array(layer.mask), array(layer.bias))
    every = range(spec["dim"])
    degree = net.initial_layer.degrees.numpy()
    taken = set()
    plus, minus = seats(spec, 0, degree, taken), seats(spec, 0, degree, taken)
    for sign, units in ((1, plus), (-1, minus)):
        weight, bias = masked(net.initial_layer)
        put(p, prefix + "hidden.0.weight", units, every, sign * weight)
        p[prefix + "hidden.0.bias"][0, units] = sign * bias
    for b, block in enumerate(net.blocks):
        inner = seats(spec, 2 * b + 1, block.linear_layers[0].degrees.numpy())
        weight, bias = masked(block.linear_layers[0])
        put(p, f"{prefix}hidden.{2 * b + 1}.weight", inner, plus, weight)
        p[f"{prefix}hidden.{2 * b + 1}.bias"][0, inner] = bias
        weight, bias = masked(block.linear_layers[1])
        for sign, units in ((1, plus), (-1, minus)):
            put(p, f"{prefix}hidden.{2 * b + 2}.weight", units, inner, sign * weight)
            p[f"{prefix}hidden.{2 * b + 2}.bias"][0, units] = sign * bias
    weight, bias = masked(net.final_layer)
    rows = np.arange(2 * spec["dim"]) ^ 1  # log-scale before shift
    for sign, units in ((1, plus), (-1, minus)):
        put(p, prefix + "output.weight", range(2 * spec["dim"]), units, sign * weight[rows])
    p[prefix + "output.bias"][0] = bias[rows]


def move_lu(p, prefix, linear):
    lower, upper = (array(m) for m in linear._create_lower_upper())
    s = np.log(np.diag(upper))
    p[prefix + "lower"][:], p[prefix + "upper"][:] = np.tril(lower, -1), np.triu(upper, 1)
    p[prefix + "log_diagonal"][0] = s / (1 - np.abs(s) / flow_layers.LOG_DIAGONAL_BOUND)
    p[prefix + "bias"][0] = array(linear.bias)


def zuko_flow(spec, peer_hidden, activation, generator):
    own, flow = spec["stack"], Flow(spec)
    peer = zuko.flows.MAF(spec["dim"], spec["context_dim"], transforms=own["layers"], hidden_features=peer_hidden,
                          activation=activation)
    randomise(peer, generator)
    p = {name: np.zeros(shape) for name, shape in flow.shapes.items()}
    mades = [prefix for prefix, layer in flow.layers if layer.kind == "made"]
    for prefix, transform in zip(mades, peer.transform.transforms, strict=True):
        layers = [(array(m.weight), m.mask.numpy(), array(m.bias)) for m in transform.hyper if hasattr(m, "mask")]
        # Millrace reverses the columns where zuko reverses the order, and both count from there.
        move_plain(spec, p, prefix, layers, transform.order.numpy(), [0, 1])
    return p, lambda x, context: peer(context if spec["context_dim"] else None).log_prob(x)


class Density(distributions.Distribution):
    """A network's log-density where a base is expected."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def _log_prob(self, inputs, context):
        return self.network.log_prob(inputs)


def nflows_layer(spec, layer, peer_hidden, blocks, activation):
    own = {"num_blocks": blocks, "activation": activation, "use_residual_blocks": spec["stack"]["residual"]}
    if layer.kind == "permutation":
        return transforms.Permutation(torch.tensor(layer.order))
    if layer.kind == "lu":
        return transforms.LULinear(spec["dim"], identity_init=False)
    if isinstance(layer, flow_layers.Inverted):
        return transforms.InverseTransform(nflows_layer(spec, layer.layer, peer_hidden, blocks, activation))
    if layer.b["kind"] == "rational_quadratic":
        return SoftClippedSpline(spec["dim"], peer_hidden, num_bins=layer.b["bins"], tails="linear",
                                 tail_bound=layer.b["bound"], **own)
    if layer.b["kind"] == "normal_mixture":
        own["num_blocks"] += 1  # its first layer has no activation: it and the next are one
        return Density(SoftClippedMixture(spec["dim"], peer_hidden, num_mixture_components=layer.b["bins"], **own))
    return SoftClippedAffine(spec["dim"], peer_hidden, **own)


def move_nflows(spec, p, prefix, layer, part):
    if layer.kind == "lu":
        return move_lu(p, prefix, part)
    if isinstance(layer, flow_layers.Inverted):
        return move_nflows(spec, p, prefix, layer.layer, part._transform)
    if layer.kind != "made":
        return None
    net = part.network if isinstance(part, Density) else part.autoregressive_net
    if spec["stack"]["residual"]:
        return move_residual(spec, p, prefix, net)
    masked = [net.initial_layer, *(block.linear for block in net.blocks), net.final_layer]
    layers = [(array(m.weight), array(m.mask) > 0, array(m.bias)) for m in masked]
    if isinstance(part, Density):
        (inner, inner_mask, inner_bias), (outer, outer_mask, outer_bias), *layers = layers
        outer = outer * outer_mask
        layers = [(outer @ (inner * inner_mask), outer_mask @ inner_mask, outer @ inner_bias + outer_bias), *layers]
    places = {"affine": [1, 0], "rational_quadratic": range(layer.count),
              "normal_mixture": [3 * k + q for q in range(3) for k in range(layer.count // 3)]}[layer.b["kind"]]
    return move_plain(spec, p, prefix, layers, np.arange(spec["dim"]), places)


def nflows_flow(spec, peer_hidden, blocks, activation, generator):
    flow = Flow(spec)
    parts = [nflows_layer(spec, layer, peer_hidden, blocks, activation) for _, layer in flow.layers]
    end = parts[-1] if isinstance(parts[-1], Density) else distributions.StandardNormal([spec["dim"]])
    peer = flows.Flow(transforms.CompositeTransform([t for t in parts if t is not end]), end)
    randomise(peer, generator)
    p = {name: np.zeros(shape) for name, shape in flow.shapes.items()}
    for (prefix, layer), part in zip(flow.layers, parts, strict=True):
        move_nflows(spec, p, prefix, layer, part)
    return p, lambda x, context: peer.log_prob(x)
