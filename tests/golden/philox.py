# SPDX-License-Identifier: Apache-2.0
"""Numbers by Philox4x32-10 (Salmon et al. 2011) that depend on where they stand: fixed permutations and rotations of
flows, and the parameters of golden cases, which both sides draw instead of reading them from a file."""

import numpy as np

LOW = 0xFFFFFFFF


def philox(counter, key):
    c, k = [int(v) for v in counter], [int(v) for v in key]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & LOW, (p0 >> 32) ^ c[3] ^ k[1], p0 & LOW]
        k = [(k[0] + 0x9E3779B9) & LOW, (k[1] + 0xBB67AE85) & LOW]
    return c


def key_of(seed):
    return seed & LOW, seed >> 32 & LOW


def uniform(seed, stream, row, column):
    """On (0, 1), from 52 bits."""
    w = philox((row & LOW, row >> 32, column, stream), key_of(seed))
    return (((w[0] << 32 | w[1]) >> 12) + 0.5) * 2.0**-52


def normal(seed, row, column):
    """By Box and Muller; four columns come from one Philox number."""
    w = philox((row, 0, column // 4, 0), key_of(seed))[column % 4 // 2 * 2 :]
    radius, angle = np.sqrt(-2 * np.log((w[0] + 0.5) * 2.0**-32)), 2 * np.pi * w[1] * 2.0**-32
    return radius * (np.sin(angle) if column % 2 else np.cos(angle))


def random_order(size, seed, stream):
    """Fisher and Yates from the end, one number a swap."""
    order = list(range(size))
    for i in range(size, 1, -1):
        j = int(uniform(seed, stream, i, 0) * i)
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def signed(seed, stream, shape):
    """Numbers on (-1, 1) by their places."""
    rows, cols = shape
    return np.array([2 * uniform(seed, stream, r, c) - 1 for r in range(rows) for c in range(cols)]).reshape(shape)
