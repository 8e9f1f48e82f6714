# SPDX-License-Identifier: Apache-2.0
"""Scalar bijections, from data to latent: z and ln dz/dx of numbers x [rows] with parameters theta [rows, count]."""

import math
import statistics

import numpy as np

LOG_SCALE_BOUND = np.log(1000.0)
SMALLEST_SHARE = 1e-3  # of a spline's bin, and of a quadratic spline's density
TAILS_BEGIN, TAILS_SCALE = 6.0, 3.0
VARIANCE_FLOOR = float(np.float32(1e-5))

normal_cdf = np.vectorize(lambda a: 0.5 * math.erfc(-a / math.sqrt(2)), otypes=[float])
normal_quantile = np.vectorize(statistics.NormalDist().inv_cdf, otypes=[float])


def soft_clip(a, bound=LOG_SCALE_BOUND):
    return a / (1 + np.abs(a) / bound)


def softmax(a):
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def knots(logits, low, high):
    """Durkan et al. 2019, sec. 3.1: a softmax in which no bin is smaller than SMALLEST_SHARE."""
    shares = SMALLEST_SHARE + (1 - len(logits) * SMALLEST_SHARE) * softmax(logits)
    return low + (high - low) * np.concatenate([[0], np.cumsum(shares)])


def bin_of(edges, x):
    return min(max(np.searchsorted(edges, x, side="right") - 1, 0), len(edges) - 2)


def each(function):
    """A map of one number and its parameters, applied to rows."""
    return lambda x, theta, b: tuple(np.array(v) for v in zip(*(function(x[r], theta[r], b) for r in range(len(x)))))


def affine(x, theta, b):
    s = soft_clip(theta[:, 1])
    return x * np.exp(s) + theta[:, 0], s


def additive(x, theta, b):
    return x + theta[:, 0], 0 * x


def scale(x, theta, b):
    s = soft_clip(theta[:, 0])
    return x * np.exp(s), s


def shift_and_cube(x, theta, b):
    u = x + theta[:, 0]
    return u**3, np.log(3 * u**2)


def sigmoid(x, theta, b):
    z = 1 / (1 + np.exp(-x))
    return z, np.log(z) + np.log(1 / (1 + np.exp(x)))


def tanh(x, theta, b):
    return np.tanh(x), -2 * np.log(np.cosh(x))


def softsign(x, theta, b):
    return x / (1 + np.abs(x)), -2 * np.log(1 + np.abs(x))


def softplus(x, theta, b):
    return np.log(1 + np.exp(x)), -np.log(1 + np.exp(-x))


def log_tails(x, theta, b):
    slope = 1 + np.maximum(np.abs(x) - TAILS_BEGIN, 0) / TAILS_SCALE
    return np.where(slope == 1, x, np.sign(x) * (TAILS_BEGIN + TAILS_SCALE * np.log(slope))), -np.log(slope)


@each
def linear_spline(x, logits, b):
    """Mueller et al. 2019, sec. 4.2: equal bins on [0, 1]."""
    y, k = knots(logits, 0, 1), min(int(x * b["bins"]), b["bins"] - 1)
    slope = (y[k + 1] - y[k]) * b["bins"]
    return y[k] + slope * (x - k / b["bins"]), np.log(slope)


@each
def quadratic_spline(x, theta, b):
    """Mueller et al. 2019, sec. 4.3: the density is linear between vertices; its integral by the trapezoidal rule."""
    edges, heights = knots(theta[: b["bins"]], 0, 1), np.exp(theta[b["bins"] :])
    heights = SMALLEST_SHARE + (1 - SMALLEST_SHARE) * heights / np.trapezoid(heights, edges)
    k, density = bin_of(edges, x), np.interp(x, edges, heights)
    inside = 0.5 * (heights[k] + density) * (x - edges[k])
    return np.trapezoid(heights[: k + 1], edges[: k + 1]) + inside, np.log(density)


