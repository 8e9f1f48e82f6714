# SPDX-License-Identifier: Apache-2.0
"""Held-out nats on real tables with the default spec, through the real server and tool.

    python3 tables.py                       protein, kin40k, pumadyn32nm, wine, BSDS500 patches
    python3 tables.py --sets protein,wine   some of them
    python3 tables.py --worst               besides: median and least log-densities of the test rows
    python3 tables.py --check               exit status 1 where a set is below its wanted figure

Prints markdown rows as they finish; what has finished is kept, and a further run goes on from
there.
"""

import argparse
import sys

import numpy as np

import datasets
import rig

# Of each set: figures of other estimators on these rows, and what is wanted.
SETS = {
    "protein": {"reference": "GMM 2.36, nflows MAF 4.16", "wanted": 4.16},
    "kin40k": {"reference": "GMM -11.16, nflows MAF -9.16", "wanted": -9.16},
    "pumadyn32nm": {"reference": "GMM -46.47, nflows MAF -46.86", "wanted": -46.5},
    "wine": {"reference": "RNADE -9.36 (published)", "wanted": None},
    "patches": {"reference": "nflows MAF 161.1", "wanted": 161.1},
}


def splits(name):
    """(fit, test) pairs of a set: one, or as many as it has folds."""
    if name == "wine":
        yield from datasets.wine_folds(rig.DATA)
    elif name == "patches":
        yield datasets.patches(rig.DATA)
    else:
        yield datasets.density_table(rig.DATA, name)


def run_cell(server, arguments, name, fold, fit, test):
    model_name = f"{name}-{fold}"
    model = server.train(model_name, fit, *arguments.options.split())
    log_prob = server.log_prob(model_name, test)
    gaussian = rig.Gaussian(fit).log_prob(test)
    inside = np.isfinite(log_prob)
    finite = log_prob[inside]
    return {
        "fit_rows": len(fit), "columns": fit.shape[1], "flow": rig.describe_flow(model),
        "seconds": model["report"]["seconds"], "epochs": model["report"]["epochs"],
        "stop_reason": model["report"]["stop_reason"],
        "rows": len(finite), "outside": int(np.sum(~inside)),
        "sum": float(finite.sum()), "squares": float(np.square(finite).sum()),
        "gaussian_sum": float(gaussian[inside].sum()),
        "median": float(np.median(log_prob)), "worst": np.sort(log_prob)[:5].tolist(),
    }


def run_set(server, cells, arguments, name):
    found = []
    for fold, (fit, test) in enumerate(splits(name)):
        cell = cells.get("table", name, fold, arguments.options)
        if cell is None:
            cell = run_cell(server, arguments, name, fold, fit, test)
            cells.put("table", name, fold, arguments.options, value=cell)
        found.append(cell)
    return found


def total(found, field):
    return sum(cell[field] for cell in found)


def nats(found):
    """(mean, standard error) over all test rows whose density is not 0."""
    rows = total(found, "rows")
    mean = total(found, "sum") / rows
    return mean, np.sqrt((total(found, "squares") / rows - mean ** 2) / (rows - 1))


def print_row(name, found):
    wanted = SETS[name]["wanted"]
    mean, error = nats(found)
    outside = f" ({total(found, 'outside')} outside)" if total(found, "outside") else ""
    print(f"| {name} | {found[0]['fit_rows']} | {found[0]['columns']} | {found[0]['flow']} "
          f"| {total(found, 'seconds'):.0f} | {mean:.2f} ± {error:.2f}{outside} "
          f"| {total(found, 'gaussian_sum') / total(found, 'rows'):.2f} "
          f"| {SETS[name]['reference']} | {'' if wanted is None else f'{wanted:g}'} |", flush=True)


def print_worst(name, found):
    worst = np.sort(np.concatenate([cell["worst"] for cell in found]))[:5]
    print(f"| {name} | {np.median([cell['median'] for cell in found]):.2f} "
          f"| {', '.join(f'{value:.1f}' for value in worst)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS),
                        help="comma-separated (default: %(default)s)")
    parser.add_argument("--worst", action="store_true", help="median and least log-densities too")
    parser.add_argument("--check", action="store_true", help="fail below a wanted figure")
    rig.add_options(parser, "tables.json")
    arguments = parser.parse_args()
    names = arguments.sets.split(",")
    for name in names:
        if name not in SETS:
            parser.error(f"no set '{name}'; there are {', '.join(SETS)}")
    if not (rig.DATA / "density").is_dir():
        print(f"no data in {rig.DATA / 'density'}: set MILLRACE_DATA")
        return rig.SKIPPED

    print("| set | rows | columns | flow | s | test nats | Gaussian | others | wanted |\n"
          "|---|---|---|---|---|---|---|---|---|")
    results = {}
    cells = rig.Cells(arguments.results)
    with rig.Server() as server:
        for name in names:
            results[name] = run_set(server, cells, arguments, name)
            print_row(name, results[name])
    if arguments.worst:
        print("\n| set | median | least |\n|---|---|---|")
        for name in names:
            print_worst(name, results[name])
    print("\n" + rig.where())
    short = [name for name in names if total(results[name], "outside") > 0 or
             nats(results[name])[0] < (SETS[name]["wanted"] or -np.inf)]
    if short:
        print("short of what is wanted:", ", ".join(short))
    return 1 if short and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
