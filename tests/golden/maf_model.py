# SPDX-License-Identifier: Apache-2.0
"""A masked autoregressive flow in plain NumPy, double precision: the independent statement of what Millrace computes.

Masks are built from degrees and multiplied in whole; nothing is skipped or reordered. Every function also takes
complex parameters, so that derivatives come from complex steps.
"""

import numpy as np

LOG_SCALE_BOUND, LOG_DIAGONAL_BOUND = np.log(1000.0), np.log(1e6)
TAILS_BEGIN, TAILS_SCALE = 6.0, 3.0


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011) of one counter."""
    c, k = [int(v) for v in counter], [int(v) for v in key]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def random_order(dim, seed, stream):
    """The permutation between layers: Fisher and Yates from the end, one Philox number a swap."""
    order = list(range(dim))
    for i in range(dim, 1, -1):
        w = philox((i, 0, 0, stream), (seed & 0xFFFFFFFF, seed >> 32))
        j = int((((w[0] << 32 | w[1]) >> 12) + 0.5) * 2.0**-52 * i)
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def degrees(hidden, dim, context_dim):
    low, high = (0 if context_dim or dim == 1 else 1), dim - 1
    position = np.ones(1) if hidden == 1 else np.arange(hidden) / (hidden - 1)
    return low + np.floor(position * (high - low) + 0.5).astype(int)


def masks(spec):
    """Of the hidden layers and the output: [outputs, inputs], True where a weight may stand."""
    inputs, result = np.arange(1, spec["dim"] + 1), []
    for hidden in spec["hidden_sizes"]:
        units = degrees(hidden, spec["dim"], spec["context_dim"])
        result.append(units[:, None] >= inputs[None, :])
        inputs = units
    columns = np.repeat(np.arange(1, spec["dim"] + 1), 2)
    return result + [columns[:, None] > inputs[None, :]]


def chain(spec):
    """(name, kind, order of a permutation) of each transform, data first."""
    parts = [("lu", None)] if spec["whiten"] else []
    for layer in range(spec["layers"]):
        if layer and spec["mixing"] == "reverse":
            parts.append(("permutation", list(range(spec["dim"]))[::-1]))
        if layer and spec["mixing"] in ("random", "lu"):
            parts.append(("permutation", random_order(spec["dim"], spec["seed"], layer)))
        if layer and spec["mixing"] == "lu":
            parts.append(("lu", None))
        if spec["act_norm"]:
            parts.append(("act_norm", None))
        parts.append(("made", None))
    if spec["heavy_tails"]:
        parts.append(("log_tails", None))
    return [(f"{i}.{kind}.", kind, order) for i, (kind, order) in enumerate(parts)]


def shapes(spec):
    """Of every parameter, by name."""
    dim, result = spec["dim"], {}
    for prefix, kind, _ in chain(spec):
        if kind == "lu":
            result |= {prefix + "lower": (dim, dim), prefix + "upper": (dim, dim), prefix + "log_diagonal": (1, dim),
                       prefix + "bias": (1, dim)}
        elif kind == "act_norm":
            result[prefix + "theta"] = (1, 2 * dim)
        elif kind == "made":
            sizes = [dim, *spec["hidden_sizes"], 2 * dim]
            for l in range(1, len(sizes)):
                name = prefix + ("output" if l == len(sizes) - 1 else f"hidden.{l - 1}")
                result |= {name + ".weight": (sizes[l], sizes[l - 1]), name + ".bias": (1, sizes[l])}
            if spec["context_dim"]:
                result[prefix + "context.weight"] = (sizes[1], spec["context_dim"])
    return result


def support(spec, prefix_and_name):
    """Where a parameter may be other than zero."""
    name = prefix_and_name.split(".", 2)[2]
    shape = shapes(spec)[prefix_and_name]
    if name == "lower":
        return np.tril(np.ones(shape, bool), -1)
    if name == "upper":
        return np.triu(np.ones(shape, bool), 1)
    if name.endswith("weight") and name != "context.weight":
        return masks(spec)[-1 if name == "output.weight" else int(name.split(".")[1])]
    return np.ones(shape, bool)


# Activations, absolute value and clip: real parts decide, so that complex steps pass through.
ACTIVATIONS = {
    "identity": lambda a: a,
    "relu": lambda a: np.where(a.real > 0, a, 0),
    "tanh": np.tanh,
    "elu": lambda a: np.where(a.real > 0, a, np.exp(np.where(a.real > 0, 0, a)) - 1),
}


def soft_clip(a, bound=LOG_SCALE_BOUND):
    return a / (1 + np.where(a.real < 0, -a, a) / bound)


def made(spec, p, prefix, x, context):
    """theta [rows, dim, 2]: shift and log-scale of each column."""
    f = ACTIVATIONS[spec["activation"]]
    mask = masks(spec)
    dense = lambda l, name, v: v @ (p[f"{prefix}{name}.weight"] * mask[l]).T + p[f"{prefix}{name}.bias"]
    h = dense(0, "hidden.0", x)
    if spec["context_dim"]:
        h = h + context @ p[prefix + "context.weight"].T
    count = len(spec["hidden_sizes"])
    if spec["residual"]:
        for l in range(1, count, 2):
            h = h + dense(l + 1, f"hidden.{l + 1}", f(dense(l, f"hidden.{l}", f(h))))
    else:
        for l in range(1, count):
            h = dense(l, f"hidden.{l}", f(h))
    return dense(count, "output", f(h)).reshape(len(x), spec["dim"], 2)


def lu_matrices(p, prefix):
    dim = p[prefix + "bias"].shape[1]
    lower = np.tril(p[prefix + "lower"], -1) + np.eye(dim)
    s = soft_clip(p[prefix + "log_diagonal"][0], LOG_DIAGONAL_BOUND)
    return lower @ (np.triu(p[prefix + "upper"], 1) + np.diag(np.exp(s))), s.sum()


def log_tails(x):
    """z and log dz/dx of each number: the identity, a logarithm beyond +-TAILS_BEGIN."""
    sign = np.where(x.real < 0, -1, 1)
    slope = 1 + np.where(sign * x.real > TAILS_BEGIN, sign * x - TAILS_BEGIN, 0) / TAILS_SCALE
    return np.where(slope == 1, x, sign * (TAILS_BEGIN + TAILS_SCALE * np.log(slope))), -np.log(slope)


def log_tails_inverse(z):
    sign = np.where(z.real < 0, -1, 1)
    beyond = np.where(sign * z.real > TAILS_BEGIN, sign * z - TAILS_BEGIN, 0)
    return np.where(beyond == 0, z, sign * (TAILS_BEGIN + TAILS_SCALE * np.expm1(beyond / TAILS_SCALE)))


def forward(spec, p, x, context=None):
    """z and log|det dz/dx| of each row."""
    log_det = np.zeros(len(x))
    for prefix, kind, order in chain(spec):
        if kind == "permutation":
            x = x[:, order]
        elif kind == "lu":
            matrix, s = lu_matrices(p, prefix)
            x, log_det = x @ matrix.T + p[prefix + "bias"], log_det + s
        elif kind == "log_tails":
            x, slopes = log_tails(x)
            log_det = log_det + slopes.sum(-1)
        else:
            theta = (p[prefix + "theta"].reshape(1, -1, 2) if kind == "act_norm"
                     else made(spec, p, prefix, x, context))
            s = soft_clip(theta[..., 1])
            x, log_det = x * np.exp(s) + theta[..., 0], log_det + s.sum(-1)
    return x, log_det


def inverse(spec, p, z, context=None):
    """x = Forward^-1(z), D passes a layer."""
    for prefix, kind, order in reversed(chain(spec)):
        if kind == "permutation":
            x = np.empty_like(z)
            x[:, order] = z
            z = x
        elif kind == "lu":
            matrix, _ = lu_matrices(p, prefix)
            z = np.linalg.solve(matrix, (z - p[prefix + "bias"]).T).T
        elif kind == "log_tails":
            z = log_tails_inverse(z)
        else:
            x = np.zeros_like(z)
            for _ in range(spec["dim"]):
                theta = (p[prefix + "theta"].reshape(1, -1, 2) if kind == "act_norm"
                         else made(spec, p, prefix, x, context))
                x = (z - theta[..., 0]) * np.exp(-soft_clip(theta[..., 1]))
            z = x
    return z


def log_prob(spec, p, x, context=None):
    z, log_det = forward(spec, p, x, context)
    return log_det - 0.5 * (z**2).sum(-1) - 0.5 * spec["dim"] * np.log(2 * np.pi)


def random_parameters(spec, rng):
    """Moderate, zero outside the masks, and floats."""
    return {name: (rng.normal(0, 0.3 if shape[0] == 1 else 0.7 / np.sqrt(shape[1]), shape) * support(spec, name))
            .astype(np.float32).astype(np.float64)
            for name, shape in shapes(spec).items()}
