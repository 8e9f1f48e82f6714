# SPDX-License-Identifier: Apache-2.0
"""Millrace beside zuko, nflows and normflows on current torch: same flows, sizes and threads.

    python3 peers.py                                  every cell: about an hour on two cores
    python3 peers.py --kinds MAF --columns 6,43 --batches 1,256 --tasks log_prob
    python3 peers.py --check                          exit status 1 where a ratio is below its floor

The first run makes a virtual environment in build/peers (or $MILLRACE_PEERS) and installs
requirements.txt into it from PyPI. A cell is the shortest of --rounds runs of each program, which
take turns; its ratio is the best peer's time over Millrace's, eager and, in brackets, traced or
compiled, whichever is faster. What has finished is kept; a further run goes on from there.
"""

import argparse
import importlib.metadata
import logging
import math
import os
import pathlib
import re
import subprocess
import sys
import time
import venv
import warnings

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ENVIRONMENT = pathlib.Path(os.environ.get("MILLRACE_PEERS", ROOT / "build/peers"))
LEAST_SECONDS = 0.2  # of one run
SLOW_SECONDS = 1.0   # of a call that is not repeated in further rounds
SIZES = {"MAF": (100, 512), "RealNVP": (100,)}
BENCHMARKS = {"log_prob": "LogProb", "sample": "Sample", "training": "TrainStep"}
# Least ratios to the best peer, eager, by (task, flow, hidden, columns from which they count) and
# batch. Twice as much is wanted up to batch 256, and more than 1 in every cell and both ways.
FLOORS = {
    ("log_prob", "MAF", 100, 0): {1: 80, 32: 12, 256: 5, 4096: 2.5},
    ("log_prob", "MAF", 512, 0): {1: 20, 32: 3.5, 256: 2.5, 4096: 2},
    ("log_prob", "RealNVP", 100, 0): {1: 90, 32: 9, 256: 4, 4096: 1.8},
    ("sample", "MAF", 100, 0): {1: 200, 32: 90, 256: 30, 4096: 13},
    ("sample", "MAF", 100, 63): {1: 700, 32: 400, 256: 200, 4096: 130},
    ("training", "MAF", 100, 0): {32: 13, 256: 5, 4096: 4},
    ("training", "MAF", 512, 0): {32: 3, 256: 2, 4096: 1.8},
}


def inside_environment():
    """The program that runs, again: by the environment's Python, with quiet OpenMP threads."""
    python = ENVIRONMENT / "bin/python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement",
                        HERE / "requirements.txt"], check=True)
    if pathlib.Path(sys.prefix) == ENVIRONMENT:
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.execv(python, [python, *sys.argv])


def seconds_of(call):
    """Of one call: the mean over as many as fill LEAST_SECONDS, after three that warm up (a traced
    module is optimised in its first two); of a slow one, the shortest of the three."""
    def take(count):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - begin

    shortest = min(take(1) for _ in range(3))
    if shortest > SLOW_SECONDS:
        return shortest
    count = math.ceil(LEAST_SECONDS / shortest)
    return take(count) / count


def translations(kind, task, batch, inputs):
    """{how: module to faster module}. Drawing from a MAF is as many networks as columns times
    layers: too many to compile, and a trace, which holds on to every intermediate value, has no
    room for them at large batches, where calls are long and it has nothing to win."""
    import torch
    sweeps = (kind, task) == ("MAF", "sample")
    ways = {}
    if not sweeps or batch <= 256:
        ways["traced"] = lambda module: torch.jit.trace(module, inputs, check_trace=False)
    if not sweeps:
        ways["compiled"] = lambda module: torch.compile(module, dynamic=False)
    return ways


