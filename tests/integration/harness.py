# SPDX-License-Identifier: Apache-2.0
"""Real servers and the real tool, each test in a folder of its own; no ports are fixed.

MILLRACE_BIN names the folder of the programs.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ["MILLRACE_BIN"]).resolve()
TIMEOUT = 100  # seconds for one command or one wait; sanitizers are slow
# A small flow; quickly trained it beats a Gaussian on two moons.
SMALL = ("--layers", "2", "--hidden", "24", "--batch-size", "100", "--learning-rate", "0.005")
QUICK = (*SMALL, "--max-epochs", "40")


def wait_until(condition, what):
    """The first true value of condition(), asked every 20 ms."""
    deadline = time.monotonic() + TIMEOUT
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.02)
    return value


def free_port():
    """A port of loopback that nobody listens on now; for programs that cannot choose their own."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def get(url):
    """The text at a URL of this machine; no proxy is asked."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=TIMEOUT) as reply:
        return reply.read().decode()


class Process:
    """A program in the background whose standard error goes to a file."""

    def __init__(self, argv, log, **options):
        self.log_path = pathlib.Path(log)
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(list(map(str, argv)), stderr=stderr,
                                            stdin=subprocess.DEVNULL, **options)

    def log(self):
        return self.log_path.read_text()

    def wait_for_log(self, pattern):
        """The match of the regular expression in the log; fails where the program ends before."""
        def look():
            ended = self.process.poll() is not None  # before the log is read: nothing is missed
            found = re.search(pattern, self.log())
            if ended and not found:
                raise AssertionError(f"ended ({self.process.returncode}) without {pattern!r} in its"
                                     f" log:\n{self.log()}")
            return found
        return wait_until(look, lambda: f"no {pattern!r} in the log:\n{self.log()}")

    def wait(self):
        """Its exit status."""
        return self.process.wait(TIMEOUT)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)


class Server(Process):
    """millrace-server on free ports of loopback; `folder` holds its models and its log."""

    def __init__(self, folder, *flags):
        folder = pathlib.Path(folder)
        self.model_dir = folder / "models"
        super().__init__([BIN / "millrace-server", "--address=127.0.0.1:0",
                          "--metrics_address=127.0.0.1:0", f"--model_dir={self.model_dir}", *flags],
                         folder / "server.log")

    def ready(self):
        """Waits until it serves."""
        serving = self.wait_for_log(r" serving .*\bport=(\d+) .*\bmetrics_port=(\d+)")
        self.address = f"127.0.0.1:{serving[1]}"
        self.metrics_address = f"127.0.0.1:{serving[2]}"
        return self

    def metrics(self):
        return get(f"http://{self.metrics_address}/metrics")

    def metric(self, series):
        """The value of the series, written as /metrics writes it, or None."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.metrics(), re.MULTILINE)
        return found and float(found[1])

    def terminate(self):
        """SIGTERM; its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()


class Case(unittest.TestCase):
    """A test with a folder of its own; what it starts is ended and removed with it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="millrace-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start_server(self, *flags):
        server = Server(self.folder, *flags)
        self.addCleanup(server.end)
        return server.ready()

    def start_tool(self, server, *arguments):
        """`millrace ARGUMENTS` in the background; its progress and errors are its log."""
        log = self.folder / f"tool-{len(list(self.folder.iterdir()))}.log"
        process = Process([BIN / "millrace", *arguments], log, cwd=self.folder,
                          stdout=subprocess.DEVNULL,
                          env={**os.environ, "MILLRACE_SERVER": server.address})
        self.addCleanup(process.end)
        return process

    def tool(self, server, *arguments, status=0, stdin=b""):
        """`millrace ARGUMENTS` to its end, which must be `status`; gives (stdout, stderr)."""
        address = server.address if server else "127.0.0.1:1"
        done = subprocess.run([BIN / "millrace", *map(str, arguments)], cwd=self.folder,
                              env={**os.environ, "MILLRACE_SERVER": address}, input=stdin,
                              capture_output=True, timeout=TIMEOUT)
        stderr = done.stderr.decode()
        self.assertEqual(status, done.returncode, f"millrace {arguments}\n{stderr}")
        return done.stdout.decode(), stderr

    def two_moons(self):
        """moons.csv in the test's folder: a header and 1,000 rows."""
        self.tool(None, "generate", "two-moons", "-n", "1000", "--seed", "1", "-o", "moons.csv")
        return self.folder / "moons.csv"


class Session(Case):
    """One server with the model `moons` for a class; each test has moons.csv in its folder."""

    @classmethod
    def setUpClass(cls):
        shared = tempfile.TemporaryDirectory(prefix="millrace-test-")
        cls.addClassCleanup(shared.cleanup)
        cls.server = Server(shared.name)
        cls.addClassCleanup(cls.server.end)
        cls.server.ready()

    def setUp(self):
        super().setUp()
        self.table = self.two_moons()
        if not self.ask("models", "--json"):
            self.ask("train", "moons", "moons.csv", "-q", *QUICK)

    def ask(self, *arguments, **options):
        """What `millrace ARGUMENTS` prints."""
        return self.tool(self.server, *arguments, **options)[0]
