# SPDX-License-Identifier: Apache-2.0
"""Writes peers_golden.json beside itself: log-densities of zuko's and nflows' own networks, in double, with their
weights moved into Millrace's layout.

The peers compute with masks, orders and degrees of their own; the script reads from their masks what each hidden unit
may see and seats it among Millrace's units of that degree (the seats left over stay zero). Run by hand with
`pip install torch zuko nflows`; the values are committed with the versions that gave them.
"""

import json
import pathlib
from importlib import metadata

import numpy as np
import torch
import zuko
from nflows import distributions, flows, transforms
from torch.nn import functional

import maf_model

ROWS = 8
BASE = {"context_dim": 0, "seed": 9, "residual": False, "act_norm": False, "whiten": False, "heavy_tails": False}


class SoftClippedAffine(transforms.MaskedAffineAutoregressiveTransform):
    """nflows' transform with the log-scale that zuko and Millrace use; its network and composition are its own."""

    def _elementwise_forward(self, inputs, autoregressive_params):
        a, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        log_scale = a / (1 + a.abs() / np.log(1000.0))
        return inputs * log_scale.exp() + shift, log_scale.sum(-1)


def randomise(module, generator):
    """Moderate weights that floats hold exactly."""
    with torch.no_grad():
        for p in module.parameters():
            scale = 0.3 if p.dim() == 1 else 0.8 / p.shape[1] ** 0.5
            p.copy_((scale * torch.randn(p.shape, generator=generator)).float())


def array(tensor):
    return tensor.detach().numpy().astype(np.float64)


def seats(spec, layer, unit_degrees, taken=None):
    """For each unit, a free one of Millrace's hidden layer with the same degree."""
    ours = maf_model.degrees(spec["hidden_sizes"][layer], spec["dim"], spec["context_dim"])
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


def move_plain(spec, p, prefix, layers, ranks, swap):
    """Layers are (weight, mask, bias) of a plain masked network; the output's rows are column by column, log-scale
    before shift where `swap`."""
    dim = spec["dim"]
    by_rank = np.argsort(ranks)
    reach, before = np.eye(dim + spec["context_dim"], dtype=bool), by_rank
    for l, (weight, mask, bias) in enumerate(layers):
        weight, reach = weight * mask, (mask.astype(int) @ reach) > 0
        if l == len(layers) - 1:
            rows = np.array([2 * c + (1 - q if swap else q) for c in by_rank for q in range(2)])
            put(p, prefix + "output.weight", range(2 * dim), before, weight[rows])
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
    p[prefix + "log_diagonal"][0] = s / (1 - np.abs(s) / maf_model.LOG_DIAGONAL_BOUND)
    p[prefix + "bias"][0] = array(linear.bias)


def zuko_case(spec, peer_hidden, activation, generator):
    peer = zuko.flows.MAF(spec["dim"], spec["context_dim"], transforms=spec["layers"], hidden_features=peer_hidden,
                          activation=activation).double()
    randomise(peer, generator)
    p = {name: np.zeros(shape) for name, shape in maf_model.shapes(spec).items()}
    mades = [prefix for prefix, kind, _ in maf_model.chain(spec) if kind == "made"]
    for prefix, transform in zip(mades, peer.transform.transforms, strict=True):
        layers = [(array(m.weight), m.mask.numpy(), array(m.bias)) for m in transform.hyper if hasattr(m, "mask")]
        # Millrace reverses the columns where zuko reverses the order, and both count from there.
        move_plain(spec, p, prefix, layers, transform.order.numpy(), swap=False)
    return p, lambda x, context: peer(context if spec["context_dim"] else None).log_prob(x)


def nflows_case(spec, peer_hidden, blocks, activation, generator):
    parts, made = [], []
    for _, kind, order in maf_model.chain(spec):
        if kind == "permutation":
            parts.append(transforms.Permutation(torch.tensor(order)))
        elif kind == "lu":
            parts.append(transforms.LULinear(spec["dim"], identity_init=False))
        else:
            parts.append(SoftClippedAffine(spec["dim"], peer_hidden, num_blocks=blocks, activation=activation,
                                           use_residual_blocks=spec["residual"]))
    peer = flows.Flow(transforms.CompositeTransform(parts), distributions.StandardNormal([spec["dim"]])).double()
    randomise(peer, generator)
    p = {name: np.zeros(shape) for name, shape in maf_model.shapes(spec).items()}
    for (prefix, kind, _), part in zip(maf_model.chain(spec), parts, strict=True):
        if kind == "lu":
            move_lu(p, prefix, part)
        elif kind == "made" and spec["residual"]:
            move_residual(spec, p, prefix, part.autoregressive_net)
        elif kind == "made":
            net = part.autoregressive_net
            masked = [net.initial_layer, *(block.linear for block in net.blocks), net.final_layer]
            layers = [(array(m.weight), array(m.mask) > 0, array(m.bias)) for m in masked]
            move_plain(spec, p, prefix, layers, np.arange(spec["dim"]), swap=True)
    return p, lambda x, context: peer.log_prob(x)


def case(name, spec, build):
    generator = torch.Generator().manual_seed(len(name))
    spec = BASE | spec
    p, log_prob = build(spec, generator)
    for parameter, value in p.items():
        assert not value[~maf_model.support(spec, parameter)].any(), parameter
    rows = lambda cols: torch.randn((ROWS, cols), generator=generator).double()
    x, context = rows(spec["dim"]), rows(spec["context_dim"])
    values = array(log_prob(x, context))
    deviation = np.abs(maf_model.log_prob(spec, p, array(x), array(context)) - values).max()
    assert deviation < 1e-9, deviation
    return {"name": name, "spec": spec, "parameters": {key: v.ravel().tolist() for key, v in p.items()},
            "x": x.tolist(), "context": context.tolist(), "log_prob": values.tolist()}


def main():
    relu, elu = torch.nn.ReLU, torch.nn.ELU
    cases = [
        case("zuko_relu", {"dim": 4, "layers": 3, "hidden_sizes": [13, 13], "mixing": "reverse", "activation": "relu"},
             lambda spec, g: zuko_case(spec, (9, 9), relu, g)),
        case("zuko_elu_context",
             {"dim": 5, "context_dim": 2, "layers": 2, "hidden_sizes": [17, 17], "mixing": "reverse",
              "activation": "elu"},
             lambda spec, g: zuko_case(spec, (10, 8), elu, g)),
        case("nflows_tanh", {"dim": 4, "layers": 2, "hidden_sizes": [13] * 3, "mixing": "random", "activation": "tanh"},
             lambda spec, g: nflows_case(spec, 8, 2, torch.tanh, g)),
        case("nflows_residual_lu", {"dim": 4, "layers": 2, "hidden_sizes": [17] * 5, "residual": True, "mixing": "lu",
                                    "activation": "relu"},
             lambda spec, g: nflows_case(spec, 6, 2, functional.relu, g)),
    ]
    versions = {name: metadata.version(name) for name in ("torch", "zuko", "nflows", "numpy")}
    text = json.dumps({"generator": "tests/golden/peers_golden.py", "versions": versions, "cases": cases})
    pathlib.Path(__file__).with_name("peers_golden.json").write_text(text.replace(', "', ',\n "') + "\n")


if __name__ == "__main__":
    main()
