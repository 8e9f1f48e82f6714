# SPDX-License-Identifier: Apache-2.0
"""Images through the tool and a real server: read from every kind of file, drawn as pictures."""

import csv
import gzip
import io
import struct
import unittest
import zlib

import numpy
from harness import QUICK, Case

SHAPE = (1500, 5, 4)  # images, lines, pixels of a line
GAP = 2  # pixels between images of a grid


def write_idx(path, array):
    """An array of unsigned bytes, as MNIST comes; compressed where the name ends in .gz."""
    data = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data += array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_png(path, image):
    """A grey image [lines, pixels]."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in image)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def paeth(left, up, corner):
    distances = [(abs(up - corner), 0, left), (abs(left - corner), 1, up),
                 (abs(left + up - 2 * corner), 2, corner)]
    return min(distances)[2]


def read_png(path):
    """The grey image of 8 bits in a file, [lines, pixels]; not interlaced."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, *how = struct.unpack(">IIBBBBB", data[at + 8:at + 21])
            assert how == [8, 0, 0, 0, 0], how
        elif kind == b"IDAT":
            packed += data[at + 8:at + 8 + size]
        at += size + 12
    stored = numpy.frombuffer(zlib.decompress(packed), numpy.uint8).reshape(height, width + 1)
    image = numpy.zeros((height + 1, width + 1), int)  # a line and a column of 0 before it
    for y, (kind, *line) in enumerate(stored.tolist(), 1):
        for x, value in enumerate(line, 1):
            left, up, corner = image[y, x - 1], image[y - 1, x], image[y - 1, x - 1]
            guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
            image[y, x] = (value + guess) % 256
    return image[1:, 1:]


def rows_of(text, columns):
    """The images that a CSV holds in its columns from one to another, as bytes."""
    rows = list(csv.reader(io.StringIO(text)))[1:]
    values = numpy.array([row[columns] for row in rows], float)
    return numpy.floor(numpy.clip(values, 0, 255) + 0.5).astype(int).reshape(-1, *SHAPE[1:])


def figures_of(text):
    """The rows of a CSV as dictionaries of numbers."""
    return [{name: float(value) for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))]