@each
def rational_quadratic(x, theta, b):
    """Durkan et al. 2019, eq. 4 and 5."""
    if abs(x) >= b["bound"]:
        return x, 0.0
    bins = b["bins"]
    xs, ys = (knots(theta[i * bins : (i + 1) * bins], -b["bound"], b["bound"]) for i in range(2))
    slopes = np.concatenate([[1], np.exp(soft_clip(theta[2 * bins :])), [1]])
    k = bin_of(xs, x)
    s, xi = (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k]), (x - xs[k]) / (xs[k + 1] - xs[k])
    below = s + (slopes[k + 1] + slopes[k] - 2 * s) * xi * (1 - xi)
    z = ys[k] + (ys[k + 1] - ys[k]) * (s * xi**2 + slopes[k] * xi * (1 - xi)) / below
    above = s**2 * (slopes[k + 1] * xi**2 + 2 * s * xi * (1 - xi) + slopes[k] * (1 - xi) ** 2)
    return z, np.log(above / below**2)


def standardise(x, theta, b):
    variance = theta[:, 1] + VARIANCE_FLOOR
    return (x - theta[:, 0]) / np.sqrt(variance), -0.5 * np.log(variance)


def mixture_components(theta, count):
    """Weights, means and scales; theta = 0 spreads the means evenly, the variance of all being 1."""
    spread = 1.5 * ((2 * np.arange(count) + 1) / count - 1)
    logits, shifts, log_scales = (theta[..., i * count : (i + 1) * count] for i in range(3))
    return (softmax(soft_clip(logits, 30.0)), shifts + spread,
            np.sqrt(1 - spread.var()) * np.exp(soft_clip(log_scales)))


def normal_mixture(x, theta, b):
    """To the normal number with the same distribution function, from the nearer tail."""
    w, m, s = mixture_components(theta, b["bins"])
    a = (x[:, None] - m) / s
    below, above = (w * normal_cdf(a)).sum(1), (w * normal_cdf(-a)).sum(1)
    tail, density = np.minimum(below, above), (w * np.exp(-0.5 * a**2) / s).sum(1)
    q = normal_quantile(tail)
    q = q - (normal_cdf(q) - tail) * np.sqrt(2 * np.pi) * np.exp(0.5 * q**2)
    return np.where(below < above, q, -q), np.log(density) + 0.5 * q**2


def inverse_of(kind):
    """A map the other way round, by bisection."""

    def function(x, theta, b):
        z = inverse(b | {"kind": kind}, x[:, None], theta[:, None])[:, 0]
        return z, -MAPS[kind](z, theta, b)[1]

    return function


MAPS = {f.__name__: f for f in (affine, additive, scale, shift_and_cube, sigmoid, tanh, softsign, softplus, log_tails,
                                standardise, normal_mixture)}
MAPS |= {"linear_spline": linear_spline, "quadratic_spline": quadratic_spline, "rational_quadratic": rational_quadratic}
MAPS |= {f"inverse_{kind}": inverse_of(kind) for kind in ("affine", "rational_quadratic")}
COUNTS = {"affine": lambda b: 2, "additive": lambda b: 1, "scale": lambda b: 1, "shift_and_cube": lambda b: 1,
          "linear_spline": lambda b: b["bins"], "quadratic_spline": lambda b: 2 * b["bins"] + 1,
          "rational_quadratic": lambda b: 3 * b["bins"] - 1, "normal_mixture": lambda b: 3 * b["bins"]}
COUNTS |= {f"inverse_{kind}": COUNTS[kind] for kind in ("affine", "rational_quadratic")}


def count(b):
    return COUNTS.get(b["kind"], lambda b: 0)(b)


def forward(b, x, theta):
    """Of x [rows, columns] with theta [rows, columns, count]: z and the sum of the logarithms."""
    images = [MAPS[b["kind"]](x[:, c], theta[:, c], b) for c in range(x.shape[1])]
    return np.stack([z for z, _ in images], 1), sum(s for _, s in images)


def inverse(b, z, theta):
    """x, by bisection."""
    box = b["kind"] in ("linear_spline", "quadratic_spline")
    low, high = np.full(z.shape, 0.0 if box else -1e4), np.full(z.shape, 1.0 if box else 1e4)
    with np.errstate(over="ignore", divide="ignore"):
        for _ in range(100):
            middle = 0.5 * (low + high)
            above = forward(b, middle, theta)[0] > z
            low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)
