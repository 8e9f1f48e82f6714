# SPDX-License-Identifier: Apache-2.0
"""Millrace beside zuko, nflows and normflows on current torch: same flows, sizes and threads.

    python3 peers.py                                  every cell: about two hours on two cores
    python3 peers.py --kinds MAF --columns 6,43 --batches 1,256 --tasks log_prob

The first run makes a virtual environment in build/peers and installs requirements.txt into it from
PyPI. A cell is the shortest of --rounds runs of each program, which take turns; its ratio is the
best peer's time over Millrace's, eager and, in brackets, traced or compiled, whichever is faster.
What has finished is kept; a further run goes on from there.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import venv
import warnings

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ENVIRONMENT = pathlib.Path(os.environ.get("MILLRACE_PEERS", ROOT / "build/peers"))
LEAST_SECONDS = 0.2  # of one run
SIZES = {"MAF": (100, 512), "RealNVP": (100,)}
BENCHMARKS = {"log_prob": "LogProb", "sample": "Sample", "training": "TrainStep"}


def inside_environment():
    """This program again, by the environment's Python and with quiet OpenMP threads."""
    python = ENVIRONMENT / "bin/python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement",
                        HERE / "requirements.txt"], check=True)
    if pathlib.Path(sys.prefix) == ENVIRONMENT:
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.execv(python, [python, __file__, *sys.argv[1:]])


def seconds_of(call):
    """Of one call: the mean over as many as fill LEAST_SECONDS, after one that warms up."""
    call()
    count, taken = 1, 0.0
    while True:
        begin = time.perf_counter()
        for _ in range(count):
            call()
        taken = time.perf_counter() - begin
        if taken >= LEAST_SECONDS:
            return taken / count
        count = max(count + 1, int(1.2 * count * LEAST_SECONDS / max(taken, 1e-9)))


def peer_calls(kind, task, hidden, columns, batch):
    """{(library, "eager" | "traced" | "compiled"): what a run calls}"""
    import models
    import torch
    warnings.filterwarnings("ignore")  # of tracing, about shapes that do not change here
    calls = {}
    x = 4.0 * torch.rand(batch, columns) - 2.0
    for library, make in models.PEERS[kind].items():
        torch.manual_seed(1)
        module, sample = make(columns, hidden)
        if task == "training":
            calls[library, "eager"] = lambda step=models.training_step(module): step(x)
            continue
        if task == "sample":
            calls[library, "eager"] = no_gradient(lambda sample=sample: sample(batch))
            continue
        calls[library, "eager"] = no_gradient(lambda module=module: module(x))
        for how, translate in (("traced", lambda m: torch.jit.trace(m, (x,), check_trace=False)),
                               ("compiled", torch.compile)):
            try:
                with torch.no_grad():
                    fast = translate(module)
                    fast(x)
                calls[library, how] = no_gradient(lambda fast=fast: fast(x))
            except Exception as error:  # a library's own limit: said once, beside the figures
                print(f"{library} cannot be {how}: {str(error).splitlines()[0][:90]}",
                      file=sys.stderr)
    return calls


def no_gradient(call):
    import torch

    def run():
        with torch.no_grad():
            call()

    return run


def millrace_seconds(programs, kind, task, hidden, columns, batch):
    program, name = (("bench_maf", f"{BENCHMARKS[task]}/hidden:{hidden}/") if kind == "MAF" else
                     ("bench_flow", f"{BENCHMARKS[task]}/RealNVP/"))
    done = subprocess.run(
        [programs / program, "--benchmark_format=json", f"--benchmark_min_time={LEAST_SECONDS}",
         f"--benchmark_filter=^{name}dim:{columns}/batch:{batch}/"],
        capture_output=True, text=True, check=True)
    (run,) = json.loads(done.stdout)["benchmarks"]
    return run["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}[run["time_unit"]]


def measure(programs, rounds, cell):
    """{"millrace": s, "zuko eager": s, ...}: the shortest of the rounds, in turns."""
    calls = peer_calls(*cell)
    best = {}
    for _ in range(rounds):
        runs = {"millrace": lambda: millrace_seconds(programs, *cell)}
        runs |= {" ".join(key): lambda call=call: seconds_of(call) for key, call in calls.items()}
        for name, run in runs.items():
            best[name] = min(run(), best.get(name, float("inf")))
    return best


def ratio_text(found):
    def best(*ways):
        times = [value for name, value in found.items() if name.split()[-1] in ways]
        return min(times) / found["millrace"] if times else None

    eager, fast = best("eager"), best("traced", "compiled")
    return f"{eager:.3g}×" + (f" ({fast:.3g}×)" if fast else "")


def versions():
    import importlib.metadata
    return ", ".join(f"{name} {importlib.metadata.version(name)}"
                     for name in ("torch", "zuko", "nflows", "normflows"))


def main():
    inside_environment()
    import torch
    sys.path += [str(HERE), str(HERE.parent)]
    import rig
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("kinds", "MAF,RealNVP"), ("tasks", "log_prob,sample,training"),
                          ("columns", "6,21,43,63"), ("batches", "1,32,256,4096")):
        parser.add_argument(f"--{name}", default=default, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=pathlib.Path,
                        default=ROOT / "build/benchmarks/peers.json", help="default: %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    programs = pathlib.Path(os.environ["MILLRACE_BIN"])
    cells = rig.Cells(arguments.results)
    batches = [int(batch) for batch in arguments.batches.split(",")]
    for task in arguments.tasks.split(","):
        print(f"\n{task}\n\n| flow | D | {' | '.join(f'batch {b}' for b in batches)} |")
        print("|---|---|" + "---|" * len(batches))
        for kind in arguments.kinds.split(","):
            for hidden in SIZES[kind]:
                for columns in map(int, arguments.columns.split(",")):
                    row = []
                    for batch in batches:
                        key = ("peers", kind, task, hidden, columns, batch, versions())
                        found = cells.get(*key)
                        if found is None:
                            found = measure(programs, arguments.rounds,
                                            (kind, task, hidden, columns, batch))
                            cells.put(*key, value=found)
                        row.append(ratio_text(found))
                    print(f"| {kind} 2×{hidden} | {columns} | {' | '.join(row)} |", flush=True)
    print(f"\n{rig.where()}; {versions()}; {arguments.threads} threads")
    return 0


if __name__ == "__main__":
    sys.exit(main())
