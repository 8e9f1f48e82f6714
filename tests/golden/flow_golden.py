# SPDX-License-Identifier: Apache-2.0
"""Writes flow_golden.json beside itself: small flows with what they compute, by flow_model.py.

Parameters, and the directions of derivatives, are drawn by their places (philox.py), by the reader as well. Needs NumPy
only. Run by hand when the format changes; the values are committed.
"""

import json
import pathlib

import numpy as np

import flow_model
import philox
from flow_model import bijection

ROWS = 5
SEED = 1  # of parameters; directions have the next
STACK = {"architecture": "maf", "layers": 2, "hidden_sizes": [6, 5], "residual": False, "mixing": "reverse",
         "activation": "relu", "act_norm": False, "batch_norm": False, "whiten": False, "heavy_tails": False,
         "mask": "alternating", "bins": 4, "bound": 3.0, "components": 3, "width": 2, "levels": 2, "additive": False}
BASE = {"kind": "standard_normal", "components": 3, "low": 0.0, "high": 1.0}
NETWORK = {"hidden_sizes": [5, 4], "residual": False, "activation": "tanh"}
RESIDUAL = {"residual": True, "hidden_sizes": [6] * 3, "activation": "tanh"}
REVERSE, RANDOM = ({"permutation": {"reverse": r, "draw": 1}} for r in (True, False))


def stack(architecture, dim=3, context_dim=0, base={}, seed=5, scale=1.0, spread=1.0, **changes):
    return {"dim": dim, "context_dim": context_dim, "seed": seed, "base": BASE | base,
            "stack": STACK | {"architecture": architecture} | changes}, scale, spread


def chain(*layers, dim=3, context_dim=0, base={}, seed=5, scale=1.0, spread=1.0):
    return {"dim": dim, "context_dim": context_dim, "seed": seed, "base": BASE | base,
            "chain": [{"inverse": False} | layer for layer in layers]}, scale, spread


def inverse(layer):
    return layer | {"inverse": True}


def elementwise(kind, bins=8, bound=5.0):
    return {"elementwise": bijection(kind, bins, bound)}


def coupling(b, mask="half", flip=False, **network):
    return {"coupling": {"bijection": b, "network": NETWORK | network, "mask": mask, "flip": flip, "draw": 2}}


def autoregressive(b, **network):
    return {"autoregressive": {"bijection": b, "network": NETWORK | network}}


def vector(kind, width=1, first=0, second=1):
    return {"vector": {"kind": kind, "width": width, "first": first, "second": second}}


def image(height, width, channels, described):
    """The same of rows that are images."""
    spec, scale, spread = described
    size = {"height": height, "width": width, "channels": channels}
    return spec | {"dim": height * width * channels, "image": size}, scale, spread


def squeeze(*hidden_sizes, **network):
    return {"squeeze": {"network": NETWORK | {"hidden_sizes": hidden_sizes} | network}}


def factor_out(*hidden_sizes, **network):
    return {"factor_out": {"network": NETWORK | {"hidden_sizes": hidden_sizes} | network}}


def on(low, high):
    return {"base": {"kind": "uniform", "low": low, "high": high}}


