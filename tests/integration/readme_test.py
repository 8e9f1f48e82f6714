# SPDX-License-Identifier: Apache-2.0
"""Every console command of README.md works and prints what README.md says, numbers aside.

The commands in its text are for readme_commands_test.py.

A ```console block holds commands, `$ command`, each followed by what it prints: all of it, or with
`...` for lines left out; nothing where nothing is shown. Numbers and the width of gaps may differ.
"""

import os
import re
import subprocess
import tempfile
import unittest
from typing import NamedTuple

from harness import ROOT

RUNS_THIS_TEST = "tests/run.sh"
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


class Command(NamedTuple):
    text: str
    shown: list[str]


def console_commands(markdown):
    for block in re.findall(r"^```console\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL):
        command = None
        for line in block.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command
                command = Command(line[2:], [])
            elif command is None:
                raise ValueError(f"README.md: a console block must begin with `$ `: {line}")
            else:
                command.shown.append(line)
        yield command


def pattern(shown):
    """What output of the shape of `shown` matches in full."""
    def of_line(line):
        if line == "...":
            return r"(?:.*\n)*?"
        words = (NUMBER.join(map(re.escape, re.split(NUMBER, word))) for word in line.split())
        return r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*\n"
    return "".join(map(of_line, shown))


def run(command):
    with tempfile.TemporaryDirectory(prefix="millrace-test-") as folder:
        environment = {**os.environ, "MILLRACE_QUICKSTART_DIR": folder}
        environment.pop("MILLRACE_BIN")  # the real thing: installed and built here
        return subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800)


class Readme(unittest.TestCase):
    def test_every_command_does_what_it_shows(self):
        done = {}
        for command in console_commands((ROOT / "README.md").read_text()):
            text = command.text.partition(" #")[0].strip()
            if text == RUNS_THIS_TEST:
                continue
            with self.subTest(command=text):
                if text not in done:
                    done[text] = run(text)
                output = done[text].stdout
                self.assertEqual(0, done[text].returncode, output)
                if command.shown:
                    self.assertRegex(output, r"\A" + pattern(command.shown) + r"\Z")
        self.assertIn("deploy/quickstart.sh", done)

    def test_the_comparison_sees_what_differs(self):
        shown = ["+ millrace sample moons -n 5", "x,y", "-1.5,2e-07", "...", "  held out   1.0 ± 2"]
        for output, same in (
                ("+ millrace sample moons -n 5\nx,y\n3,-4.25\nmore\nheld out -7 ± 2.25\n", True),
                ("+ millrace sample moons -n 5\nx,y\n3,-4.25\nheld out -7 ± 2.25\n", True),
                ("+ millrace sample moons -n 5\nx,z\n3,-4.25\nheld out -7 ± 2.25\n", False),
                ("+ millrace sample moons -n 5\nx,y\n3,a\nheld out -7 ± 2.25\n", False),
                ("+ millrace sample moons -n 5\nx,y\n3,-4.25\nheld out -7\n", False),
                ("x,y\n3,-4.25\nheld out -7 ± 2.25\n", False)):
            with self.subTest(output=output):
                self.assertEqual(same, re.fullmatch(pattern(shown), output) is not None)


if __name__ == "__main__":
    unittest.main()
