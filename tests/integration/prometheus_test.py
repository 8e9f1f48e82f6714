# SPDX-License-Identifier: Apache-2.0
"""Debian's Prometheus scrapes a real server with the configuration that we ship."""

import json
import subprocess
import unittest
import urllib.parse

from harness import QUICK, ROOT, TIMEOUT, Case, Process, free_port, get, wait_until


class Scraped(Case):
    def setUp(self):
        super().setUp()
        self.two_moons()
        self.server = self.start_server()
        self.tool(self.server, "train", "moons", "moons.csv", "-q", *QUICK)
        for _ in range(3):
            self.tool(self.server, "log-prob", "moons", "moons.csv")
        self.tool(self.server, "score", "absent", "moons.csv", status=1)

    def start_prometheus(self):
        shipped = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
        self.assertEqual(1, shipped.count("millrace:9464"))
        self.assertEqual(1, shipped.count("scrape_interval: 5s"))
        config = self.folder / "prometheus.yml"
        config.write_text(shipped.replace("millrace:9464", self.server.metrics_address)
                          .replace("scrape_interval: 5s", "scrape_interval: 200ms"))
        address = f"127.0.0.1:{free_port()}"
        prometheus = Process(["prometheus", f"--config.file={config}",
                              f"--storage.tsdb.path={self.folder / 'tsdb'}",
                              f"--web.listen-address={address}"], self.folder / "prometheus.log")
        self.addCleanup(prometheus.end)
        prometheus.wait_for_log("Server is ready to receive web requests")
        return address

    def query(self, address, promql):
        """The instant vector of an expression: [({label: value}, number)]."""
        url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": promql})
        answer = json.loads(get(url))
        self.assertEqual("success", answer["status"], answer)
        return [(s["metric"], float(s["value"][1])) for s in answer["data"]["result"]]

    def test_promql_finds_what_happened(self):
        address = self.start_prometheus()
        self.assertTrue(wait_until(lambda: self.query(address, "up == 1"), "never scraped"))
        expected = {
            'millrace_requests_total{model="moons",version="1",op="log_prob",status="OK"}': 3,
            'millrace_rows_total{op="log_prob"}': 3000,
            "sum by (op) (millrace_compute_seconds_count)": 3,
            "sum by (op) (millrace_queue_seconds_count)": 3,
            "millrace_models_loaded": 1,
            "millrace_train_jobs": 0,
            'sum(grpc_server_handled_total{grpc_method="Train",grpc_code="OK"})': 1,
            'sum(grpc_server_handled_total{grpc_method="GetModel",grpc_code="NotFound"})': 1,
            'sum(grpc_server_started_total{grpc_method="StreamLogProb"})': 3,
        }
        for promql, value in expected.items():
            with self.subTest(promql=promql):
                self.assertEqual([value], [number for _, number in self.query(address, promql)])
        [(_, loss)] = self.query(address, 'millrace_train_loss{model="moons",split="validation"}')
        self.assertTrue(0 < loss < 5, loss)
        [(_, seconds)] = self.query(
            address, 'histogram_quantile(0.99, sum by (le) (millrace_compute_seconds_bucket))')
        self.assertTrue(0 < seconds < TIMEOUT, seconds)
        [(build, _)] = self.query(address, "millrace_build_info")
        self.assertRegex(build["version"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(build["instruction_set"], r"^x86-64")

    def test_promtool_finds_nothing_to_correct(self):
        checked = subprocess.run(["promtool", "check", "metrics"], input=self.server.metrics(),
                                 capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual((0, "", ""), (checked.returncode, checked.stdout, checked.stderr))


if __name__ == "__main__":
    unittest.main()
