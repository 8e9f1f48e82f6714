# SPDX-License-Identifier: Apache-2.0
"""Dockerfile, compose and Prometheus files agree with each other and with the tree."""

import pathlib
import shutil
import subprocess
import unittest

import dockerfile
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy/compose/docker-compose.yml"
PROMETHEUS = ROOT / "deploy/prometheus/prometheus.yml"


class Dockerfile(unittest.TestCase):
    def setUp(self):
        self.stages = dockerfile.parse((ROOT / "Dockerfile").read_text())
        self.image = self.stages[-1]

    def test_ends_as_another_user_than_root(self):
        self.assertNotIn(self.image.last("USER").value, ("", "root", "0"))
        after = self.image.instructions[self.image.instructions.index(self.image.last("USER")):]
        self.assertNotIn("RUN", [i.name for i in after])

    def test_installs_runtime_packages_only(self):
        runs = [i.value for i in self.image.instructions if i.name == "RUN"]
        self.assertTrue(any("install_packages.sh runtime" in run for run in runs), runs)
        self.assertFalse(any("install_packages.sh build" in run for run in runs), runs)

    def test_health_check_and_entry_point_are_exec_forms(self):
        self.assertEqual(["millrace-server"], self.image.last("ENTRYPOINT").argv())
        self.assertEqual("millrace", self.image.last("HEALTHCHECK").argv()[0])

    def test_the_build_context_holds_what_the_build_needs(self):
        self.assertLessEqual({"CMakeLists.txt", "CMakePresets.json", "core", "proto", "deploy"},
                             set(dockerfile.context_entries(ROOT)))

    def test_the_reader_refuses_what_it_does_not_know(self):
        with self.assertRaises(ValueError):
            dockerfile.parse("FROM debian:12\nSHELL [\"/bin/bash\"]\n")


class ComposeAndPrometheus(unittest.TestCase):
    def setUp(self):
        self.compose = yaml.safe_load(COMPOSE.read_text())
        self.prometheus = yaml.safe_load(PROMETHEUS.read_text())
        stages = dockerfile.parse((ROOT / "Dockerfile").read_text())
        self.exposed = stages[-1].last("EXPOSE").value.split()

    def test_prometheus_scrapes_the_port_that_the_image_exposes(self):
        [job] = self.prometheus["scrape_configs"]
        [target] = job["static_configs"][0]["targets"]
        service, port = target.split(":")
        self.assertIn(service, self.compose["services"])
        self.assertIn(port, self.exposed)

    def test_compose_publishes_on_loopback_only(self):
        for service in self.compose["services"].values():
            for port in service["ports"]:
                self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_the_server_leaves_memory_to_others(self):
        self.assertRegex(self.compose["services"]["millrace"]["mem_limit"], r"^[1-9]\d*g$")

    def test_compose_mounts_and_builds_from_this_tree(self):
        services = self.compose["services"]
        self.assertEqual(ROOT, (COMPOSE.parent / services["millrace"]["build"]).resolve())
        mounted = [v.split(":")[0] for v in services["prometheus"]["volumes"] if v.startswith(".")]
        self.assertEqual([PROMETHEUS], [(COMPOSE.parent / path).resolve() for path in mounted])

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_accepts_the_configuration(self):
        checked = subprocess.run(["promtool", "check", "config", str(PROMETHEUS)],
                                 capture_output=True, text=True)
        self.assertEqual(0, checked.returncode, checked.stdout + checked.stderr)


if __name__ == "__main__":
    unittest.main()
