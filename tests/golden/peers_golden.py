# SPDX-License-Identifier: Apache-2.0
"""Writes peers_golden.json beside itself: log-densities of other libraries' flows, in double, with Millrace's
parameters: layers and bases that were given them (peer_layers.py), networks whose weights were moved into Millrace's
layout (peer_networks.py), flows of images (peer_images.py).

Run by hand with `pip install torch zuko nflows normflows`; the values are committed with the versions that gave them.
"""

from importlib import metadata

import numpy as np
import torch
from torch.nn import functional

import peer_images
import peer_layers
from flow_golden import (CASES, LINEAR, QUADRATIC, RANDOM, SPLINE, chain, coupling, drawn, elementwise, image, inverse,
                         on, random_rows, stack, vector, write)
from flow_model import Flow, bijection
from peer_networks import array, nflows_flow, zuko_flow


def checked(name, spec, spread, p, log_prob, parameters):
    """A case; flow_model has to say the same."""
    x, context = random_rows(name, spec, spread)
    values, flow = log_prob(x, context), Flow(spec)
    for parameter, value in p.items():
        assert not value[~flow.support(parameter)].any(), parameter
    deviation = np.abs(flow.log_prob(p, x, context) - values).max()
    assert deviation < 1e-11 * np.abs(values).max(), (name, deviation)
    return {"name": name, "spec": spec, **parameters, "x": x.tolist(), "context": context.tolist(),
            "log_prob": values.tolist()}


def moved_case(name, described, build):
    spec, _, spread = described
    p, log_prob = build(spec, torch.Generator().manual_seed(len(name)))
    return checked(name, spec, spread, p, lambda x, c: array(log_prob(torch.tensor(x), torch.tensor(c))),
                   {"parameters": {key: v.ravel().tolist() for key, v in p.items()}})


def drawn_case(name, described):
    spec, scale, spread = described
    drawing, p = drawn(Flow(spec), scale)
    return checked(name, spec, spread, p, lambda x, c: peer_layers.log_prob(spec, p, x), drawing)


def image_case(name, described):
    """With z and log_det beside the log-density."""
    spec, scale, spread = described
    drawing, p = drawn(Flow(spec), scale)
    peer = peer_images.Peer(spec, p)
    result = checked(name, spec, spread, p, lambda x, c: peer.log_prob(x), drawing)
    z, log_det = peer.forward(np.array(result["x"]))
    return result | {"z": z.tolist(), "log_det": log_det.tolist()}


def base_alone(kind, **base):
    return stack("maf", 3, layers=0, base={"kind": kind, **base}, spread=3.0)


DRAWN = {
    "nflows_realnvp": stack("realnvp", 4, layers=3, mixing="random", batch_norm=True, scale=0.8),
    "nflows_nice": stack("nice", 5, mask="half", layers=4, mixing="none", activation="tanh"),
    "nflows_coupling_spline": stack("nsf-c", 4, layers=3, mixing="lu", whiten=True, act_norm=True, scale=0.7),
    "nflows_inverted_couplings": chain(inverse(coupling(SPLINE)), RANDOM, inverse(coupling(SPLINE, "alternating")),
                                       dim=4),
    "nflows_box": chain(elementwise("sigmoid"), coupling(LINEAR), coupling(QUADRATIC, flip=True), dim=4,
                        **on(0.0, 1.0)),
    "nflows_plu": CASES["plu"],
    "zuko_elementwise_spline": chain(elementwise("rational_quadratic", 6, 2.5), RANDOM,
                                     elementwise("rational_quadratic", 3, 2.0), elementwise("affine"), spread=1.5),
    "zuko_rotation": chain(vector("rotation"), vector("planar"), vector("rotation"), vector("radial"), dim=2),
    "normflows_planar": stack("planar", layers=4),
    "normflows_radial": stack("radial", 4, layers=3),
    "normflows_residual": stack("residual", 2, scale=0.7),
    "torch_tanh": chain(elementwise("tanh"), **on(-1.0, 1.0)),
    "torch_softplus": chain(elementwise("affine"), elementwise("softplus"), RANDOM, inverse(elementwise("softplus"))),
    "torch_mixture_map": chain(elementwise("normal_mixture", 4), elementwise("affine")),
    "torch_student_t": base_alone("student_t"),
    "torch_logistic": base_alone("logistic"),
    "torch_diagonal_normal": base_alone("diagonal_normal"),
    "torch_normal_mixture": base_alone("normal_mixture", components=4),
}


def glow_block(kind):
    return ({"norm": {"batch": False}}, {"linear": {"start": "rotation"}},
            coupling(bijection(kind), "channels", hidden_sizes=[6, 6], activation="relu"))


IMAGES = {
    "normflows_glow_block": image(3, 4, 3, chain(*glow_block("affine"))),
    "normflows_additive_glow_block": image(3, 3, 4, chain(*glow_block("additive"))),
    "normflows_glow": image(4, 8, 1, stack("glow", layers=3, hidden_sizes=[6, 6], scale=0.8)),
    "normflows_realnvp_image": image(4, 6, 2, stack("realnvp-image", scale=0.8)),
}


def main():
    torch.set_default_dtype(torch.float64)
    relu, elu = torch.nn.ReLU, torch.nn.ELU
    cases = [
        moved_case("zuko_relu", stack("maf", 4, layers=3, hidden_sizes=[13, 13]),
                   lambda spec, g: zuko_flow(spec, (9, 9), relu, g)),
        moved_case("zuko_elu_context", stack("maf", 5, 2, hidden_sizes=[17, 17], activation="elu"),
                   lambda spec, g: zuko_flow(spec, (10, 8), elu, g)),
        moved_case("nflows_tanh", stack("maf", 4, hidden_sizes=[13] * 3, mixing="random", activation="tanh", seed=9),
                   lambda spec, g: nflows_flow(spec, 8, 2, torch.tanh, g)),
        moved_case("nflows_residual_lu", stack("maf", 4, hidden_sizes=[17] * 5, residual=True, mixing="lu", seed=9),
                   lambda spec, g: nflows_flow(spec, 6, 2, functional.relu, g)),
        moved_case("nflows_iaf", stack("iaf", hidden_sizes=[9, 9], activation="tanh"),
                   lambda spec, g: nflows_flow(spec, 6, 1, torch.tanh, g)),
        moved_case("nflows_autoregressive_spline", stack("nsf-ar", hidden_sizes=[9, 9], bins=3, activation="tanh"),
                   lambda spec, g: nflows_flow(spec, 6, 1, torch.tanh, g)),
        moved_case("nflows_made_mog", stack("made-mog", layers=1, hidden_sizes=[9, 9]),
                   lambda spec, g: nflows_flow(spec, 6, 1, functional.relu, g)),
        moved_case("nflows_maf_mog", stack("maf-mog", layers=1, hidden_sizes=[9, 9], activation="tanh"),
                   lambda spec, g: nflows_flow(spec, 6, 1, torch.tanh, g)),
        *(drawn_case(name, described) for name, described in DRAWN.items()),
        *(image_case(name, described) for name, described in IMAGES.items()),
    ]
    versions = {name: metadata.version(name) for name in ("torch", "zuko", "nflows", "normflows", "numpy")}
    write("peers_golden", versions, cases)


if __name__ == "__main__":
    main()