QUADRATIC, LINEAR = bijection("quadratic_spline", 4), bijection("linear_spline", 5)
SPLINE = bijection("rational_quadratic", 5, 2.0)
CASES = {
    "maf": stack("maf"),
    "maf_one_column_context": stack("maf", 1, 2, activation="tanh", hidden_sizes=[4]),
    "maf_narrow_random_elu": stack("maf", 5, hidden_sizes=[3], mixing="random", activation="elu", layers=3, scale=0.8),
    "maf_residual_lu": stack("maf", 4, mixing="lu", act_norm=True, whiten=True, scale=0.7, **RESIDUAL),
    "maf_residual_relu_context": stack("maf", 3, 2, hidden_sizes=[5] * 5, residual=True, act_norm=True, mixing="lu",
                                       seed=2**40 + 3),
    "maf_heavy_tails": stack("maf", 4, whiten=True, activation="tanh", heavy_tails=True, spread=6.0),
    "maf_batch_norm": stack("maf", batch_norm=True),
    "made": stack("made", layers=1, hidden_sizes=[7]),
    "made_context": stack("made", 3, 1, layers=1),
    "iaf": stack("iaf", activation="tanh", layers=3),
    "iaf_context": stack("iaf", 2, 2, activation="elu", mixing="lu"),
    "made_mog": stack("made-mog", layers=1),
    "made_mog_context": stack("made-mog", 2, 2, layers=1, components=5, activation="tanh"),
    "maf_mog": stack("maf-mog", layers=1, components=4),
    "maf_mog_residual_context": stack("maf-mog", 3, 1, **RESIDUAL),
    "nsf_autoregressive": stack("nsf-ar", spread=2.0),
    "nsf_autoregressive_context": stack("nsf-ar", 3, 2, mixing="lu", whiten=True, **RESIDUAL),
    "nice": stack("nice", 5, mask="half", layers=4, mixing="none"),
    "nice_context": stack("nice", 4, 2, mixing="random"),
    "realnvp": stack("realnvp", 4, layers=3, mixing="none"),
    "realnvp_batch_norm_context": stack("realnvp", 3, 2, mask="half", batch_norm=True, activation="tanh"),
    "realnvp_random_residual": stack("realnvp", 5, layers=4, mask="random", scale=0.8, **RESIDUAL),
    "realnvp_one_column_context": stack("realnvp", 1, 2),
    "nsf_coupling": stack("nsf-c", 4, mixing="none", layers=3),
    "nsf_coupling_context": stack("nsf-c", 3, 1, mask="random", mixing="lu", act_norm=True, activation="elu"),
    "planar": stack("planar", layers=3),
    "radial": stack("radial", layers=3),
    "sylvester": stack("sylvester", 4, width=3, mixing="random"),
    "residual": stack("residual", 3, scale=0.7, mixing="none"),
    "residual_context": stack("residual", 2, 2, scale=0.7, layers=1, act_norm=True),
    "rotations": chain(vector("rotation", first=2, second=0), vector("planar"), vector("rotation", first=1, second=2)),
    "inverted_vectors": chain(inverse(vector("planar")), inverse(vector("radial")), inverse(vector("sylvester", 2))),
    "inverted_residual": chain(inverse({"residual": {"network": NETWORK}}), scale=0.7),
    "inverted_couplings": chain(inverse(coupling(bijection("affine"))), inverse(coupling(SPLINE, flip=True)),
                                inverse(coupling(bijection("additive"), "alternating")), dim=4),
    "inverted_spline": chain(inverse(autoregressive(SPLINE)), REVERSE, autoregressive(bijection("scale")), scale=0.8),
    "inverse_bijections": chain(inverse(autoregressive(bijection("inverse_affine"))), REVERSE,
                                autoregressive(bijection("inverse_rational_quadratic", 5, 2.0)), scale=0.8),
    "norms": chain({"norm": {"batch": True}}, RANDOM, {"norm": {"batch": False}}, {"linear": {"start": "whiten"}}),
    "plu": chain({"linear": {"start": "rotation"}}, coupling(bijection("affine")), {"linear": {"start": "rotation"}},
                 dim=5, seed=2**33 + 7),
    "elementwise": chain(elementwise("affine"), elementwise("additive"), elementwise("scale"),
                         elementwise("rational_quadratic", 6, 2.5), elementwise("log_tails"),
                         elementwise("normal_mixture", 4)),
    "shift_and_cube": chain(elementwise("shift_and_cube"), dim=2),
    "squashes": chain(elementwise("softsign"), inverse(elementwise("tanh")), elementwise("sigmoid"),
                      inverse(elementwise("sigmoid")), elementwise("tanh"), RANDOM, inverse(elementwise("softsign"))),
    "softplus": chain(elementwise("softplus"), REVERSE, inverse(elementwise("softplus"))),
    "box": chain(elementwise("sigmoid"), elementwise("linear_spline", 4), coupling(QUADRATIC),
                 elementwise("quadratic_spline", 3), **on(0.0, 1.0)),
    "box_couplings_context": chain(elementwise("sigmoid"), coupling(LINEAR), coupling(QUADRATIC, flip=True), dim=4,
                                   context_dim=2, **on(0.0, 1.0)),
    "box_autoregressive": chain(elementwise("sigmoid"), autoregressive(QUADRATIC), REVERSE, autoregressive(LINEAR),
                                inverse(elementwise("sigmoid"))),
    "box_tanh": chain(elementwise("tanh"), **on(-1.0, 1.0)),
    "base_diagonal": stack("maf", 2, layers=1, base={"kind": "diagonal_normal"}),
    "base_logistic": stack("nice", 3, base={"kind": "logistic"}),
    "base_student_t": stack("realnvp", 3, base={"kind": "student_t"}, spread=2.0),
    "base_mixture": stack("maf", 3, 1, layers=1, base={"kind": "normal_mixture"}),
    "base_one_normal": stack("maf", 2, layers=0, base={"kind": "normal_mixture", "components": 1}),
    "glow": image(4, 4, 1, stack("glow", activation="tanh", scale=0.8)),
    "glow_odd_channels_relu": image(4, 3, 3, stack("glow", levels=1, layers=1)),
    "glow_additive_odd": image(5, 4, 2, stack("glow", additive=True, activation="tanh", hidden_sizes=[4], scale=0.8)),
    "glow_odd_residual": image(3, 7, 1, stack("glow", levels=1, scale=0.7, **RESIDUAL)),
    "glow_batch_norm_context": image(2, 5, 2, stack("glow", context_dim=2, levels=1, batch_norm=True, activation="elu",
                                                    scale=0.7)),
    "realnvp_image": image(4, 6, 1, stack("realnvp-image", activation="tanh", scale=0.7)),
    "realnvp_image_one_level_relu": image(3, 3, 2, stack("realnvp-image", levels=1, layers=1)),
    "realnvp_image_odd_residual_context": image(5, 3, 1, stack("realnvp-image", context_dim=2, scale=0.7, **RESIDUAL)),
    "realnvp_image_weight_norm": image(4, 4, 1, stack("realnvp-image", weight_norm=True, scale=0.7, **RESIDUAL)),
    "realnvp_image_norms": image(4, 2, 2, stack("realnvp-image", act_norm=True, batch_norm=True, activation="elu",
                                                scale=0.5)),
    "image_chain": image(5, 5, 2, chain(
        {"norm": {"batch": True}}, {"linear": {"start": "whiten"}}, coupling(SPLINE, "checkerboard", flip=True),
        squeeze(3), RANDOM, coupling(bijection("affine"), "random"), elementwise("log_tails"), factor_out(4, 3),
        coupling(bijection("scale"), "channels", flip=True), coupling(bijection("additive"), "half"), scale=0.8)),
    "image_chain_odd_channels_context": image(3, 2, 3, chain(
        coupling(bijection("affine"), "channels"), coupling(SPLINE, "none", hidden_sizes=[4]),
        factor_out(5, 5, 5, residual=True), {"linear": {"start": "rotation"}},
        coupling(bijection("affine"), "alternating", **RESIDUAL), REVERSE, {"norm": {"batch": False}},
        coupling(bijection("inverse_affine"), "checkerboard", hidden_sizes=[3]), squeeze(), context_dim=3)),
    "image_chain_weight_norm": image(5, 4, 1, chain(
        coupling(bijection("affine"), "checkerboard", weight_norm=True, **RESIDUAL),
        squeeze(*[3] * 3, residual=True, weight_norm=True), coupling(bijection("affine"), "channels"),
        factor_out(*[5] * 3, residual=True, weight_norm=True), scale=0.8)),
}


