# SPDX-License-Identifier: Apache-2.0
"""The tables, cut and scaled by fixed protocols."""

import gzip

import numpy as np

ANOMALY_SETS = [
    "2_annthyroid", "4_breastw", "6_cardio", "7_Cardiotocography", "12_fault", "14_glass",
    "16_http", "22_magic.gamma", "28_pendigits", "29_Pima", "34_smtp", "35_SpamBase", "38_thyroid",
    "41_Waveform", "42_WBC", "43_WDBC", "45_wine", "46_WPBC", "47_yeast"]
MOST_ANOMALY_ROWS = 50000
WINE_FOLDS = 10


def density_table(data, name):
    """(fit, test) of protein, kin40k or pumadyn32nm: permuted by RandomState(0), 80/10/10, the
    first two parts to fit on, standardised by the first."""
    rows = _read_csv(data / f"density/{name}_data.csv.gz")
    rows = rows[np.random.RandomState(0).permutation(len(rows))]
    train, validation = int(0.8 * len(rows)), int(0.1 * len(rows))
    fit, test = rows[:train + validation], rows[train + validation:]
    mean, deviation = fit[:train].mean(axis=0), fit[:train].std(axis=0)
    return (fit - mean) / deviation, (test - mean) / deviation


def wine_folds(data):
    """Ten (fit, test) of red wine without its quality, standardised by the fitted rows."""
    rows = np.delete(_read_csv(data / "density/wine_data.csv.gz"), 10, axis=1)
    parts = np.array_split(np.random.RandomState(0).permutation(len(rows)), WINE_FOLDS)
    for part in parts:
        fit, test = np.delete(rows, part, axis=0), rows[part]
        mean, deviation = fit.mean(axis=0), fit.std(axis=0)
        yield (fit - mean) / deviation, (test - mean) / deviation


def patches(data):
    """(fit, test) of 8 x 8 patches: dequantised, less their mean, last pixel dropped, [n, 63]."""
    archive = np.load(data / "density/bsds500test_patches8x8_u8.npz")
    noise = np.random.RandomState(0)

    def prepare(pixels):
        values = (pixels.reshape(len(pixels), 64) + noise.uniform(size=(len(pixels), 64))) / 256
        return (values - values.mean(axis=1, keepdims=True))[:, :63]

    train, validation, test = (prepare(archive[key]) for key in ("train", "val", "test"))
    return np.concatenate([train, validation]), test


def anomaly_split(data, name, seed):
    """(fit, test, is_anomaly): half of the normal rows to fit on, the others and all anomalies."""
    archive = np.load(data / f"anomaly/{name}.npz")
    rows, labels = archive["X"].astype(np.float64), archive["y"] == 1
    random = np.random.RandomState(seed)
    if len(rows) > MOST_ANOMALY_ROWS:
        drawn = random.choice(len(rows), MOST_ANOMALY_ROWS, replace=False)
        rows, labels = rows[drawn], labels[drawn]
    normal = rows[~labels]
    normal = normal[random.permutation(len(normal))]
    half = len(normal) // 2
    test = np.concatenate([normal[half:], rows[labels]])
    return normal[:half], test, np.arange(len(test)) >= len(normal) - half


def digits(data):
    """The path of MNIST's images, and these as rows of pixels, [60000, 784] of 0 to 255; the last
    10,000 are to test on."""
    path = data / "images/train-images-idx3-ubyte.gz"
    with gzip.open(path) as file:
        return path, np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28 * 28)


def _read_csv(path):
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=",", ndmin=2)
