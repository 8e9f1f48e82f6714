# SPDX-License-Identifier: Apache-2.0
"""The tree keeps the include rules, and the check would see it if it did not."""

import os
import pathlib
import tempfile
import unittest

import layering

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ThisTree(unittest.TestCase):
    def test_every_include_is_allowed(self):
        self.assertEqual([], layering.violations(ROOT))

    def test_sources_were_looked_at(self):
        headers = (ROOT / "core").rglob("*.h")
        seen = {layering.layer_of(f.relative_to(ROOT).as_posix()) for f in headers}
        self.assertIn("core/transforms", seen)
        self.assertIn("core/cpu", seen)

    def test_every_source_names_its_licence(self):
        tops = ("core", "server", "client", "proto", "tests", "deploy")
        suffixes = layering.SOURCES | {".proto", ".py", ".sh", ".cmake"}
        files = [f for top in tops for f in (ROOT / top).rglob("*") if f.suffix in suffixes]
        bare = [f.relative_to(ROOT).as_posix() for f in files
                if not any("SPDX-License-Identifier: Apache-2.0" in line
                           for line in f.read_text().splitlines()[:2])]
        self.assertEqual([], bare)


class TheCheck(unittest.TestCase):
    def breaches(self, path, *lines):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(os.linesep.join(lines))
            return layering.violations(pathlib.Path(folder))

    def test_allowed_includes_pass(self):
        self.assertEqual([], self.breaches(
            "core/transforms/coupling.cc", '#include "core/transforms/coupling.h"',
            "#include <vector>", '#include "core/exec/pass.h"', '#include "core/math/affine.h"',
            '#include "absl/status/status.h"'))
        self.assertEqual([], self.breaches(
            "core/cpu/lanes.cc", "#include <tbb/task_arena.h>"))
        self.assertEqual([], self.breaches("server/main.cc", '#include "core/cpu/backend.h"'))

    def test_forbidden_includes_are_caught(self):
        for path, include in [
                ("core/math/affine.h", "core/base/matrix.h"),
                ("core/math/affine.h", "sched.h"),
                ("core/base/matrix.h", "core/exec/arena.h"),
                ("core/cpu/gemm.h", "Eigen/Core"),  # core/docs/decisions/0005
                ("core/exec/arena.h", "tbb/tbb.h"),
                ("core/exec/kernels.h", "core/flow/flow.h"),
                ("core/transforms/coupling.h", "core/cpu/kernels.h"),
                ("core/flow/flow.cc", "oneapi/tbb/parallel_for.h"),
                ("core/flow/flow.cc", "core/model.h"),
                ("core/cpu/backend.cc", "core/cuda/backend.h"),
                ("core/cuda/backend.cc", "core/cpu/backend.h"),
                ("core/cuda/dense.cu", "Eigen/Core"),
                ("core/train/trainer.cc", "core/cpu/backend.h"),
                ("core/io/model_file.cc", "core/train/trainer.h"),
                ("core/model.h", "core/io/model_file.h"),
                ("core/score/calibration.cc", "millrace/v1/model.pb.h"),
                ("server/app/service.h", "millrace/v1/model.pb.h"),
                ("server/app/service.h", "grpcpp/grpcpp.h"),
                ("server/rpc/handler.h", "prometheus/registry.h"),
                ("server/server.cc", "core/cpu/backend.h"),
                ("server/app/service.cc", "server/rpc/handler.h"),
                ("client/client.cc", "core/model.h"),
                ("client/client.cc", "CLI/CLI.hpp"),
                ("core/io/model_file.cc", "boost/any.hpp"),
                ("core/odd/thing.h", "vector")]:
            with self.subTest(path=path, include=include):
                found = self.breaches(path, f'#include "{include}"')
                self.assertEqual(1, len(found), found)
                self.assertTrue(found[0].startswith(path), found)

    def test_backend_conditionals_are_caught(self):
        line = "#ifdef MILLRACE_CUDA"
        self.assertEqual(1, len(self.breaches("core/flow/flow.cc", line)))
        self.assertEqual([], self.breaches("core/math/host_device.h", line))


if __name__ == "__main__":
    unittest.main()
