# SPDX-License-Identifier: Apache-2.0
"""AUROC and average precision on cases done by hand, the Gaussian on rows of a known one."""

import os
import unittest

import numpy as np

os.environ.setdefault("MILLRACE_BIN", ".")  # no program is run here
import anomaly  # noqa: E402
import rig  # noqa: E402


class Metrics(unittest.TestCase):
    def check(self, scores, labels, auroc, precision):
        scores, positive = np.array(scores, dtype=float), np.array(labels) == 1
        self.assertAlmostEqual(100 * auroc, anomaly.auroc(scores, positive))
        self.assertAlmostEqual(100 * precision, anomaly.average_precision(scores, positive))

    def test_perfect(self):
        self.check([1, 2, 3, 4], [0, 0, 1, 1], 1, 1)

    def test_reversed(self):
        self.check([4, 3, 2, 1], [0, 0, 1, 1], 0, (1 / 3 + 2 / 4) / 2)

    def test_mixed(self):
        # Pairs (anomaly, normal) in order: 4 > 3, 4 > 1, 2 > 1, but 2 < 3.
        self.check([1, 2, 3, 4], [0, 1, 0, 1], 3 / 4, (1 + 2 / 3) / 2)

    def test_ties_count_half_and_share_a_threshold(self):
        self.check([1, 1, 1, 1], [0, 1, 0, 1], 1 / 2, 1 / 2)
        self.check([2, 2, 1], [0, 1, 0], 3 / 4, 1 / 2)


class Gaussian(unittest.TestCase):
    def test_of_two_correlated_columns(self):
        rows = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])
        covariance = np.array([[1.0, 0.5], [0.5, 0.5]])
        point = np.array([[0.3, -0.4]])
        expected = -0.5 * (point @ np.linalg.inv(covariance) @ point.T).item() \
            - 0.5 * np.log(np.linalg.det(2 * np.pi * covariance))
        self.assertAlmostEqual(expected, rig.Gaussian(rows).log_prob(point).item())

    def test_leaves_out_constant_columns_and_bears_singular_ones(self):
        x = np.array([-1.0, 0.0, 2.0, 5.0])
        rows = np.stack([x, 2 * x, np.full(4, 7.0)], axis=1)
        alone = rig.Gaussian(x[:, None]).log_prob(x[:, None])
        found = rig.Gaussian(rows).log_prob(rows)
        self.assertTrue(np.all(np.isfinite(found)))
        # The second column, given the first, adds the same to every row.
        self.assertAlmostEqual(0.0, np.ptp(found - alone), places=6)


if __name__ == "__main__":
    unittest.main()