def spans(mask):
    """[begin, end) of the parameters in each row of a matrix that may be other than zero."""
    return [[int(row.argmax()), int(row.argmax() + row.sum())] for row in mask]


def derivative(function, name):
    """At 0, by central differences of two steps, which have to agree: not so beside a kink."""
    coarse, fine = ((function(h) - function(-h)) / (2 * h) for h in (2e-5, 1e-5))
    assert abs(fine - coarse) < 1e-6 * max(1, abs(fine)), (name, fine, coarse)
    return fine + (fine - coarse) / 3


def derivatives(flow, p, x, context):
    """Of the mean log-density along one direction of each parameter, of the rows and of their conditions."""
    mean = lambda q, rows, conditions: flow.log_prob(q, rows, conditions).mean()
    result = {}
    for index, (name, value) in enumerate(p.items()):
        if not name.endswith((".statistics", ".directions")):  # no gradient moves those
            along = philox.signed(SEED + 1, index + 1, value.shape) * flow.support(name)
            result[name] = derivative(lambda h: mean(p | {name: value + h * along}, x, context), name)
    along = philox.signed(SEED + 1, len(p) + 1, x.shape)
    result["x"] = derivative(lambda h: mean(p, x + h * along, context), "x")
    if context.shape[1]:
        along = philox.signed(SEED + 1, len(p) + 2, context.shape)
        result["context"] = derivative(lambda h: mean(p, x, context + h * along), "context")
    return result


