# SPDX-License-Identifier: Apache-2.0
"""Every command of the tool against a real server, over every kind of input and output."""

import csv
import gzip
import io
import json
import math
import re
import subprocess
import unittest

import numpy
from harness import BIN, QUICK, Case, Session


def rows_of(text):
    """The rows of a CSV as dictionaries of floats."""
    return [{name: float(value) for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))]


def column(text, name):
    return [row[name] for row in rows_of(text)]


class Commands(Session):
    def test_every_kind_of_input_gives_the_same_model_and_answers(self):
        values = numpy.loadtxt(self.table, delimiter=",", skiprows=1)
        text = self.table.read_bytes()
        (self.folder / "moons.csv.gz").write_bytes(gzip.compress(text))
        (self.folder / "semicolons.csv").write_bytes(text.replace(b",", b";"))
        (self.folder / "headless.csv").write_bytes(text.partition(b"\n")[2])
        numpy.save(self.folder / "moons.npy", values)
        numpy.savez_compressed(self.folder / "moons.npz", X=values, y=values[:, 0])
        inputs = {"csv": ("moons.csv", b""), "gz": ("moons.csv.gz", b""),
                  "semicolons": ("semicolons.csv", b""), "headless": ("headless.csv", b""),
                  "npy": ("moons.npy", b""), "npz": ("moons.npz", b""), "stdin": ("-", text)}
        expected = self.ask("log-prob", "moons", "moons.csv")
        for name, (file, stdin) in inputs.items():
            with self.subTest(input=name):
                self.ask("train", f"from-{name}", file, "-q", *QUICK, stdin=stdin)
                self.assertEqual(expected, self.ask("log-prob", f"from-{name}", file, stdin=stdin))

    def test_train_reports_what_it_took_and_what_it_made(self):
        out, err = self.tool(self.server, "train", "report", "moons.csv", *QUICK)
        self.assertIn("accepted 1000 rows of 2 columns", err)
        self.assertRegex(out, r"model report version 1\n")
        self.assertRegex(out, r"held out +-?\d+\.\d+ ± \d+\.\d+ nats per row")

        out, err = self.tool(self.server, "train", "report", "moons.csv", "--json", "-q", *QUICK)
        self.assertEqual("", err)
        done = json.loads(out)
        self.assertEqual("2", done["version"])
        report = done["report"]
        self.assertEqual(1000, sum(int(report[f"{part}_rows"])
                                   for part in ("fit", "validation", "calibration")))
        self.assertFalse(report["fell_back_to_gaussian"])
        self.assertGreater(report["held_out"]["user_nats"],
                           report["gaussian_held_out"]["user_nats"])

    def test_fits_to_a_density_and_distils_it(self):
        quick = ("--steps", "300", "--batch-size", "128", "--samples", "2000")
        out, err = self.tool(self.server, "fit-density", "bent", "--energy", "banana", *quick)
        self.assertIn("accepted a density of 2 columns", err)
        self.assertRegex(out, r"model bent version 1\n")
        integral = float(re.search(r"ln of the integral +(\S+)", out).group(1))
        self.assertAlmostEqual(math.log(2 * math.pi), integral, delta=0.3)

        out, err = self.tool(self.server, "distill", "bent-student", "--from", "bent:1", "--json",
                             "-q", "--flow", "nsf-c", *quick)
        self.assertEqual("", err)
        report = json.loads(out)["report"]
        self.assertEqual("STOP_REASON_MAX_STEPS", report["stop_reason"])
        self.assertLess(report["density_fit"]["divergence"], 0.5)
        self.assertRegex(self.tool(self.server, "describe", "bent-student")[0],
                         r"effective samples")

    def test_flows_are_those_that_were_asked_for(self):
        self.ask("train", "coupled", "moons.csv", "-q", *QUICK[2:], "--flow", "realnvp",
                 "--layers", "6", "--mask", "half", "--base", "student-t")
        self.assertRegex(self.ask("describe", "coupled"),
                         r"flow +realnvp, 6 layers of 24 .*, base student-t, ")
        flow = json.loads(self.ask("describe", "coupled", "--json"))["flow"]
        self.assertEqual("BASE_KIND_STUDENT_T", flow["base"]["kind"])
        self.assertEqual("ARCHITECTURE_REALNVP", flow["stack"]["architecture"])
        self.assertEqual("MASK_HALF", flow["stack"]["mask"])

        bijection = {"kind": "BIJECTION_KIND_RATIONAL_QUADRATIC", "bins": 6}
        layers = [{"linear": {"start": "LINEAR_START_WHITEN"}},
                  {"autoregressive": {"bijection": bijection, "network": {"hidden_sizes": [16]}}},
                  {"elementwise": {"kind": "BIJECTION_KIND_SIGMOID"}}]
        file = self.folder / "chain.json"
        file.write_text(json.dumps({"chain": {"layers": layers},
                                    "base": {"kind": "BASE_KIND_UNIFORM"}}))
        self.ask("train", "chained", "moons.csv", "-q", "--max-epochs", "3",
                 "--flow-file", "chain.json")
        self.assertRegex(self.ask("describe", "chained"),
                         r"flow +a chain of 3 layers, base uniform, ")
        trained = json.loads(self.ask("describe", "chained", "--json"))["flow"]["chain"]["layers"]
        self.assertEqual(6, trained[1]["autoregressive"]["bijection"]["bins"])
        self.assertEqual("LINEAR_START_WHITEN", trained[0]["linear"]["start"])
        self.assertEqual(1000, len(column(self.ask("log-prob", "chained", "moons.csv"),
                                          "log_prob")))

        _, err = self.tool(self.server, "train", "mixed", "moons.csv", "--flow-file", "chain.json",
                           "--base", "logistic", status=2)
        self.assertIn("--base excludes --flow-file", err)
        file.write_text(json.dumps({"chain": {"layers": layers}}))
        _, err = self.tool(self.server, "train", "open", "moons.csv", "--flow-file", "chain.json",
                           status=1)
        self.assertRegex(err, r"flow\.base: .*between 0 and 1 \[INVALID_ARGUMENT\]")

    def test_log_prob_in_every_format(self):
        text = self.ask("log-prob", "moons", "moons.csv")
        expected = numpy.array(column(text, "log_prob"))
        self.assertEqual(1000, len(expected))
        self.ask("log-prob", "moons", "moons.csv", "-o", "out.npy")
        numpy.testing.assert_array_equal(expected, numpy.load(self.folder / "out.npy").ravel())
        lines = self.ask("log-prob", "moons", "moons.csv", "--format", "jsonl").splitlines()
        numpy.testing.assert_array_equal(expected, [json.loads(l)["log_prob"] for l in lines])

        mean, error, rows = map(float, self.ask("log-prob", "moons", "moons.csv", "--mean").split())
        self.assertEqual(1000, rows)
        self.assertAlmostEqual(expected.mean(), mean, places=9)
        self.assertAlmostEqual(expected.std(ddof=1) / len(expected) ** 0.5, error, places=9)

        beside = rows_of(self.ask("log-prob", "moons", "moons.csv", "--with-input"))
        given = rows_of(self.table.read_text())
        self.assertEqual([row["x"] for row in given], [row["x"] for row in beside])
        self.assertEqual(list(expected), [row["log_prob"] for row in beside])

    def test_columns_are_matched_by_name(self):
        swapped = b"note,y,x\n" + b"".join(b"a,%r,%r\n" % (row["y"], row["x"])
                                           for row in rows_of(self.table.read_text()))
        expected = self.ask("log-prob", "moons", "moons.csv")
        self.assertEqual(expected, self.ask("log-prob", "moons", "--columns", "y,x", stdin=swapped))
        _, err = self.tool(self.server, "log-prob", "moons", "--columns", "y", stdin=swapped,
                           status=1)
        self.assertIn("'x'", err)

    def test_score(self):
        (self.folder / "odd.csv").write_text("x,y\n0,1\n0,0.5\n50,-50\n")
        out, err = self.tool(self.server, "score", "moons", "odd.csv",
                             "--false-positive-rate", "0.05")
        rows = rows_of(out)
        self.assertEqual([0, 1], [rows[0]["is_anomaly"], rows[2]["is_anomaly"]])
        self.assertIn("of 3 rows are anomalies at false-positive rate 0.05 (model moons", err)
        self.assertEqual(column(self.ask("log-prob", "moons", "odd.csv"), "log_prob"),
                         [row["log_prob"] for row in rows])
        calibration = json.loads(self.ask("describe", "moons", "--json"))["calibration"]
        n = int(calibration["rows"])
        for row in rows:
            rank = row["tail_probability"] * (n + 1)
            self.assertAlmostEqual(round(rank), rank, places=9)
        self.assertEqual(1 / (n + 1), rows[2]["tail_probability"])

        _, err = self.tool(self.server, "score", "moons", "odd.csv", "--false-positive-rate",
                           str(0.5 / (n + 1)), status=1)
        self.assertIn("[FAILED_PRECONDITION]", err)

    def test_contributions(self):
        _, err = self.tool(self.server, "score", "moons", "moons.csv", "--contributions", "chain",
                           status=1)
        self.assertIn("[INVALID_ARGUMENT]", err)

        self.ask("train", "chain", "moons.csv", "-q", "--layers", "1", "--mixing", "none",
                 "--hidden", "24", "--batch-size", "100", "--learning-rate", "0.005",
                 "--max-epochs", "15")
        chain, conditional = (
            rows_of(self.ask("score", "chain", "moons.csv", "--contributions", kind))
            for kind in ("chain", "conditional"))
        for terms, others in zip(chain, conditional, strict=True):
            self.assertAlmostEqual(terms["log_prob"],
                                   terms["contribution_x"] + terms["contribution_y"], delta=1e-4)
            # Both are log p(y | x), one of them by quadrature.
            self.assertAlmostEqual(terms["contribution_y"], others["contribution_y"], delta=1e-2)

    def test_sample(self):
        text = self.ask("sample", "moons", "-n", "1000", "--seed", "5")
        self.assertEqual(1000, len(rows_of(text)))
        self.assertEqual(text, self.ask("sample", "moons", "-n", "1000", "--seed", "5"))
        self.assertNotEqual(text, self.ask("sample", "moons", "-n", "1000", "--seed", "6"))
        # A row depends on the seed and its number only.
        self.assertTrue(text.startswith(self.ask("sample", "moons", "-n", "10", "--seed", "5")))
        self.ask("sample", "moons", "-n", "1000", "--seed", "5", "-o", "out.npy")
        drawn = numpy.load(self.folder / "out.npy")
        numpy.testing.assert_array_equal(column(text, "x"), drawn[:, 0])
        # Drawn rows are about as likely as the rows that were learned.
        learned = self.ask("log-prob", "moons", "moons.csv", "--mean").split()[0]
        likely = self.ask("log-prob", "moons", "--mean", stdin=text.encode()).split()[0]
        self.assertAlmostEqual(float(learned), float(likely), delta=0.5)
        cold = self.ask("sample", "moons", "-n", "1000", "--temperature", "0.1", "--seed", "5")
        self.assertLess(numpy.std(column(cold, "x")), numpy.std(column(text, "x")))

    def test_interpolate(self):
        given = rows_of(self.table.read_text())
        for method in ("linear", "spherical"):
            path = rows_of(self.ask("interpolate", "moons", "moons.csv", "--rows", "3,7",
                                    "--steps", "6", "--method", method))
            self.assertEqual([0, 0.2, 0.4, 0.6, 0.8, 1], [row["t"] for row in path])
            for end, row in ((path[0], given[3]), (path[-1], given[7])):
                self.assertAlmostEqual(row["x"], end["x"], delta=1e-4)
                self.assertAlmostEqual(row["y"], end["y"], delta=1e-4)

    def test_complete(self):
        (self.folder / "holes.csv").write_text("x,y\n0.5,\n,\n0.25,0.5\n")
        likely = rows_of(self.ask("complete", "moons", "holes.csv"))
        self.assertEqual([0.5, 0.25], [likely[0]["x"], likely[2]["x"]])
        self.assertEqual(0.5, likely[2]["y"])
        drawn = self.ask("complete", "moons", "holes.csv", "--draws", "40", "--seed", "3")
        self.assertEqual(drawn, self.ask("complete", "moons", "holes.csv", "--draws", "40",
                                         "--seed", "3"))
        rows = rows_of(drawn)
        self.assertEqual(120, len(rows))
        self.assertTrue(all(0.05 < row["acceptance_rate"] <= 1 for row in rows))
        # Between the moons y has two modes.
        self.assertTrue(min(row["y"] for row in rows[:40]) < 0 < max(row["y"] for row in rows[:40]))
        for row in rows[:40]:
            self.assertLessEqual(row["log_prob"], likely[0]["log_prob"] + 0.01)
        # What stands beside a completion is its log-density.
        (self.folder / "full.csv").write_text(
            "x,y\n" + "".join(f"{row['x']!r},{row['y']!r}\n" for row in rows))
        scores = column(self.ask("log-prob", "moons", "full.csv"), "log_prob")
        numpy.testing.assert_array_equal(scores, [row["log_prob"] for row in rows])
        self.tool(self.server, "log-prob", "moons", "holes.csv", status=3)

    def test_attributes(self):
        self.ask("train", "moved", "moons.csv", "-q", *QUICK)
        given = rows_of(self.table.read_text())
        (self.folder / "halves.csv").write_text("x,y,high\n" + "".join(
            f"{row['x']!r},{row['y']!r},{int(row['y'] > 0.25)}\n" for row in given))
        self.assertIn("model moved version 2",
                      self.ask("attribute", "moved", "high", "halves.csv", "--label", "high"))
        self.assertRegex(self.ask("describe", "moved"), r"high +\d+ rows with it, \d+ without")
        moved = rows_of(self.ask("manipulate", "moved", "moons.csv", "--attribute", "high",
                                 "--amount", "-0.5,0,0.5"))
        self.assertEqual(3 * len(given), len(moved))
        for row, source in zip(moved[1::3], given):
            self.assertAlmostEqual(row["y"], source["y"], delta=1e-3)
        mean = [numpy.mean([row["y"] for row in moved[i::3]]) for i in range(3)]
        self.assertLess(mean[0], mean[1])
        self.assertLess(mean[1], mean[2])
        self.tool(self.server, "manipulate", "moved", "moons.csv", "--attribute", "low", status=1)
        self.tool(self.server, "attribute", "moved:1", "high", "halves.csv", "--label", "high",
                  status=1)

    def test_models_describe_and_delete(self):
        for seed in ("1", "2"):
            self.ask("train", "twice", "moons.csv", "-q", "--seed", seed, *QUICK)
        listed = [json.loads(line) for line in self.ask("models", "--json").splitlines()]
        self.assertEqual(["2"], [model["version"] for model in listed if model["name"] == "twice"])
        self.assertEqual(2, len(self.ask("models", "twice", "--json").splitlines()))
        self.assertRegex(self.ask("models", "twice"), r"twice +1 +active +2 ")
        self.assertIn("model twice version 2, active", self.ask("describe", "twice"))
        described = json.loads(self.ask("describe", "twice:1", "--json"))
        self.assertEqual(["x", "y"], [c["spec"]["name"] for c in described["columns"]])
        self.assertEqual(2, described["flow"]["stack"]["layers"])

        self.ask("delete", "twice:2")
        self.assertIn("model twice version 1", self.ask("describe", "twice"))
        self.ask("delete", "twice", "--all-versions")
        self.tool(self.server, "describe", "twice", status=1)

    def test_generate_knows_its_density(self):
        toys = ("checkerboard", "circles", "eight-gaussians", "pinwheel", "rings", "swiss-roll",
                "two-moons", "two-spirals")
        for toy in toys:
            with self.subTest(toy=toy):
                text = self.ask("generate", toy, "-n", "500", "--seed", "3", "--log-density")
                densities = column(text, "log_density")
                mean = self.ask("generate", toy, "-n", "500", "--seed", "3", "--mean-log-density",
                                "-o", "toy.csv").split()[0]
                self.assertAlmostEqual(sum(densities) / 500, float(mean), places=9)

    def test_version_is_the_servers(self):
        out, _ = self.tool(None, "--version")
        server = subprocess.run([BIN / "millrace-server", "--version"], capture_output=True,
                                text=True, check=True)
        self.assertRegex(out, r"\Amillrace \d+\.\d+\.\d+\n\Z")
        self.assertEqual(out.replace("millrace", "millrace-server").rstrip(),
                         server.stdout.partition(" for ")[0])


class LowLimits(Case):
    def test_lower_limits_of_a_server_change_no_answer(self):
        self.two_moons()
        self.tool(None, "generate", "two-moons", "-n", "10000", "-o", "many.csv")
        questions = (("log-prob", "moons", "many.csv"),
                     ("score", "moons", "moons.csv", "--contributions", "conditional"))
        server = self.start_server()
        self.tool(server, "train", "moons", "moons.csv", "-q", *QUICK)
        expected = [self.tool(server, *question)[0] for question in questions]
        self.assertEqual(0, server.terminate())

        # 10,000 rows are 160,000 bytes; a row with conditional contributions takes 800 evaluations.
        for limit in ("--max_message_bytes=100000", "--max_request_rows=300",
                      "--max_request_evaluations=20000"):
            with self.subTest(limit=limit):
                server = self.start_server(limit)
                self.assertEqual(expected, [self.tool(server, *question)[0]
                                            for question in questions])
                self.assertIn("accepted 10000 rows",
                              self.tool(server, "train", "many", "many.csv", "--max-epochs", "1",
                                        "--layers", "1", "--hidden", "8")[1])
                self.assertEqual(0, server.terminate())


if __name__ == "__main__":
    unittest.main()
