# SPDX-License-Identifier: Apache-2.0
"""Bijections of whole rows, from data to latent: z and the Jacobian matrix of one row x with parameters theta."""

import numpy as np

from scalar_maps import soft_clip

LEAST_SLOPE = 1e-3


def planar(x, theta, v):
    """Rezende and Mohamed 2015, eq. 10; w.u is a softplus of w.v that is 0 at 0."""
    w, along, shift = theta[: len(x)], theta[len(x) : 2 * len(x)], theta[-1]
    q = w @ along
    wu = -1 + LEAST_SLOPE + (1 - LEAST_SLOPE) * np.log(1 + (np.e - 1) * np.exp(q))
    u, h = along + (wu - q) * w / (w @ w), np.tanh(w @ x + shift)
    return x + u * h, np.eye(len(x)) + (1 - h**2) * np.outer(u, w)


def radial(x, theta, v):
    """Rezende and Mohamed 2015, eq. 14."""
    centre, a, growth = theta[: len(x)], np.exp(soft_clip(theta[-2])), np.exp(soft_clip(theta[-1]))
    b, r = a * growth - a, np.linalg.norm(x - centre)
    h = 1 / (a + r)
    return (x + b * h * (x - centre),
            (1 + b * h) * np.eye(len(x)) - b * h**2 / r * np.outer(x - centre, x - centre))


def triangle(entries, size):
    """Upper triangular by rows; a hyperbolic tangent keeps the diagonal below 1."""
    m = np.zeros((size, size))
    m[np.triu_indices(size)] = entries
    np.fill_diagonal(m, np.sqrt(1 - LEAST_SLOPE) * np.tanh(np.diag(m)))
    return m


def sylvester(x, theta, v):
    """Van den Berg et al. 2018, eq. 13, Q the first columns of a product of Householder reflections."""
    size, dim = v["width"], len(x)
    vectors, rest = theta[: size * dim].reshape(size, dim), theta[size * dim :]
    half = size * (size + 1) // 2
    q = np.eye(dim)
    for w in vectors:
        q = q @ (np.eye(dim) - 2 * np.outer(w, w) / (w @ w))
    q, r, s = q[:, :size], triangle(rest[:half], size), triangle(rest[half : 2 * half], size)
    h = np.tanh(s @ q.T @ x + rest[2 * half :])
    return x + q @ r @ h, np.eye(dim) + q @ r @ np.diag(1 - h**2) @ s @ q.T


def rotation(x, theta, v):
    turn, places = np.eye(len(x)), [v["first"], v["second"]]
    turn[np.ix_(places, places)] = [[np.cos(theta[0]), -np.sin(theta[0])], [np.sin(theta[0]), np.cos(theta[0])]]
    return turn @ x, turn


MAPS = {f.__name__: f for f in (planar, radial, sylvester, rotation)}


def count(v, dim):
    return {"planar": 2 * dim + 1, "radial": dim + 2, "rotation": 1,
            "sylvester": v["width"] * (dim + v["width"] + 2)}[v["kind"]]


def forward(v, x, theta):
    images = [MAPS[v["kind"]](row, theta, v) for row in x]
    return np.array([z for z, _ in images]), np.array([np.linalg.slogdet(j)[1] for _, j in images])


def inverse(v, z, theta):
    """x, by Newton's method in shortened steps where full ones lead away."""
    def solve(target):
        x = target
        for _ in range(200):
            image, jacobian = MAPS[v["kind"]](x, theta, v)
            move, error = np.linalg.solve(jacobian, target - image), np.linalg.norm(target - image)
            step = 1.0
            while step > 1e-6 and np.linalg.norm(target - MAPS[v["kind"]](x + step * move, theta, v)[0]) > error:
                step /= 2
            x = x + step * move
        return x
    return np.array([solve(row) for row in z])
