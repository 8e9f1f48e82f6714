# SPDX-License-Identifier: Apache-2.0
"""Turns `bench_maf --benchmark_format=json` (standard input) into markdown tables.

Rows a second over wall time, and in brackets over CPU time, which other programs on the machine
disturb less; sampling beside log_prob as a ratio of CPU times.
"""

import json
import sys

BATCHES = (1, 32, 256, 4096)


def read(report):
    """{(benchmark, hidden, dim, batch): (rows/s by wall time, rows/s by CPU time)}"""
    found = {}
    for run in report["benchmarks"]:
        if run.get("run_type") == "aggregate" and run["aggregate_name"] != "median":
            continue
        name, *arguments = run["name"].split("/")
        values = dict(argument.split(":") for argument in arguments if ":" in argument)
        unit = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}[run["time_unit"]]
        batch = int(values["batch"].split("_")[0])
        found[name, int(values["hidden"]), int(values["dim"]), batch] = tuple(
            batch * unit / run[clock] for clock in ("real_time", "cpu_time"))
    return found


def short(number):
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.1f} k" if number >= 1e3 \
        else f"{number:.0f}"


def main():
    report = json.load(sys.stdin)
    found = read(report)
    for name in dict.fromkeys(key[0] for key in found):
        print(f"{name}, rows/s\n\n| hidden | D | " + " | ".join(f"batch {b}" for b in BATCHES) +
              " |\n|---|---|" + "---|" * len(BATCHES))
        for hidden, dim in dict.fromkeys(key[1:3] for key in found if key[0] == name):
            cells = (found.get((name, hidden, dim, batch)) for batch in BATCHES)
            print(f"| 2×{hidden} | {dim} | " +
                  " | ".join(f"{short(c[0])} ({short(c[1])})" if c else "" for c in cells) + " |")
        print()
    ratios = [(found["LogProb", *key[1:]][1] / value[1], key) for key, value in found.items()
              if key[0] == "Sample" and key[3] == 256 and ("LogProb", *key[1:]) in found]
    for ratio, (_, hidden, dim, _) in ratios:
        print(f"Sample costs {ratio:.2f} × log_prob at batch 256, 2×{hidden}, D = {dim}.")
    context = report["context"]
    print(f"\n{context['num_cpus']} cores, {context['date']}, "
          f"load {', '.join(f'{load:.1f}' for load in context['load_avg'])}")


if __name__ == "__main__":
    main()
