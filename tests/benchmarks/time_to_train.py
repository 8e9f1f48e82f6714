# SPDX-License-Identifier: Apache-2.0
"""Seconds of training until two moons are learned, through the real server and tool.

    python3 time_to_train.py             the quickstart's training, and a textbook's first example
    python3 time_to_train.py --check     exit status 1 where one takes longer than is wanted

The quickstart's rows are learned with defaults, to the end. The textbook's flow, two affine
couplings with networks of 64, 64, takes 3,201 steps on 512 rows (7.6 s in PyTorch on a CUDA card),
through the server and without one. Distances are means of log p exact - log p learned over fresh
rows, in nats. A line is the quickest of the rounds.
"""

import argparse
import sys

import densities
import rig

# rows to learn from, options, most seconds, most nats from the exact density.
CASES = {
    "quickstart": (10000, "", 5.0, 0.1),
    # 33 epochs of 97 steps on the 80 % of rows that are fitted.
    "textbook": (62080, "--flow realnvp --layers 2 --hidden 64,64 --mixing none --activation relu "
                        "--batch-size 512 --max-epochs 33 --patience 33", 3.0, None),
}


def train(server, name, rounds):
    """(steps, seconds, nats from the exact density, its standard error)"""
    rows, options, _, _ = CASES[name]
    table, _ = densities.toy(server, "two-moons", rows, 1)
    test, exact = densities.toy(server, "two-moons", 20000, 2)
    reports = [server.train(name, table, *options.split())["report"] for _ in range(rounds)]
    return (int(reports[0]["steps"]), min(report["seconds"] for report in reports),
            *rig.mean_and_error(exact - server.log_prob(name, test)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="fail above what is wanted")
    arguments = parser.parse_args()
    failed = []
    print("| what | steps | s | wanted | nats from the exact density |\n|---|---|---|---|---|")

    def show(what, name, steps, seconds, distance=None):
        _, _, most_seconds, most_nats = CASES[name]
        nats = f"{distance[0]:.3f} ± {distance[1]:.3f}" if distance else ""
        print(f"| {what} | {steps} | {seconds:.2f} | {most_seconds:g} | {nats} |", flush=True)
        if seconds > most_seconds or (distance and most_nats and distance[0] > most_nats):
            failed.append(what)

    with rig.Server() as server:
        for name in CASES:
            steps, seconds, *distance = train(server, name, arguments.rounds)
            show(f"{name}, through the server", name, steps, seconds, distance)
    alone = min(rig.benchmark("bench_flow", "^TrainTextbook")["TrainTextbook"]["real_time"]
                for _ in range(arguments.rounds))
    show("textbook, steps alone", "textbook", 3201, alone)
    print(f"\n{rig.where()}")
    if failed:
        print("more than is wanted: " + "; ".join(failed))
    return 1 if failed and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
