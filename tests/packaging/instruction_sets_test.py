# SPDX-License-Identifier: Apache-2.0
"""An installed release has a library for each level of x86-64: which is loaded, and that all agree.

MILLRACE_BIN names its folder of programs.
"""

import csv
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest
from unittest import mock

from harness import BIN, QUICK, Case

LOADER = "/lib64/ld-linux-x86-64.so.2"
# What the loader is told that the processor has not, so that it takes the library of the level.
MASKS = {"x86-64-v4": "", "x86-64-v3": "-AVX512F", "x86-64-v2": "-AVX512F,-AVX2"}
FOLDERS = {"x86-64-v4": "lib/glibc-hwcaps/x86-64-v4",
           "x86-64-v3": "lib/glibc-hwcaps/x86-64-v3",
           "x86-64-v2": "lib"}
ROW = 5  # of the table, asked for alone too
FLOWS = ("maf", "nsf-ar", "maf-mog", "realnvp", "residual")


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def loaded(program):
    """The file of the library that the program loads."""
    with mock.patch.dict(os.environ, LD_TRACE_LOADED_OBJECTS="1"):
        return pathlib.Path(re.search(r"libmillrace_core\S+ => (\S+)", output(program))[1]).resolve()


def library(tree, level):
    """The library of the level in an installed tree."""
    files = {file.resolve() for file in (tree / FOLDERS[level]).glob("libmillrace_core.so*")}
    assert len(files) == 1, files
    return files.pop()


def rows_of(text):
    return [{name: float(value) for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))]


class InstructionSets(Case):
    def at(self, level):
        """Programs that are started meanwhile load the library of that level."""
        if not re.search(rf"{level} \(supported", output(LOADER, "--help")):
            self.skipTest(f"this processor is below {level}")
        return mock.patch.dict(os.environ, GLIBC_TUNABLES=f"glibc.cpu.hwcaps={MASKS[level]}")

    def test_the_best_that_the_processor_has_is_loaded(self):
        for level in MASKS:
            with self.subTest(level=level), self.at(level):
                self.assertRegex(output(BIN / "millrace-server", "--version"),
                                 rf"\Amillrace-server \d+\.\d+\.\d+ for {level}\n\Z")

    def test_a_tree_may_be_moved_and_its_programs_linked_to(self):
        moved = self.folder / "moved"
        shutil.copytree(BIN.parent, moved, symlinks=True)
        link = self.folder / "server"
        link.symlink_to(moved / "bin/millrace-server")
        for level in FOLDERS:
            with self.subTest(level=level), self.at(level):
                for program in (moved / "bin/millrace-server", link):
                    self.assertEqual(library(moved, level), loaded(program))

    def test_each_library_says_what_it_needs(self):
        for level in FOLDERS:
            self.assertRegex(output("readelf", "-n", library(BIN.parent, level)),
                             rf"x86 ISA needed: .*{level}")

    def test_all_compute_the_same(self):
        self.two_moons()
        lines = (self.folder / "moons.csv").read_text().splitlines(keepends=True)
        (self.folder / "one.csv").write_text(lines[0] + lines[1 + ROW])
        server = self.start_server()
        for flow in FLOWS:
            self.tool(server, "train", flow, "moons.csv", "-q", "--flow", flow, *QUICK)
            model = json.loads(self.tool(server, "describe", flow, "--json")[0])
            self.assertFalse(model["report"]["fell_back_to_gaussian"], flow)
        expected = self.answers(server)
        self.assertEqual(0, server.terminate())
        for level in MASKS:
            with self.subTest(level=level), self.at(level):
                server = self.start_server()
                self.assertRegex(server.log(), rf" serving .* instruction_set={level}\b")
                self.assertIn(f'instruction_set="{level}"', server.metrics())
                answers = self.answers(server)
                self.assert_close(expected, answers)
                for flow in FLOWS:  # a row alone has the bits that it has in a table
                    self.assertEqual([answers["log-prob", flow, "moons.csv"][ROW]],
                                     answers["log-prob", flow, "one.csv"])
                self.assertEqual(0, server.terminate())

    def answers(self, server):
        """By question: log-densities of many rows and of one, and samples with theirs."""
        questions = [question for flow in FLOWS
                     for question in (("log-prob", flow, "moons.csv"), ("log-prob", flow, "one.csv"),
                                      ("sample", flow, "-n", "500", "--seed", "7"))]
        return {question: rows_of(self.tool(server, *question)[0]) for question in questions}

    def assert_close(self, expected, answers):
        for question, rows in expected.items():
            self.assertTrue(all(abs(other[name] - value) <= 1e-4 * max(1, abs(value))
                                for row, other in zip(rows, answers[question], strict=True)
                                for name, value in row.items()), question)


if __name__ == "__main__":
    unittest.main()
