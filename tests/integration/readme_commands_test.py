# SPDX-License-Identifier: Apache-2.0
"""Every command of the tool that README.md and client/README.md name runs as it stands there.

README.md names commands in its text, `millrace ...`, and flows in a table; client/README.md has a
list. They run in their order, against one server each, where the files are that they read.
"""

import re
import shlex
import unittest

import numpy
from harness import ROOT, Case
from images_test import write_idx

SHAPE = (16, 4)  # lines, pixels of a line


def strokes(count):
    """Grey images, each of a straight stroke from one place to another."""
    random = numpy.random.default_rng(7)
    ends = random.uniform((0, 0), (SHAPE[0] - 1, SHAPE[1] - 1), (count, 2, 2))
    along = numpy.linspace(0, 1, 2 * SHAPE[0])[:, None]
    points = ends[:, None, 0] * (1 - along) + ends[:, None, 1] * along
    pixels = numpy.stack(numpy.indices(SHAPE), axis=-1).reshape(1, -1, 1, 2)
    distance = ((pixels - points[:, None]) ** 2).sum(-1).min(-1)
    return numpy.rint(255 * numpy.exp(-distance)).astype(numpy.uint8).reshape(count, *SHAPE)


def text_of(path):
    """A document without its console blocks, which are commands of a shell."""
    return re.sub(r"^```.*?^```$", "", (ROOT / path).read_text(), flags=re.MULTILINE | re.DOTALL)


class ReadmeCommands(Case):
    def setUp(self):
        super().setUp()
        self.server = self.start_server()
        self.two_moons()

    def run_as_it_stands(self, command):
        name, *arguments = shlex.split(command)
        self.assertEqual("millrace", name)
        with self.subTest(command=command):
            self.tool(self.server, *arguments)
            for flag, value in zip(arguments, arguments[1:]):
                if flag in ("-o", "--output"):
                    self.assertGreater((self.folder / value).stat().st_size, 0)

    def images(self, count):
        write_idx(self.folder / "images.gz", strokes(count))
        write_idx(self.folder / "labels.gz", numpy.arange(count).astype(numpy.uint8) % 10)

    def test_commands_in_the_text(self):
        self.images(300)
        commands = [" ".join(words.split()) for words in
                    re.findall(r"`(millrace\s[^`]+)`", text_of("README.md"))]
        self.assertIn("millrace train digits images.gz", commands)
        self.assertIn("millrace sample digits -n 64 --output grid.png", commands)
        for command in commands:
            if "NAME" in command.split():  # the table, below
                continue
            alone = len(command.split()) == 2
            self.run_as_it_stands(command + " --help" if alone else command)

    def test_flows_of_the_table(self):
        self.images(100)
        rows = re.search(r"^\| `--flow` \|.*\n\|.*\n((?:\|.*\n)+)", text_of("README.md"),
                         re.MULTILINE)
        flows = [flow for row in rows[1].splitlines()
                 for flow in re.findall(r"`([^`]+)`", row.split("|")[1])]
        shown = self.tool(None, "train", "--help")[0]
        offered = re.search(r"--flow (\S+)", shown)[1].split("|")
        self.assertEqual(sorted(offered), sorted(flows))
        for flow in flows:
            file = "images.gz" if flow in ("glow", "realnvp-image") else "moons.csv"
            self.run_as_it_stands(
                f"millrace train {flow} {file} --flow {flow} --max-duration 500ms")

    def test_the_list(self):
        self.images(1008)
        text = text_of("client/README.md")
        (self.folder / "chain.json").write_text(
            re.search(r"^    \{\"chain\".*?\n\n", text, re.MULTILINE | re.DOTALL)[0])
        (self.folder / "holes.csv").write_text("x,y\n0.5,\n,0.25\n")
        (self.folder / "halves.csv").write_text(
            "x,y,half\n" + "".join(f"{i / 20 - 1},{0.6 - i % 2},{1 - i % 2}\n" for i in range(40)))
        random = numpy.random.default_rng(5)
        species = numpy.arange(150) % 3
        table = numpy.column_stack([random.normal(species[:, None], 0.3, (150, 4)), species])
        numpy.savetxt(self.folder / "iris.csv", table, delimiter=",", comments="",
                      header="sepal_length,sepal_width,petal_length,petal_width,species")
        commands = re.findall(r"^    (millrace .*)$", text, re.MULTILINE)
        self.assertGreater(len(commands), 20)
        for command in commands:
            self.run_as_it_stands(command)


if __name__ == "__main__":
    unittest.main()
