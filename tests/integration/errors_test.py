# SPDX-License-Identifier: Apache-2.0
"""What the tool says and which status it ends with when something is wrong."""

import gzip
import unittest

import numpy
from harness import Session

# Arguments, exit status, what standard error says.
CASES = (
    (("train", "Bad Name", "moons.csv"), 1, "name"),
    (("train", "bad", "absent.csv"), 3, "absent.csv: cannot open: No such file or directory [NOT_"),
    (("train", "bad", "letters.csv"), 3, "letters.csv:3:2: 'abc' is not a number"),
    (("train", "bad", "cut.csv.gz"), 3, "cut.csv.gz"),
    (("train", "bad", "cut.npy"), 3, "cut.npy"),
    (("train", "bad", "longer.csv.gz"), 3, "longer.csv.gz: the gzip stream is followed by"),
    (("train", "bad", "quotes.csv"), 3, "quotes.csv:2:1: '1' goes on with '2'"),
    (("train", "bad", "one.csv"), 1, "rows"),
    (("train", "bad", "moons.csv", "--layers", "-1"), 2, "--layers"),
    (("train", "bad", "moons.csv", "--hidden", "1,,"), 2, "--hidden: is '1,,'"),
    (("train", "bad", "moons.csv", "--bounds", "z=0:1"), 1, "'z'"),
    (("train", "bad", "moons.csv", "--bounds", "x=0:0.001"), 1, "moons.csv:"),
    (("log-prob", "absent", "moons.csv"), 1, "[NOT_FOUND]"),
    (("log-prob", "moons:99", "moons.csv"), 1, "version: 99"),
    (("log-prob", "moons:x", "moons.csv"), 2, "VERSION"),
    (("log-prob", "../moons", "moons.csv"), 1, "[INVALID_ARGUMENT]"),
    (("log-prob", "moons", "nan.csv"), 3, "nan.csv:2:1"),
    (("log-prob", "moons", "moons.csv", "-o", "no/such/folder.csv"), 3, "no/such/folder.csv"),
    (("log-prob", "moons", "moons.csv", "-o", "/dev/full"), 3, "[RESOURCE_EXHAUSTED]"),
    (("sample", "moons"), 2, "--count"),
    (("sample", "moons", "-n", "99999999999"), 1, "count"),
    (("sample", "moons", "-n", "1", "--temperature", "-1"), 1, "temperature"),
    (("interpolate", "moons", "moons.csv", "--rows", "0,1000"), 3, "moons.csv"),
    (("interpolate", "moons", "moons.csv", "--steps", "1"), 2, "--steps"),
    (("interpolate", "moons", "moons.csv", "--steps", "10001"), 1, "steps"),
    (("complete", "moons", "nan.csv", "--steps", "1"), 2, "--steps"),
    (("complete", "absent", "nan.csv"), 1, "[NOT_FOUND]"),
    (("complete", "moons", "letters.csv"), 3, "letters.csv:3:2"),
    (("attribute", "moons", "a", "moons.csv"), 2, "--without"),
    (("attribute", "moons", "a", "moons.csv", "--label", "z"), 3, "moons.csv"),
    (("manipulate", "moons", "moons.csv", "--attribute", "a"), 1, "attribute: a"),
    (("manipulate", "moons", "nan.csv", "--attribute", "a"), 3, "nan.csv:2:1"),
    (("describe", "absent"), 1, "[NOT_FOUND]"),
    (("models", "absent"), 1, "[NOT_FOUND]"),
    (("delete", "absent:1"), 1, "[NOT_FOUND]"),
    (("generate", "no-toy", "-n", "1"), 2, "no-toy"),
    (("generate", "rings", "-n", "99999999999999999999", "-o", "/dev/null"), 2, "--count: is '999"),
    (("generate", "rings", "-n", "1", "--seed", "18446744073709551616"), 2, "--seed: is '18"),
    (("no-command",), 2, "no-command"),
    (("models", "--server", "127.0.0.1:1", "--timeout", "5s"), 4, "127.0.0.1:1"),
)


class Errors(Session):
    def setUp(self):
        super().setUp()
        text = self.table.read_bytes()
        (self.folder / "letters.csv").write_text("x,y\n1,2\n3,abc\n")
        (self.folder / "nan.csv").write_text("x,y\nnan,2\n")
        (self.folder / "one.csv").write_text("x,y\n1,2\n")
        (self.folder / "quotes.csv").write_text('x,y\n"1"2,2\n')
        (self.folder / "cut.csv.gz").write_bytes(gzip.compress(text)[:-200])
        (self.folder / "longer.csv.gz").write_bytes(gzip.compress(text) + b"1,2\n")
        numpy.save(self.folder / "whole.npy", numpy.ones((100, 2)))
        (self.folder / "cut.npy").write_bytes((self.folder / "whole.npy").read_bytes()[:-1])

    def test_every_error_has_its_place_and_status(self):
        for arguments, status, says in CASES:
            with self.subTest(arguments=arguments):
                out, err = self.tool(self.server, *arguments, status=status)
                self.assertEqual("", out)
                self.assertIn(says, err)
        self.assertNotIn('"bad"', self.ask("models", "--json"))
        self.ask("log-prob", "moons", "moons.csv")  # the server is unharmed


if __name__ == "__main__":
    unittest.main()