def calls_of(makers, kind, task, shape):
    """{"name eager | traced | compiled": what a run calls on rows [batch, ...]}, until the next
    cell's are made, of {name: what makes a module and what draws its samples}."""
    import models
    import torch
    warnings.filterwarnings("ignore")  # of tracing, about shapes that do not change here
    torch._logging.set_logs(all=logging.ERROR)
    torch._dynamo.reset()  # past a number of compiled shapes it would give up, without a word
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    torch.set_grad_enabled(task == "training")
    inputs = () if task == "sample" else (4.0 * torch.rand(shape) - 2.0,)

    def ready(module):
        run = models.training_step(module) if task == "training" else module
        return lambda: run(*inputs)

    calls = {}
    for name, make in makers.items():
        torch.manual_seed(1)
        module, sample = make()
        if task == "sample":
            module = models.Sample(module, sample, shape[0])
        calls[f"{name} eager"] = ready(module)
        for how, translate in translations(kind, task, shape[0], inputs).items():
            try:
                call = ready(translate(module))
                call()
                calls[f"{name} {how}"] = call
            except Exception as error:  # a library's own limit: said once, beside the figures
                print(f"{name} cannot be {how}: {str(error).splitlines()[0][:90]}",
                      file=sys.stderr)
    return calls


def peer_calls(kind, task, hidden, columns, batch):
    import models
    makers = {library: lambda make=make: make(columns, hidden)
              for library, make in models.PEERS[kind].items()}
    return calls_of(makers, kind, task, (batch, columns))


def peak():
    """GFLOP/s."""
    import rig
    (run,) = rig.benchmark("bench_peak", "FmaPeak").values()
    return run["GFLOP/s"]


def millrace_seconds(kind, task, hidden, columns, batch):
    import rig
    program, flow = ("bench_maf", f"hidden:{hidden}") if kind == "MAF" else ("bench_flow", kind)
    (run,) = rig.benchmark(
        program, f"^{BENCHMARKS[task]}/{flow}/dim:{columns}/batch:{batch}/", LEAST_SECONDS).values()
    return run["real_time"]


def take_turns(rounds, runs, slow=SLOW_SECONDS):
    """{name: s}: the shortest of the rounds of each run; one slower than `slow` has no further."""
    found = {}
    for _ in range(rounds):
        for name, run in runs.items():
            if found.get(name, 0.0) < slow:
                found[name] = min(run(), found.get(name, math.inf))
    return found


def measure(rounds, cell):
    """{"millrace": s, "zuko eager": s, ...}; of the largest batch also "peak": GFLOP/s."""
    runs = {"millrace": lambda: millrace_seconds(*cell)}
    runs |= {name: lambda call=call: seconds_of(call) for name, call in peer_calls(*cell).items()}
    if cell[-1] == 4096:
        runs["peak"] = lambda: 1.0 / peak()
    found = take_turns(rounds, runs)
    if "peak" in found:
        found["peak"] = 1.0 / found["peak"]
    return found


def best_peer(found, *ways):
    """(s, library) of the fastest peer run in one of these ways; None without any."""
    return min(((seconds, name.split()[0]) for name, seconds in found.items()
                if name.split()[-1] in ways), default=None)


def ratios(found):
    """(eager, traced or compiled or None): the best peer's time over Millrace's."""
    times = best_peer(found, "eager"), best_peer(found, "traced", "compiled")
    return [best and best[0] / found["millrace"] for best in times]


def ratio_text(found):
    eager, fast = ratios(found)
    return f"{eager:.3g}×" + (f" ({fast:.3g}×)" if fast else "")


def floor_of(kind, task, hidden, columns, batch):
    """None where there is none."""
    rows = [row for (*flow, least), row in FLOORS.items()
            if flow == [task, kind, hidden] and columns >= least]
    return rows[-1].get(batch) if rows else None


def judge(cells):
    """Prints the cells that are not what is wanted; whether all have their floor."""
    verdicts = {"below the floor": [], "below twice the floor": [], "behind a peer": []}
    for (kind, task, hidden, columns, batch), found in cells.items():
        floor = floor_of(kind, task, hidden, columns, batch)
        eager, fast = ratios(found)
        where = f"{task} {kind} 2×{hidden} D={columns} batch {batch}: {ratio_text(found)}"
        if floor and eager < floor:
            verdicts["below the floor"].append(f"{where}, floor {floor:g}×")
        elif floor and batch <= 256 and eager < 2 * floor:
            verdicts["below twice the floor"].append(f"{where}, floor {floor:g}×")
        if min(eager, fast or eager) <= 1.0:
            verdicts["behind a peer"].append(where)
    for verdict, places in verdicts.items():
        print(f"\n{verdict}: {len(places)} of {len(cells)} cells")
        for place in places:
            print(f"- {place}")
    return not verdicts["below the floor"]


