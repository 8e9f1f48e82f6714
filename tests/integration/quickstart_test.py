# SPDX-License-Identifier: Apache-2.0
"""deploy/quickstart.sh with the programs of this build: nothing is installed or built."""

import gzip
import os
import random
import re
import subprocess
import unittest

from harness import BIN, ROOT, TIMEOUT, Case


class Quickstart(Case):
    def run_quickstart(self, *arguments):
        environment = {**os.environ, "MILLRACE_BIN": str(BIN),
                       "MILLRACE_QUICKSTART_DIR": str(self.folder / "quickstart")}
        return subprocess.run([ROOT / "deploy/quickstart.sh", *arguments], cwd=self.folder,
                              env=environment, capture_output=True, text=True, timeout=10 * TIMEOUT)

    def quickstart(self, *arguments, status=0):
        done = self.run_quickstart(*arguments)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def assert_stopped(self):
        log = (self.folder / "quickstart/server.log").read_text()
        self.assertIn(" stopped\n", log)

    def test_two_moons_come_within_a_tenth_of_a_nat(self):
        out = self.quickstart()
        model, exact = re.search(r"this model +(\S+) .*\n +exact density +(\S+)", out).groups()
        self.assertLess(abs(float(model) - float(exact)), 0.1)
        self.assertRegex(out, r"http://127\.0\.0\.1:\d+/metrics")
        self.assertRegex(out, r'millrace_requests_total\{model="moons",op="log_prob".*\} 1\n')
        self.assert_stopped()

    def test_a_table_of_ones_own_and_again(self):
        draw = random.Random(3)
        rows = [f"{draw.gauss(0, 1):.6f};{draw.gauss(5, 2):.6f};{i % 4}" for i in range(400)]
        table = self.folder / "2 My Table.csv.gz"
        table.write_bytes(gzip.compress("\n".join(["a;b;c", *rows, ""]).encode()))
        for version in (1, 2):
            out = self.quickstart(table.name)
            self.assertIn(f"model my-table version {version}", out)
            self.assertRegex(out, r"this model +-?\d+\.\d+ ± \d+\.\d+  \(40 rows\)")
            self.assertNotIn("exact density", out)
            self.assert_stopped()
        made = self.folder / "quickstart"
        self.assertEqual(["a;b;c", rows[9]], (made / "test.csv").read_text().split("\n")[:2])
        self.assertEqual(361, len((made / "train.csv").read_text().splitlines()))
        self.assertEqual(3, len((made / "absurd.csv").read_text().splitlines()))

    def test_what_cannot_be_read_or_trained_is_an_error(self):
        self.quickstart("absent.csv", status=1)
        (self.folder / "letters.csv").write_text("a,b\n" + "1,x\n" * 30)
        self.quickstart("letters.csv", status=3)
        self.assert_stopped()
        self.quickstart("--no-such-option", status=2)

    def test_a_table_too_small_to_hold_rows_out_is_refused_in_words(self):
        for rows, status in ((0, 1), (19, 1), (20, 0)):
            with self.subTest(rows=rows):
                (self.folder / "few.csv").write_text(
                    "a,b\n" + "".join(f"{i % 7}.5,{i * i}\n" for i in range(rows)))
                done = self.run_quickstart("few.csv")
                self.assertEqual(status, done.returncode, done.stdout + done.stderr)
                self.assertEqual(status == 1, "few.csv has fewer than 20 rows" in done.stderr)
                self.assert_stopped()


if __name__ == "__main__":
    unittest.main()
