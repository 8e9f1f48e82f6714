# SPDX-License-Identifier: Apache-2.0
"""Held-out nats on real tables with the default spec, through the real server and tool.

    python3 tables.py                       protein, kin40k, pumadyn32nm, wine, BSDS500 patches
    python3 tables.py --sets protein,wine   some of them
    python3 tables.py --flows all           NICE to RQ-NSF (AR) with their defaults, a line each
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
    "protein": {"reference": "GMM 2.36, nflows MAF 4.16, RQ-NSF (AR) 4.42", "wanted": 4.6},
    "kin40k": {"reference": "GMM -11.16, nflows MAF -9.16, RQ-NSF (AR) -8.90", "wanted": -8.8},
    "pumadyn32nm": {"reference": "GMM -46.47, nflows MAF -46.86, histograms -41.2", "wanted": -41.5},
    "wine": {"reference": "RNADE -9.36 (published)", "wanted": None},
    "patches": {"reference": "nflows MAF 161.1", "wanted": 162.0},
}
FAMILY = ("protein", "kin40k", "pumadyn32nm", "patches")
# Options of each line of --flows. No cell may train longer than ten minutes.
FLOWS = {
    "NICE": "--flow nice",
    "RealNVP": "--flow realnvp",
    "MAF (5)": "--flow maf --layers 5",
    "MAF (10)": "--flow maf --layers 10",
    "MAF-MoG": "--flow maf-mog",
    "RQ-NSF (C)": "--flow nsf-c",
    "RQ-NSF (AR)": "--flow nsf-ar",
}
LIMIT = "--max-duration 10m"


def splits(name):
    """(fit, test) pairs of a set: one, or as many as it has folds."""
    if name == "wine":
        yield from datasets.wine_folds(rig.DATA)
    elif name == "patches":
        yield datasets.patches(rig.DATA)
    else:
        yield datasets.density_table(rig.DATA, name)


def run_cell(server, options, name, fold, fit, test):
    model_name = f"{name}-{fold}"
    model = server.train(model_name, fit, *options.split())
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


def run_set(server, cells, options, name):
    found = []
    for fold, (fit, test) in enumerate(splits(name)):
        cell = cells.get("table", name, fold, options)
        if cell is None:
            cell = run_cell(server, options, name, fold, fit, test)
            cells.put("table", name, fold, options, value=cell)
        found.append(cell)
    return found


def print_family(server, cells, arguments, names):
    """A line an architecture, a column a set: test nats ± standard error (seconds of training)."""
    chosen = list(FLOWS) if arguments.flows == "all" else arguments.flows.split(",")
    print(f"| flow | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    best = {}
    for flow in chosen:
        row = []
        for name in names:
            found = run_set(server, cells, f"{FLOWS[flow]} {LIMIT} {arguments.options}", name)
            mean, error = nats(found)
            best[name] = max(best.get(name, -np.inf), mean)
            fallback = " Gaussian" if any(cell["flow"] == "Gaussian" for cell in found) else ""
            row.append(f"{mean:.2f} ± {error:.2f} ({total(found, 'seconds'):.0f} s){fallback}")
        print(f"| {flow} | {' | '.join(row)} |", flush=True)
    print("| wanted of the best | " + " | ".join(str(SETS[name]["wanted"]) for name in names) + " |")
    return [name for name in names if best[name] < (SETS[name]["wanted"] or -np.inf)]


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


def print_default(server, cells, arguments, names):
    print("| set | rows | columns | flow | s | test nats | Gaussian | others | wanted |\n"
          "|---|---|---|---|---|---|---|---|---|")
    results = {}
    for name in names:
        results[name] = run_set(server, cells, arguments.options, name)
        print_row(name, results[name])
    if arguments.worst:
        print("\n| set | median | least |\n|---|---|---|")
        for name in names:
            print_worst(name, results[name])
    return [name for name in names if total(results[name], "outside") > 0 or
            nats(results[name])[0] < (SETS[name]["wanted"] or -np.inf)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", help="comma-separated (default: all, with --flows all but wine)")
    parser.add_argument("--flows", help=f"all, or some of: {','.join(FLOWS)}")
    parser.add_argument("--worst", action="store_true", help="median and least log-densities too")
    parser.add_argument("--check", action="store_true", help="fail below a wanted figure")
    rig.add_options(parser, "tables.json")
    arguments = parser.parse_args()
    names = (arguments.sets.split(",") if arguments.sets
             else list(FAMILY if arguments.flows else SETS))
    for name in names:
        if name not in SETS:
            parser.error(f"no set '{name}'; there are {', '.join(SETS)}")
    if not (rig.DATA / "density").is_dir():
        print(f"no data in {rig.DATA / 'density'}: set MILLRACE_DATA")
        return rig.SKIPPED

    cells = rig.Cells(arguments.results)
    with rig.Server() as server:
        short = (print_family(server, cells, arguments, names) if arguments.flows
                 else print_default(server, cells, arguments, names))
    print("\n" + rig.where())
    if short:
        print("short of what is wanted:", ", ".join(short))
    return 1 if short and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
