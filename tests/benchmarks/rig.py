# SPDX-License-Identifier: Apache-2.0
"""What the measurements share: server and tool, speed programs, finished cells, the Gaussian that
log-densities are held against.

MILLRACE_BIN names the folder of the programs (else build/bench/bin, build/release/bin or
build/dev/bin, the first there is), MILLRACE_DATA that of the data sets (else ../shared/data).
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _built_programs():
    folders = [ROOT / "build" / preset / "bin" for preset in ("bench", "release", "dev")]
    return next((folder for folder in folders if (folder / "millrace").exists()), folders[0])


os.environ.setdefault("MILLRACE_BIN", str(_built_programs()))
sys.path.append(str(ROOT / "tests/integration"))
import harness  # noqa: E402

DATA = pathlib.Path(os.environ.get("MILLRACE_DATA", ROOT / "../shared/data"))
SKIPPED = 77  # exit status that ctest takes for "skipped"


def add_options(parser, results, command="train", against="the default spec"):
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "build/benchmarks" / results,
                        help="JSON of finished cells, continued where it exists; %(default)s")
    parser.add_argument("--options", default="",
                        help=f"options for `millrace {command}`, to compare with {against}")


class Server:
    """A real server and the tool beside it, for a `with` block; its models stay in the folder
    `keep`, else it begins without any."""

    def __init__(self, keep=None):
        self._keep = keep

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="millrace-")
        self._path = pathlib.Path(self._folder.name)
        self._server = harness.Server(self._keep or self._path)
        try:
            self._server.ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._server.end()
        self._folder.cleanup()

    def tool(self, *arguments, log=None):
        """What `millrace ARGUMENTS` prints; RuntimeError with its message when it fails. Its
        progress and errors go to the file `log` as they come, where there is one."""
        with open(log or self._path / "tool.log", "w+") as errors:
            done = subprocess.run(
                [harness.BIN / "millrace", *map(str, arguments)], stdout=subprocess.PIPE,
                stderr=errors, text=True,
                env={**os.environ, "MILLRACE_SERVER": self._server.address})
            if done.returncode != 0:
                errors.seek(0)
                raise RuntimeError(f"millrace {arguments[0]}: {errors.read().strip()}")
        return done.stdout

    def train(self, name, rows, *options):
        """Trains on rows [n, columns]; what `describe --json` says of the model."""
        path = self._path / f"{name}.train.npy"
        np.save(path, np.ascontiguousarray(rows, dtype=np.float64))
        self.tool("train", name, path, "--quiet", *options)
        path.unlink()
        return json.loads(self.tool("describe", name, "--json"))

    def log_prob(self, name, rows):
        """Log-densities [n] in nats of the rows' own units."""
        rows_path, out_path = (self._path / f"{name}.{kind}.npy" for kind in ("rows", "log-prob"))
        np.save(rows_path, np.ascontiguousarray(rows, dtype=np.float64))
        self.tool("log-prob", name, rows_path, "-o", out_path)
        table = np.load(out_path)
        rows_path.unlink()
        out_path.unlink()
        return table.reshape(len(rows), -1)[:, 0]

    def sample(self, name, count):
        """Rows [count, columns] that the model draws."""
        path = self._path / f"{name}.samples.npy"
        self.tool("sample", name, "-n", count, "-o", path)
        rows = np.load(path)
        path.unlink()
        return rows


def benchmark(program, only=".", seconds=0.2, processors=None):
    """Runs cases of a speed program, on these processors unless None; what it reports of each by
    its name, times in seconds."""
    done = subprocess.run(
        [harness.BIN / program, "--benchmark_format=json", f"--benchmark_min_time={seconds}",
         f"--benchmark_filter={only}"], capture_output=True, text=True, check=True,
        preexec_fn=processors and (lambda: os.sched_setaffinity(0, processors)))
    found = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[run["time_unit"]]
        name = "/".join(part for part in run["name"].split("/")
                        if part not in ("process_time", "real_time"))
        found[name] = {**run, "real_time": run["real_time"] * unit,
                       "cpu_time": run["cpu_time"] * unit}
    return found


class Cells:
    """Finished cells, kept in a file unless `path` is None; each build of the programs, and of the
    library they may share, has its own. For any thread."""

    def __init__(self, path, programs=("millrace-server",)):
        self._path = path
        self._lock = threading.Lock()
        shared = sorted((harness.BIN.parent / "lib").rglob("libmillrace_core.so"))
        build = hashlib.sha256()
        for file in [*(harness.BIN / program for program in programs), *shared]:
            build.update(file.read_bytes())
        self._build = build.hexdigest()[:12]
        self._cells = json.loads(path.read_text()) if path and path.exists() else {}

    def get(self, *key):
        return self._cells.get(self._name(key))

    def put(self, *key, value):
        with self._lock:
            self._cells[self._name(key)] = value
            if self._path is None:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".tmp")
            draft.write_text(json.dumps(self._cells, indent=1))
            draft.replace(self._path)

    def _name(self, key):
        return " ".join(map(str, (self._build, *key)))


class Gaussian:
    """Maximum-likelihood full-covariance Gaussian of rows. Where standardised rows hardly vary in
    some direction, their deviation there counts as a thousandth: singular tables have one too."""

    def __init__(self, rows):
        self._mean = rows.mean(axis=0)
        deviation = rows.std(axis=0)
        self._active = deviation > 0
        self._deviation = deviation[self._active]
        z = self._standardise(rows)
        variances, self._axes = np.linalg.eigh(z.T @ z / len(z))
        self._variances = np.maximum(variances, 1e-6)

    def log_prob(self, rows):
        """Nats of the rows' own units, constant columns left out. [n]"""
        squares = ((self._standardise(rows) @ self._axes) ** 2 / self._variances).sum(axis=1)
        log_det = 0.5 * np.log(2 * np.pi * self._variances).sum() + np.log(self._deviation).sum()
        return -0.5 * squares - log_det

    def _standardise(self, rows):
        return (rows - self._mean)[:, self._active] / self._deviation


def describe_flow(model):
    """The chosen architecture in a few words."""
    if model["report"]["fell_back_to_gaussian"]:
        return "Gaussian"
    flow = model["flow"]
    if "chain" in flow:
        return f"chain of {len(flow['chain']['layers'])}"
    stack = flow["stack"]
    levels = f"{stack['levels']} levels × " if stack.get("levels") else ""
    text = f"{stack['architecture'].removeprefix('ARCHITECTURE_').lower()} {levels}{stack['layers']}"
    sizes = stack.get("hidden_sizes")
    if not sizes:
        return text
    hidden = f"{len(sizes)}×{sizes[0]}" if len(set(sizes)) == 1 else "×".join(map(str, sizes))
    kind = "residual " if stack.get("residual") else ""
    chosen = (stack[field].split("_")[-1].lower() for field in ("activation", "mixing"))
    return f"{text} × {hidden} {kind}{', '.join(word for word in chosen if word != 'unspecified')}"


def mean_and_error(values):
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def where():
    """Processor, cores and commit; '+' where the tree differs from the commit."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines()
                  if line.startswith("model name")), "unknown processor")
    simd = "AVX-512" if "avx512f" in info else "AVX2" if "avx2" in info else "no AVX2"

    def git(*arguments):
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True,
                              text=True).stdout

    commit = git("rev-parse", "--short", "HEAD").strip()
    commit += "+" if git("status", "--porcelain") else ""
    return f"{len(os.sched_getaffinity(0))} cores of an {model} ({simd}), commit {commit}"
