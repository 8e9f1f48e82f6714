# SPDX-License-Identifier: Apache-2.0
"""How near masked autoregressive flows come to what the processors can do.

    python3 machine_share.py                 5 layers of 512, 512, batches of 4096: a minute
    python3 machine_share.py --columns 43    of 43 columns only
    python3 machine_share.py --check         exit status 1 below what is wanted

GFLOP/s count what the masks leave, training as three passes. Each round measures the peak of fused
multiply-adds and every task, on one processor, then on all; a cell is the best of the rounds, its
share is of the best peak on as many processors. By processor time, shares tell of the code alone on
a machine that others use as well; all others need an idle one.
"""

import argparse
import os
import sys

import numpy as np

import rig

# Least share of the peak on all processors, of each task.
WANTED = {"LogProb": 0.8, "TrainStep": 0.7, "Sample": 0.7}
WANTED_SCALING = 0.95  # of the number of processors


def measure(hidden, columns, rounds):
    """{name, the peak as FmaPeak: GFLOP/s (on one processor, on all, on all for each second of a
    processor)}"""
    every = sorted(os.sched_getaffinity(0))
    cases = (f"^({'|'.join(WANTED)})/hidden:{hidden}/"
             f"dim:({'|'.join(map(str, columns))})/batch:4096/")

    def run_all(processors):
        runs = rig.benchmark("bench_peak", "FmaPeak", processors=processors)
        runs |= rig.benchmark("bench_maf", cases, processors=processors)
        return {name.split("/threads:")[0]: run for name, run in runs.items()}

    best = {}
    for _ in range(rounds):
        on_one, on_all = run_all(every[:1]), run_all(every)
        for name, run in on_all.items():
            found = (on_one[name]["GFLOP/s"], run["GFLOP/s"],
                     run["GFLOP/s"] * run["real_time"] / run["cpu_time"])
            best[name] = np.maximum(found, best.get(name, 0.0))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=512, help="100 or 512; default: %(default)s")
    parser.add_argument("--columns", default="6,21,43,63", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="fail below what is wanted")
    arguments = parser.parse_args()
    columns = list(map(int, arguments.columns.split(",")))
    found = measure(arguments.hidden, columns, arguments.rounds)
    processors = len(os.sched_getaffinity(0))
    peak = found["FmaPeak"]
    short = []
    print(f"| task | D | GFLOP/s, 1 thread | of the peak | {processors} threads | of the peak "
          "| by processor time | wanted | scaling |\n|---|---|---|---|---|---|---|---|---|\n"
          f"| peak | | {peak[0]:.0f} | | {peak[1]:.0f} | | | | {peak[1] / peak[0]:.2f} |")
    for task, wanted in WANTED.items():
        for dim in columns:
            speed = found[f"{task}/hidden:{arguments.hidden}/dim:{dim}/batch:4096"]
            one, share, share_of_time = speed / peak
            scaling = speed[1] / speed[0]
            print(f"| {task} | {dim} | {speed[0]:.0f} | {one:.0%} | {speed[1]:.0f} | {share:.0%} "
                  f"| {share_of_time:.0%} | {wanted:.0%} | {scaling:.2f} |")
            if share < wanted:
                short.append(f"{task} D={dim}: {share:.0%} of the peak")
            if scaling < WANTED_SCALING * processors:
                short.append(f"{task} D={dim}: {scaling:.2f}× on {processors} processors")
    print(f"\n{rig.where()}; wanted scaling: {WANTED_SCALING * processors:.2f}")
    if short:
        print("short of what is wanted: " + "; ".join(short))
    return 1 if short and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
