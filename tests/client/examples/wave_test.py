# SPDX-License-Identifier: Apache-2.0
"""The Python example runs as its README says, and what it prints is true.

    python3 tests/integration/with_server.py python3 tests/client/examples/wave_test.py
"""

import os
import pathlib
import re
import subprocess
import sys
import unittest

EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "client/examples/python/wave.py"


def run(server):
    return subprocess.run([sys.executable, "-B", EXAMPLE, "--server", server], capture_output=True,
                          text=True, timeout=300)


class Wave(unittest.TestCase):
    def test_trains_scores_and_samples(self):
        done = run(os.environ["MILLRACE_SERVER"])
        self.assertEqual(0, done.returncode, done.stderr)
        print(done.stdout)
        held_out, exact = self.numbers(r"held-out rows: (\S+) nats, exact (\S+)", done.stdout)
        self.assertAlmostEqual(exact, held_out, delta=0.05)
        self.assertRegex(done.stdout, r"epoch \d+: validation ")
        self.assertRegex(done.stdout, r"on the wave: .* anomaly: no")
        self.assertRegex(done.stdout, r"far below it: .* anomaly: yes")
        drawn, true = (self.numbers(pattern + r" mean \[(.+?)\]  deviation \[(.+?)\]", done.stdout)
                       for pattern in ("new rows: ", "true source:"))
        for a, b in zip(drawn, true, strict=True):
            self.assertAlmostEqual(a, b, delta=0.1)

    def test_says_so_without_a_server(self):
        done = run("127.0.0.1:1")
        self.assertEqual(1, done.returncode)
        self.assertIn("no server at 127.0.0.1:1", done.stderr)

    def numbers(self, pattern, text):
        found = re.search(pattern, text)
        self.assertIsNotNone(found, text)
        return [float(number) for group in found.groups() for number in group.split()]


if __name__ == "__main__":
    unittest.main()
