# SPDX-License-Identifier: Apache-2.0
"""A density p(x | c) through the tool and a real server: trained, asked, drawn from, walked in."""

import csv
import io
import json
import math
import unittest

import numpy
from harness import Case

LABELS = {3: 0.1, 8: 0.5}  # class label: deviation of x


def mean(c):
    return math.sin(2 * math.pi * c)


def rows_of(text):
    return [{name: float(value) for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))]


class Conditional(Case):
    """wave.csv: x is normal about a wave of c, and as wide as its label k says."""

    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(5)
        c = random.uniform(size=4000)
        k = random.choice(list(LABELS), size=4000)
        x = numpy.sin(2 * math.pi * c) + numpy.vectorize(LABELS.get)(k) * random.normal(size=4000)
        self.values = numpy.stack([c, x, k], axis=1)
        self.write("wave.csv", "c,x,k", self.values)
        self.server = self.start_server()
        self.ask("train", "wave", "wave.csv", "-q", "--condition", "c", "--categorical", "k",
                 "--layers", "2", "--hidden", "24,24,24", "--activation", "tanh", "--batch-size",
                 "64", "--learning-rate", "0.005", "--max-epochs", "25")

    def write(self, name, header, values):
        numpy.savetxt(self.folder / name, values, delimiter=",", header=header, comments="",
                      fmt="%.17g")

    def ask(self, *arguments, **options):
        return self.tool(self.server, *arguments, **options)[0]

    def refused(self, *arguments):
        """What the tool says of a question that the server refuses."""
        return self.tool(self.server, *arguments, status=1)[1]

    def test_everything(self):
        self.describe()
        self.score()
        self.sample()
        self.interpolate()
        self.refuse()

    def describe(self):
        model = json.loads(self.ask("describe", "wave", "--json"))
        self.assertFalse(model["report"]["fell_back_to_gaussian"])
        self.assertEqual(1, model["latent_dim"])
        self.assertEqual(
            [("c", "COLUMN_ROLE_CONDITION", "COLUMN_TYPE_CONTINUOUS"),
             ("x", "COLUMN_ROLE_FEATURE", "COLUMN_TYPE_CONTINUOUS"),
             ("k", "COLUMN_ROLE_CONDITION", "COLUMN_TYPE_CATEGORICAL")],
            [(c["spec"]["name"], c["spec"]["role"], c["spec"]["type"]) for c in model["columns"]])
        self.assertEqual([3, 8], model["columns"][2]["categories"])
        self.assertRegex(self.ask("describe", "wave"), r"k +categorical .*a condition: 3, 8")

    def score(self):
        exact = numpy.mean([-0.5 * ((x - mean(c)) / LABELS[k]) ** 2 - math.log(LABELS[k])
                            - 0.5 * math.log(2 * math.pi) for c, x, k in self.values])
        text = self.ask("log-prob", "wave", "wave.csv", "--mean")
        self.assertAlmostEqual(exact, float(text.split()[0]), delta=0.1)
        # Columns in another order, without a header, from elsewhere: the same rows.
        self.write("shuffled.csv", "k,c,x", self.values[:, [2, 0, 1]])
        self.assertEqual(text, self.ask("log-prob", "wave", "shuffled.csv", "--mean"))
        numpy.save(self.folder / "wave.npy", self.values)
        self.assertEqual(text, self.ask("log-prob", "wave", "wave.npy", "--mean"))

        # 1 is the crest of the wave and far from its trough.
        self.write("ones.csv", "k,x,c", [[3, 1, 0.25], [3, 1, 0.75]])
        scores = rows_of(self.ask("score", "wave", "ones.csv", "-q", "--with-input",
                                  "--contributions", "conditional"))
        self.assertEqual([0, 1], [row["is_anomaly"] for row in scores])
        self.assertEqual([0.25, 0.75], [row["c"] for row in scores])
        self.assertAlmostEqual(scores[0]["log_prob"], scores[0]["contribution_x"], delta=0.01)
        (self.folder / "x.csv").write_text("x\n1\n1\n")
        given = rows_of(self.ask("score", "wave", "x.csv", "-q", "--given", "c=0.75,k=3"))
        self.assertEqual([scores[1]["log_prob"]] * 2, [row["log_prob"] for row in given])

    def sample(self):
        rows = rows_of(self.ask("sample", "wave", "-n", "2000", "--seed", "3", "--given",
                                "c=0.25,k=3", "--given", "k=8,c=0.75"))
        self.assertEqual(4000, len(rows))
        for part, c, k in ((rows[:2000], 0.25, 3), (rows[2000:], 0.75, 8)):
            self.assertEqual({(c, k)}, {(row["c"], row["k"]) for row in part})
            x = [row["x"] for row in part]
            self.assertAlmostEqual(mean(c), numpy.mean(x), delta=0.3 * LABELS[k])
            self.assertAlmostEqual(LABELS[k], numpy.std(x), delta=0.3 * LABELS[k])
        # Of a table of conditions; what is drawn is a table like that of training.
        self.write("conditions.csv", "unused,k,c", [[1, 3, 0.25], [2, 8, 0.75]])
        text = self.ask("sample", "wave", "-n", "2000", "--seed", "3", "--context",
                        "conditions.csv")
        self.assertEqual("c,x,k", text.splitlines()[0])
        self.assertEqual(rows, rows_of(text))
        self.assertEqual(4000, len(rows_of(self.ask("log-prob", "wave", stdin=text.encode()))))

    def interpolate(self):
        self.write("ends.csv", "c,x,k", [[0.25, 0.8, 8], [0.25, 1.9, 8], [0.5, 0, 8]])
        path = rows_of(self.ask("interpolate", "wave", "ends.csv", "--steps", "4"))
        self.assertAlmostEqual(0.8, path[0]["x"], delta=1e-3)
        self.assertAlmostEqual(1.9, path[3]["x"], delta=1e-3)
        self.assertEqual(path, rows_of(self.ask("interpolate", "wave", "ends.csv", "--steps", "4",
                                                "--given", "k=8,c=0.25")))
        self.assertIn("different conditions",
                      self.refused("interpolate", "wave", "ends.csv", "--rows", "0,2"))

    def refuse(self):
        self.write("label.csv", "c,x,k", [[0.5, 0, 3], [0.5, 0, 4]])
        error = self.refused("log-prob", "wave", "label.csv")
        self.assertIn("label.csv:3: ", error)
        self.assertIn("a category of 'k': 3, 8", error)
        self.write("short.csv", "c,x", [[0.5, 0]])
        self.assertIn("no column 'k', a condition of model wave",
                      self.refused("log-prob", "wave", "short.csv"))
        self.assertIn("'c', 'k'", self.refused("sample", "wave", "-n", "3"))
        self.assertIn("no column 'k'", self.refused("sample", "wave", "-n", "3", "--given", "c=1"))
        self.assertIn("no conditions", self.refused("sample", "wave", "-n", "3", "--given",
                                                    "c=1,k=3,z=2"))
        self.tool(self.server, "sample", "wave", "-n", "3", "--given", "c", status=2)
        self.assertIn("columns", self.refused("train", "all", "wave.csv", "-q", "--condition",
                                              "c,x,k"))
        self.assertIn("no column 'z'", self.refused("train", "z", "wave.csv", "-q", "--condition",
                                                    "z"))


if __name__ == "__main__":
    unittest.main()