def check_log_det(flow, p, x, context):
    """Against the Jacobian matrix of the whole flow, by differences."""
    steps = 1e-6 * np.eye(x.shape[1])
    columns = [(flow.forward(p, x + s, context)[0] - flow.forward(p, x - s, context)[0]) / 2e-6 for s in steps]
    deviation = np.abs(np.linalg.slogdet(np.stack(columns, 2))[1] - flow.forward(p, x, context)[1]).max()
    assert deviation < 1e-5, deviation


def drawn(flow, scale):
    """How the reader draws the parameters, and the parameters."""
    masks = {name: flow.support(name) for name in flow.shapes}
    parameters = [{"name": name, "rows": m.shape[0], "cols": m.shape[1]} | ({} if m.all() else {"spans": spans(m)})
                  for name, m in masks.items()]
    return {"seed": SEED, "scale": scale, "parameters": parameters}, flow.parameters(SEED, scale)


def random_rows(name, spec, spread):
    """x and context: exact as floats, and on no edge of a box."""
    random = np.random.default_rng(list(name.encode()))
    return [np.round(64 * size * random.normal(size=(ROWS, cols))) / 64 + 1 / 128
            for cols, size in ((spec["dim"], spread), (spec["context_dim"], 1.0))]


def case(name, spec, scale, spread):
    flow = flow_model.Flow(spec)
    drawing, p = drawn(flow, scale)
    x, context = random_rows(name, spec, spread)
    z, log_det = flow.forward(p, x, context)
    check_log_det(flow, p, x, context)
    return {"name": name, "spec": spec, **drawing, "x": x.tolist(), "context": context.tolist(), "z": z.tolist(),
            "log_det": log_det.tolist(), "log_prob": flow.log_prob(p, x, context).tolist(),
            "derivatives": derivatives(flow, p, x, context)}


def write(name, versions, cases):
    """<name>.json beside this file, a line a case."""
    head = json.dumps({"generator": f"tests/golden/{name}.py", "versions": versions})[:-1]
    lines = ",\n".join(json.dumps(c, separators=(",", ":"), allow_nan=False) for c in cases)
    pathlib.Path(__file__).with_name(name + ".json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')


def main():
    write("flow_golden", {"numpy": np.__version__}, [case(name, *arguments) for name, arguments in CASES.items()])


if __name__ == "__main__":
    main()
