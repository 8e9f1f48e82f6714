# SPDX-License-Identifier: Apache-2.0
"""The Python example that fits a density of its own runs, and what it prints is true.

    python3 tests/integration/with_server.py python3 tests/client/examples/fit_density_test.py
"""

import os
import pathlib
import re
import subprocess
import sys
import unittest

EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "client/examples/python/fit_density.py"


class FitDensity(unittest.TestCase):
    def test_finds_the_evidence(self):
        done = subprocess.run([sys.executable, "-B", EXAMPLE, "--server",
                               os.environ["MILLRACE_SERVER"]], capture_output=True, text=True,
                              timeout=300)
        self.assertEqual(0, done.returncode, done.stderr)
        print(done.stdout)
        self.assertRegex(done.stdout, r"step \d+: mean of ln p - ln q ")
        evidence, exact = map(float, re.search(r"evidence: (\S+) nats .* exact (\S+)",
                                               done.stdout).groups())
        self.assertAlmostEqual(exact, evidence, delta=0.05)
        effective = float(re.search(r"effective samples: (\S+)", done.stdout).group(1))
        self.assertGreater(effective, 0.8)


if __name__ == "__main__":
    unittest.main()
