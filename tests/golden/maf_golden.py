# SPDX-License-Identifier: Apache-2.0
"""Writes maf_golden.json beside itself: small flows with everything they compute, by maf_model.py.

Needs NumPy only. Run by hand when the format changes; the values are committed.
"""

import json
import pathlib

import numpy as np

import maf_model

ROWS = 5
BASE = {"dim": 3, "context_dim": 0, "seed": 5, "layers": 2, "hidden_sizes": [6, 5], "residual": False,
        "mixing": "reverse", "activation": "relu", "act_norm": False, "whiten": False,
        "heavy_tails": False}
CASES = {
    "plain_reverse_relu": {},
    "one_column_context": {"dim": 1, "context_dim": 2, "activation": "tanh", "hidden_sizes": [4]},
    "narrow_random_elu": {"dim": 5, "hidden_sizes": [3], "mixing": "random", "activation": "elu", "layers": 3},
    "residual_tanh_lu": {"dim": 4, "hidden_sizes": [6, 6, 6], "residual": True, "mixing": "lu",
                         "activation": "tanh", "act_norm": True, "whiten": True},
    "residual_relu_context": {"dim": 3, "context_dim": 2, "hidden_sizes": [5] * 5, "residual": True,
                              "act_norm": True, "seed": 2**40 + 3, "mixing": "lu"},
    "heavy_tails": {"dim": 4, "whiten": True, "activation": "tanh", "heavy_tails": True},
}


def gradient(spec, p, x, context):
    """Of the mean log-density, by complex steps: exact to rounding."""
    result, step = {}, 1e-100
    for name, value in p.items():
        derivative = np.zeros_like(value)
        for at in zip(*np.nonzero(maf_model.support(spec, name))):
            moved = value.astype(complex)
            moved[at] += 1j * step
            derivative[at] = maf_model.log_prob(spec, p | {name: moved}, x, context).mean().imag / step
        result[name] = derivative
    return result


def case(name, spec):
    rng = np.random.default_rng(list(name.encode()))
    p = maf_model.random_parameters(spec, rng)
    scale = 5.0 if spec["heavy_tails"] else 1.0
    rows = lambda cols: (scale * rng.normal(size=(ROWS, cols))).astype(np.float32).astype(np.float64)
    x, latent, context = rows(spec["dim"]), rows(spec["dim"]), rows(spec["context_dim"])
    z, log_det = maf_model.forward(spec, p, x, context)
    back = maf_model.inverse(spec, p, latent, context)
    assert not spec["heavy_tails"] or min(np.abs(z).max(), np.abs(latent).max()) > maf_model.TAILS_BEGIN
    assert np.abs(maf_model.forward(spec, p, back, context)[0] - latent).max() < 1e-12
    arrays = lambda d: {key: value.ravel().tolist() for key, value in d.items()}
    return {"name": name, "spec": spec, "parameters": arrays(p), "x": x.tolist(), "context": context.tolist(),
            "z": z.tolist(), "log_det": log_det.tolist(),
            "log_prob": maf_model.log_prob(spec, p, x, context).tolist(), "latent": latent.tolist(),
            "inverse": back.tolist(), "gradient": arrays(gradient(spec, p, x, context))}


def main():
    text = json.dumps({"generator": "tests/golden/maf_golden.py", "versions": {"numpy": np.__version__},
                       "cases": [case(name, BASE | changes) for name, changes in CASES.items()]})
    pathlib.Path(__file__).with_name("maf_golden.json").write_text(text.replace(', "', ',\n "') + "\n")


if __name__ == "__main__":
    main()
