# SPDX-License-Identifier: Apache-2.0
"""A server that is stopped, killed, started again, and shares a machine with another."""

import json
import os
import re
import signal
import unittest

from harness import BIN, QUICK, ROOT, SMALL, Case, Process, Server, wait_until

ENDLESS = ("--max-epochs", "1000000", "--patience", "1000000", "--max-duration", "10m")


class Lifecycle(Case):
    def train(self, server, name="moons", *options):
        self.tool(server, "train", name, self.folder / "moons.csv", "-q", *QUICK, *options)

    def start_training(self, server):
        """A training that would go on for long, at its first report."""
        training = self.start_tool(server, "train", "moons", "moons.csv", *SMALL, *ENDLESS)
        training.wait_for_log(r"epoch \d+")
        return training

    def test_a_restart_serves_the_same_bits(self):
        self.two_moons()
        server = self.start_server()
        self.train(server)
        questions = (("log-prob", "moons", "moons.csv", "--format", "npy"),
                     ("score", "moons", "moons.csv", "--contributions", "conditional"),
                     ("sample", "moons", "-n", "1000", "--seed", "3"),
                     ("describe", "moons", "--json"))
        before = [self.raw(server, *question) for question in questions]
        self.assertEqual(0, server.terminate())

        server = self.start_server()
        self.assertEqual(before, [self.raw(server, *question) for question in questions])

    def raw(self, server, *arguments):
        """The bytes that a command writes to a file."""
        if arguments[0] == "describe":
            return self.tool(server, *arguments)[0].encode()
        self.tool(server, *arguments, "-o", "answer")
        return (self.folder / "answer").read_bytes()

    def test_a_kill_while_training_leaves_no_version(self):
        self.two_moons()
        server = self.start_server()
        training = self.start_training(server)
        server.signal(signal.SIGKILL)
        self.assertEqual(-signal.SIGKILL, server.wait())
        self.assertEqual(4, training.wait(), training.log())
        self.assertIn("[UNAVAILABLE]", training.log())

        server = self.start_server()
        self.assertEqual("", self.tool(server, "models", "--json")[0])
        self.assertEqual([], [p for p in server.model_dir.rglob("*") if p.is_file()])
        self.train(server)
        self.assertEqual(0, server.terminate())

    def test_a_caller_killed_while_training_leaves_nothing_behind(self):
        self.two_moons()
        server = self.start_server("--max_trainings=1")
        training = self.start_training(server)
        self.assertEqual(1, server.metric("millrace_train_jobs"))
        training.signal(signal.SIGKILL)
        self.assertEqual(-signal.SIGKILL, training.wait())
        wait_until(lambda: server.metric("millrace_train_jobs") == 0, server.log)
        self.assertEqual("", self.tool(server, "models", "--json")[0])
        self.train(server)  # the name and the only place are free
        self.assertIn("moons version 1", self.tool(server, "describe", "moons")[0])
        self.assertEqual(0, server.terminate())

    def test_term_while_loading_ends_the_server_at_once(self):
        self.two_moons()
        server = self.start_server()
        self.train(server)
        self.assertEqual(0, server.terminate())
        file = server.model_dir / "moons/1/model.safetensors"
        with open(file, "ab") as model:  # a damaged version that takes long to read
            model.truncate(1 << 28)
        for version in range(2, 1000):
            (server.model_dir / f"moons/{version}").mkdir()
            os.link(file, server.model_dir / f"moons/{version}/model.safetensors")

        loading = Server(self.folder)
        self.addCleanup(loading.end)
        loading.wait_for_log("model cannot serve")
        self.assertEqual(0, loading.terminate())
        self.assertIn("stopped before serving", loading.log())
        self.assertLess(loading.log().count("model cannot serve"), 999)

    def test_term_ends_a_training_and_publishes_nothing(self):
        self.two_moons()
        server = self.start_server()
        training = self.start_training(server)
        self.assertEqual(0, server.terminate(), server.log())
        self.assertNotEqual(0, training.wait())
        self.assertEqual([], [p for p in server.model_dir.rglob("*") if p.is_file()])

    def test_term_lets_calls_under_way_end(self):
        self.two_moons()
        server = self.start_server("--shutdown_grace=90s")
        self.train(server)
        started = ('grpc_server_started_total{grpc_method="Sample",'
                   'grpc_service="millrace.v1.DensityService",grpc_type="server_stream"}')
        rows = 300_000
        sampling = self.start_tool(server, "sample", "moons", "-n", rows, "-o", "samples.csv")
        while not server.metric(started):
            self.assertIsNone(sampling.process.poll(), sampling.log())
        self.assertEqual(0, server.terminate(), server.log())
        self.assertEqual(0, sampling.wait(), sampling.log())
        with open(self.folder / "samples.csv", "rb") as samples:
            self.assertEqual(rows + 1, sum(1 for _ in samples))

    def test_a_second_server_on_a_port_or_folder_is_refused(self):
        first = self.start_server()
        for flag, other, says in (
                ("--address", f"--address={first.address}", "--address"),
                ("--metrics_address", f"--metrics_address={first.metrics_address}",
                 "--metrics_address"),
                ("--model_dir", f"--model_dir={first.model_dir}", "in use by another server")):
            flags = {"--address": "--address=127.0.0.1:0",
                     "--metrics_address": "--metrics_address=127.0.0.1:0",
                     "--model_dir": f"--model_dir={self.folder / 'other'}", flag: other}
            with self.subTest(flag=flag):
                second = Process([BIN / "millrace-server", "--log_format=json", *flags.values()],
                                 self.folder / "second.log")
                self.addCleanup(second.end)
                self.assertEqual(1, second.wait())
                *_, last = map(json.loads, second.log().splitlines())  # gRPC's lines too are JSON
                self.assertEqual("cannot start", last["event"])
                self.assertIn(says, last["reason"])
        self.assertEqual("", self.tool(first, "models", "--json")[0])  # the first is unharmed
        self.assertEqual(0, first.terminate())

    def test_the_images_health_check_tells_whether_a_server_answers(self):
        check = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(),
                          re.MULTILINE)[1]
        server = self.start_server()
        program, *arguments = json.loads(check.replace("127.0.0.1:50051", server.address))
        self.assertEqual("millrace", program)
        self.tool(None, *arguments)
        self.assertEqual(0, server.terminate())
        self.tool(None, *arguments, status=4)

    def test_a_broken_version_is_reported_and_skipped(self):
        self.two_moons()
        server = self.start_server()
        self.train(server)
        self.train(server, "moons", "--seed", "9")
        good, _ = self.tool(server, "log-prob", "moons:1", "moons.csv")
        self.assertEqual(0, server.terminate())
        file = server.model_dir / "moons/2/model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        (server.model_dir / "moons/stray").mkdir()
        (server.model_dir / "Not a model").mkdir()

        server = self.start_server()
        self.assertRegex(server.log(), r"error +model cannot serve model=moons version=2 ")
        self.assertEqual(1, server.metric("millrace_model_load_failures_total"))
        self.assertEqual(1, server.metric("millrace_models_loaded"))
        self.assertEqual(good, self.tool(server, "log-prob", "moons", "moons.csv")[0])
        _, refusal = self.tool(server, "log-prob", "moons:2", "moons.csv", status=1)
        self.assertIn("[DATA_LOSS]", refusal)
        self.assertRegex(self.tool(server, "models", "moons")[0], r"moons +2 +(?!active)\w+")
        self.train(server)
        self.assertIn("moons version 3", self.tool(server, "describe", "moons")[0])


if __name__ == "__main__":
    unittest.main()
