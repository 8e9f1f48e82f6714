# SPDX-License-Identifier: Apache-2.0
"""Anomaly detection with the default spec, and the default against a full-covariance Gaussian.

    python3 anomaly.py                      every set of at most 50,000 rows
    python3 anomaly.py --sets all           http and smtp too, of which 50,000 rows are drawn
    python3 anomaly.py --check              the three sets with a floor; exit status 1 below it,
                                            77 without the data

Half of a set's normal rows train the model, the others and all anomalies are scored by
-log_prob: AUROC and average precision, in percent, mean over three seeds. Besides, the normal test
rows' mean log-density beside that of a Gaussian of the same training rows.
"""

import argparse
import concurrent.futures
import os
import sys

import numpy as np

import datasets
import rig

SEEDS = (0, 1, 2)
LARGE = ("16_http", "34_smtp")
# AUROC of a full-covariance Gaussian (scikit-learn 1.2), percent.
FLOORS = {"6_cardio": 94.4, "28_pendigits": 84.8, "38_thyroid": 97.6}


def auroc(scores, positive):
    """Probability that an anomaly scores higher than a normal row, ties counting half; percent."""
    values, index, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]
    hits = positive.sum()
    return 100 * (ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits))


def average_precision(scores, positive):
    """Precision at every threshold, weighted by the recall it adds; percent."""
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[last_of_ties]
    return 100 * float(np.sum(np.diff(hits, prepend=0) * hits / (last_of_ties + 1)) / hits[-1])


def run_cell(server, name, seed, options):
    fit, test, is_anomaly = datasets.anomaly_split(rig.DATA, name, seed)
    model_name = f"set-{name}-{seed}".lower().replace("_", "-").replace(".", "-")
    model = server.train(model_name, fit, *options)
    log_prob = server.log_prob(model_name, test)
    gaussian = rig.Gaussian(fit).log_prob(test)
    inside = ~is_anomaly & np.isfinite(log_prob)
    advantage, error = rig.mean_and_error(log_prob[inside] - gaussian[inside])
    score, gaussian_score = (-np.maximum(values, -1e300) for values in (log_prob, gaussian))
    return {
        "rows": len(fit), "columns": fit.shape[1], "flow": rig.describe_flow(model),
        "seconds": model["report"]["seconds"],
        "auroc": auroc(score, is_anomaly), "ap": average_precision(score, is_anomaly),
        "gaussian_auroc": auroc(gaussian_score, is_anomaly),
        "gaussian_ap": average_precision(gaussian_score, is_anomaly),
        "nats": float(log_prob[inside].mean()), "gaussian_nats": float(gaussian[inside].mean()),
        "advantage": advantage, "advantage_error": error,
        "outside": int(np.sum(~is_anomaly & ~np.isfinite(log_prob))),
    }


def run_set(server, cells, arguments, name):
    found = []
    for seed in SEEDS:
        cell = cells.get("anomaly", name, seed, arguments.options)
        if cell is None:
            cell = run_cell(server, name, seed, arguments.options.split())
            cells.put("anomaly", name, seed, arguments.options, value=cell)
        found.append(cell)
    return found


def mean(found, field):
    return float(np.mean([cell[field] for cell in found]))


def advantage(found):
    """(mean, standard error) of the normal test rows' advantage over the Gaussian, nats."""
    error = np.sqrt(np.sum(np.square([cell["advantage_error"] for cell in found]))) / len(found)
    return mean(found, "advantage"), error


def print_row(name, found):
    better, error = advantage(found)
    flows = sorted({cell["flow"] for cell in found})
    print(f"| {name} | {found[0]['rows']} × {found[0]['columns']} | {' / '.join(flows)} "
          f"| {mean(found, 'seconds'):.1f} "
          f"| {mean(found, 'auroc'):.1f} ({mean(found, 'ap'):.1f}) "
          f"| {mean(found, 'gaussian_auroc'):.1f} ({mean(found, 'gaussian_ap'):.1f}) "
          f"| {mean(found, 'nats'):.2f} | {mean(found, 'gaussian_nats'):.2f} "
          f"| {better:+.2f} ± {error:.2f} | {sum(cell['outside'] for cell in found)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=None, help="comma-separated names, or 'all'")
    parser.add_argument("--check", action="store_true", help="the sets with a floor, as a test")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)),
                        help="sets at once")
    rig.add_options(parser, "anomaly.json")
    arguments = parser.parse_args()
    if not (rig.DATA / "anomaly").is_dir():
        print(f"no data in {rig.DATA / 'anomaly'}: set MILLRACE_DATA")
        return rig.SKIPPED
    if arguments.check:
        names = list(FLOORS)
    elif arguments.sets == "all":
        names = datasets.ANOMALY_SETS
    elif arguments.sets:
        names = arguments.sets.split(",")
    else:
        names = [name for name in datasets.ANOMALY_SETS if name not in LARGE]

    print("| set | rows × columns | flow | s | AUROC (AP) % | Gaussian | nats | Gaussian "
          "| difference | outside |\n|---|---|---|---|---|---|---|---|---|---|")
    results = {}
    cells = rig.Cells(None if arguments.check else arguments.results)
    with rig.Server() as server, \
            concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = {name: pool.submit(run_set, server, cells, arguments, name) for name in names}
        for name, run in runs.items():
            results[name] = run.result()
            print_row(name, results[name])
    ten = [found for name, found in results.items()
           if name not in LARGE and 1000 <= np.load(rig.DATA / f"anomaly/{name}.npz")["y"].size]
    if ten:
        print(f"\nMean of the {len(ten)} sets of 1,000 to 50,000 rows: "
              f"AUROC {np.mean([mean(f, 'auroc') for f in ten]):.1f}, "
              f"AP {np.mean([mean(f, 'ap') for f in ten]):.1f}; Gaussian "
              f"{np.mean([mean(f, 'gaussian_auroc') for f in ten]):.1f}, "
              f"{np.mean([mean(f, 'gaussian_ap') for f in ten]):.1f}")
    behind = [name for name, found in results.items()
              if np.dot(advantage(found), [1, 2]) < 0]
    print("Behind the Gaussian by more than two standard errors:", ", ".join(behind) or "none")
    print(rig.where())
    failed = [f"{name}: AUROC {mean(results[name], 'auroc'):.2f} is below {floor}"
              for name, floor in FLOORS.items()
              if arguments.check and round(mean(results[name], "auroc"), 1) < floor]
    print("\n".join(failed), end="\n" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