def grid_of(images, across):
    lines = -(-len(images) // across)
    height, width = SHAPE[1] + GAP, SHAPE[2] + GAP
    grid = numpy.full((lines * height - GAP, across * width - GAP), 128)
    for i, image in enumerate(images):
        y, x = i // across * height, i % across * width
        grid[y:y + SHAPE[1], x:x + SHAPE[2]] = image
    return grid


class Images(Case):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(3)
        self.labels = random.integers(2, size=SHAPE[0]).astype(numpy.uint8)
        mean = numpy.where(self.labels[:, None, None] == 1, 180, 70)
        noise = random.normal(scale=20, size=SHAPE)
        self.images = numpy.clip(numpy.rint(mean + noise), 0, 255).astype(numpy.uint8)
        write_idx(self.folder / "images.gz", self.images)
        write_idx(self.folder / "labels.gz", self.labels)
        self.server = self.start_server()

    def ask(self, *arguments, **options):
        return self.tool(self.server, *arguments, **options)[0]

    def test_everything(self):
        _, err = self.tool(self.server, "train", "plain", "images.gz", "--rows", "0:1200", *QUICK)
        self.assertIn("accepted 1200 rows of 20 columns", err)
        _, err = self.tool(self.server, "train", "labelled", "images.gz", "--labels", "labels.gz",
                           "--categorical", "label", *QUICK)
        self.assertIn("accepted 1500 rows of 21 columns", err)
        self.inputs()
        self.flows()
        self.labels_and_ranges()
        self.grids()
        self.strips()
        self.attributes()
        self.holes()
        self.refusals()

    def inputs(self):
        expected = self.ask("log-prob", "plain", "images.gz")
        self.assertEqual(1 + SHAPE[0], len(expected.splitlines()))
        write_idx(self.folder / "images.idx", self.images)
        numpy.save(self.folder / "images.npy", self.images)
        numpy.save(self.folder / "floats.npy", numpy.asfortranarray(self.images[..., None] * 1.0))
        numpy.savez_compressed(self.folder / "images.npz", X=self.images, y=self.labels)
        numpy.savetxt(self.folder / "table.csv", self.images.reshape(SHAPE[0], -1), delimiter=",")
        (self.folder / "images").mkdir()
        for i, image in enumerate(self.images):
            write_png(self.folder / "images" / f"{i:04}.png", image)
        for file in ("images.idx", "images.npy", "floats.npy", "images.npz", "table.csv", "images"):
            with self.subTest(file=file):
                self.assertEqual(expected, self.ask("log-prob", "plain", file))

    def flows(self):
        """Images are learned by flows of images, unless another is named."""
        text = self.ask("describe", "plain")
        self.assertIn("glow, ", text)
        self.assertIn("images of 5x4x1", text)
        self.assertRegex(text, r"images +[4-8]\.\d+ bits per dimension, held out")
        for name, *flags in (("vector", "images.gz", "--flow", "maf"),
                             ("checkers", "images.gz", "--flow", "realnvp-image", "--levels", "1"),
                             ("table", "table.csv"), ("shaped", "table.csv", "--image", "5x4")):
            self.tool(self.server, "train", name, *flags, *QUICK)
            text = self.ask("describe", name)
            of_images = name in ("checkers", "shaped")
            self.assertEqual(of_images, "images of 5x4x1" in text, text)
            self.assertEqual(name != "table", "from -14.7222" in text, text)
            values = rows_of(self.ask("sample", name, "-n", "50"), slice(None))
            self.assertTrue(((values >= 0) & (values <= 255)).all())

    def labels_and_ranges(self):
        numpy.savetxt(self.folder / "labels.csv", self.labels, fmt="%d")
        given = ("log-prob", "labelled", "images.gz", "--labels", "labels.csv")
        lines = self.ask(*given).splitlines()
        last = self.ask(*given, "--rows", "1200:").splitlines()
        self.assertEqual(lines[:1] + lines[1 + 1200:], last)
        numpy.savetxt(self.folder / "other.csv", 1 - self.labels, fmt="%d")
        right, wrong = (float(self.ask(*given[:-1], file, "--mean").split()[0])
                        for file in ("labels.csv", "other.csv"))
        self.assertGreater(right, wrong)

    def grids(self):
        draw = ("sample", "plain", "-n", "7", "--seed", "5")
        images = rows_of(self.ask(*draw), slice(None))
        self.ask(*draw, "--image", "5x4", "-o", "grid.png")
        numpy.testing.assert_array_equal(grid_of(images, 3), read_png(self.folder / "grid.png"))
        self.ask(*draw, "-o", "grid.png")  # the model knows its images
        numpy.testing.assert_array_equal(grid_of(images, 3), read_png(self.folder / "grid.png"))

        draw = ("sample", "labelled", "-n", "4", "--given", "label=0", "--given", "label=1")
        images = rows_of(self.ask(*draw), slice(20))
        self.ask(*draw, "--image", "5x4", "-o", "grid.png")
        grid = read_png(self.folder / "grid.png")
        numpy.testing.assert_array_equal(grid_of(images, 4), grid)
        self.assertLess(grid[:5].mean(), grid[7:].mean())

    def strips(self):
        walk = ("interpolate", "plain", "images.gz", "--rows", "3,8", "--steps", "5")
        images = rows_of(self.ask(*walk), slice(1, 21))
        self.ask(*walk, "-o", "strip.png")
        self.ask(*(w.replace("images.gz", "table.csv") for w in walk), "-o", "other.png")
        self.assertEqual((self.folder / "strip.png").read_bytes(),
                         (self.folder / "other.png").read_bytes())
        strip = read_png(self.folder / "strip.png")
        numpy.testing.assert_array_equal(grid_of(images, 5), strip)
        numpy.testing.assert_allclose(self.images[8], strip[:, -4:], atol=1)

    def attributes(self):
        """Which images are bright is told by their labels; moved along, they become so."""
        self.ask("attribute", "plain", "bright", "images.gz", "--labels", "labels.gz", "--rows",
                 ":1200", "--label", "label")
        move = ("manipulate", "plain", "images.gz", "--rows", "1200:1203", "--attribute", "bright",
                "--amount", "-1,0,1")
        moved = rows_of(self.ask(*move), slice(1, 21))
        self.ask(*move, "-o", "moved.png")
        strip = read_png(self.folder / "moved.png")
        numpy.testing.assert_array_equal(grid_of(moved, 3), strip)
        numpy.testing.assert_allclose(self.images[1200:1203], moved[1::3], atol=1)
        self.assertLess(moved[0::3].mean() + 20, moved[2::3].mean())

    def holes(self):
        hole = (slice(None), slice(2, 5), slice(1, 3))
        complete = ("complete", "plain", "images.gz", "--rows", "1200:1202", "--missing", "2:,1:3",
                    "--seed", "3")
        drawing = (*complete, "--draws", "3", "--steps", "20")
        likely = self.ask(*complete, "--steps", "20")
        drawn = drawn_text = self.ask(*drawing)
        self.assertEqual(["log_prob", "converged"], likely.splitlines()[0].split(",")[-2:])
        self.assertEqual(1 + 2 * 3, len(drawn.splitlines()))
        likely, drawn = (rows_of(text, slice(20)) for text in (likely, drawn))
        known = numpy.ones(SHAPE[1:], bool)
        known[hole[1:]] = False
        for images, copies in ((likely, 1), (drawn, 3)):
            expected = numpy.repeat(self.images[1200:1202], copies, axis=0)
            numpy.testing.assert_array_equal(expected[:, known], images[:, known])
        holed = self.images[1200:1202].astype(int)
        holed[hole] = 128
        lines = [image for i in range(2)
                 for image in (holed[i], likely[i], *drawn[3 * i:3 * i + 3])]
        figures = figures_of(self.ask(*drawing, "-o", "holes.png"))
        self.assertEqual([(row, draw) for row in (1200, 1201) for draw in range(4)],
                         [(figure["row"], figure["draw"]) for figure in figures])
        self.assertEqual([figure["log_prob"] for figure in figures if figure["draw"] > 0],
                         [figure["log_prob"] for figure in figures_of(drawn_text)])
        for figure in figures:
            told, absent = ("acceptance_rate", "converged")[::1 if figure["draw"] > 0 else -1]
            self.assertTrue(0 <= figure[told] <= 1)
            self.assertTrue(numpy.isnan(figure[absent]))
        numpy.testing.assert_array_equal(grid_of(lines, 5), read_png(self.folder / "holes.png"))
        floats = self.images[1200:1202].astype(float)
        floats[hole] = numpy.nan
        numpy.save(self.folder / "holes.npy", floats)
        self.ask("complete", "plain", "holes.npy", *drawing[7:], "-o", "same.png")
        self.assertEqual((self.folder / "holes.png").read_bytes(),
                         (self.folder / "same.png").read_bytes())

    def refusals(self):
        numpy.savetxt(self.folder / "noise.csv", self.images.reshape(SHAPE[0], -1) + 0.5,
                      delimiter=",")
        for says, status, *arguments in (
                ("images of 4 x 4 x 1 have 16 numbers, the rows 20", 1, "sample",
                 "plain", "-n", "1", "--image", "4x4", "-o", "no.png"),
                ("--image", 1, "sample", "table", "-n", "1", "-o", "no.png"),
                ("flow.image: 4 x 4 x 1; expected a product of 20", 1, "train", "no", "table.csv",
                 "--image", "4x4"),
                ("images of 9 x 9 x 1 have 81 numbers, the table has 20 columns", 1, "train", "no",
                 "table.csv", "--image", "9x9"),
                ("flow.stack.levels: 6; expected 1 to 2", 1, "train", "no", "images.gz",
                 "--levels", "6"),
                ("flow.stack.mixing: set; expected unset: glow has no use for it", 1, "train", "no",
                 "images.gz", "--mixing", "lu"),
                ("a pixel, an integer from 0 to 255", 1, "train", "no", "noise.csv", "--image",
                 "5x4"),
                ("--image", 2, "sample", "plain", "-n", "1", "--image", "4by4", "-o", "no.png"),
                ("holds 1500 labels for the 1 rows of images/0000.png", 3, "train", "no",
                 "images/0000.png", "--labels", "labels.gz"),
                ("has 1500 rows, too few for rows 0:1501", 3, "log-prob", "plain", "images.gz",
                 "--rows", "0:1501"),
                ("--missing 0:6,0: is not within images of 5 x 4 x 1", 1, "complete", "plain",
                 "images.gz", "--missing", "0:6,:", "-o", "no.png"),
                ("not TOP:BOTTOM,LEFT:RIGHT", 2, "complete", "plain", "images.gz", "--missing",
                 "2:2,:", "-o", "no.png"),
                ("images.gz, row 1400: nothing is missing in 100 images", 1, "complete", "plain",
                 "images.gz", "--rows", "1400:", "-o", "no.png"),
                ("does not tell the size of an image of 20 numbers", 1, "manipulate", "table",
                 "table.csv", "--attribute", "bright", "-o", "no.png"),
                ("expected one of 'bright'", 1, "manipulate", "plain", "images.gz", "--attribute",
                 "dark", "-o", "no.png"),
                ("too few for rows 1500:", 3, "manipulate", "plain", "images.gz", "--rows",
                 "1500:", "--attribute", "bright", "-o", "no.png")):
            with self.subTest(arguments=arguments):
                self.assertIn(says, self.tool(self.server, *arguments, status=status)[1])
        self.assertFalse((self.folder / "no.png").exists())


if __name__ == "__main__":
    unittest.main()