def print_shares(cells):
    """What Millrace and the best peer, counting its multiplications by zero, make of the peak."""
    import models
    rows = [(cell, found) for cell, found in cells.items()
            if "peak" in found and cell[1] != "sample"]
    if not rows:
        return
    print("\n| at batch 4096 | D | Millrace, of the peak | without zeros | best peer | of the peak |"
          "\n|---|---|---|---|---|---|")
    for (kind, task, hidden, columns, batch), found in rows:
        def share(seconds, products):
            passes = 3 if task == "training" else 1
            return passes * 2e-9 * products * batch / seconds / found["peak"]

        seconds, library = best_peer(found, "eager", "traced", "compiled")
        dense = models.dense_products(kind, library, columns, hidden)
        useful = models.useful_products(kind, columns, hidden)
        print(f"| {task} {kind} 2×{hidden} | {columns} | {share(found['millrace'], useful):.0%} "
              f"| {useful / dense:.0%} | {library} | {share(seconds, dense):.0%} |")


def versions():
    return ", ".join(f"{name} {importlib.metadata.version(name)}"
                     for name in ("torch", "zuko", "nflows", "normflows"))


def wheel():
    """What torch computes with."""
    import torch
    text = torch.__config__.show()
    found = [re.search(pattern, text) for pattern in (
        r"Math Kernel Library Version [\w.]+", r"MKL-DNN v[\d.]+", r"CPU capability usage: \S+",
        r"OpenMP \d+")]
    return f"torch {torch.__version__}: " + ", ".join(match[0] for match in found if match)


def read_arguments(description, results, **cells):
    """Of a script whose cells are lists, with these defaults, and kept in the file `results`."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in cells.items():
        parser.add_argument(f"--{name}", default=default, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="and processors for everybody; default: %(default)s")
    parser.add_argument("--check", action="store_true", help="fail below a floor")
    parser.add_argument("--results", type=pathlib.Path,
                        default=ROOT / "build/benchmarks" / results, help="default: %(default)s")
    return parser.parse_args()


def print_task(task, arguments, kept):
    """The table of one task; {cell: found}"""
    batches = [int(batch) for batch in arguments.batches.split(",")]
    if task == "training":  # nobody trains on single rows
        batches = [batch for batch in batches if batch > 1]
    if not batches:
        return {}
    print(f"\n{task}\n\n| flow | D | {' | '.join(f'batch {b}' for b in batches)} |")
    print("|---|---|" + "---|" * len(batches))
    cells = {}
    for kind in arguments.kinds.split(","):
        for hidden in SIZES[kind]:
            for columns in map(int, arguments.columns.split(",")):
                row = []
                for batch in batches:
                    cell = (kind, task, hidden, columns, batch)
                    key = ("peers", *cell, arguments.threads, versions())
                    cells[cell] = kept.get(*key)
                    if cells[cell] is None:
                        cells[cell] = measure(arguments.rounds, cell)
                        kept.put(*key, value=cells[cell])
                    row.append(ratio_text(cells[cell]))
                print(f"| {kind} 2×{hidden} | {columns} | {' | '.join(row)} |", flush=True)
    return cells


def main():
    arguments = read_arguments(__doc__.splitlines()[0], "peers.json", kinds="MAF,RealNVP",
                               tasks="log_prob,sample,training", columns="6,21,43,63",
                               batches="1,32,256,4096")
    inside_environment()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:arguments.threads])
    import torch
    sys.path += [str(HERE), str(HERE.parent)]
    import rig
    torch.set_num_threads(arguments.threads)
    kept = rig.Cells(arguments.results, ("bench_maf", "bench_flow"))
    cells = {}
    for task in arguments.tasks.split(","):
        cells |= print_task(task, arguments, kept)
    print_shares(cells)
    all_right = judge(cells)
    print(f"\n{rig.where()}; {arguments.threads} threads; {versions()}\n{wheel()}")
    return 1 if arguments.check and not all_right else 0


if __name__ == "__main__":
    sys.exit(main())
