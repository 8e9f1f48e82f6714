# SPDX-License-Identifier: Apache-2.0
"""How far students are from their teachers, through the real server and tool.

    python3 distillation.py                         students of a MAF and of an RQ-NSF (AR), two
                                                    moons and protein
    python3 distillation.py --teachers maf --sets protein
    python3 distillation.py --check                 exit status 1 where a MAF's student is further off
                                                    than 0.1 nats; keeps nothing

Nats of test rows under both; KL(student || teacher) of 20,000 samples with its standard error, as
the server reports it, and KL(teacher || student) of as many samples of the teacher; seconds of the
fit. What has finished is kept; a further run goes on from there.
"""

import argparse
import json
import sys

import datasets
import densities
import rig

TEACHERS = ("maf", "nsf-ar")
SETS = ("two-moons", "protein")
WITHIN = 0.1
SAMPLES = 20000


def rows_of(server, name):
    """Training and test rows."""
    if name == "protein":
        return datasets.density_table(rig.DATA, name)
    return [densities.toy(server, name, rows, seed)[0] for rows, seed in ((50000, 1), (20000, 2))]


def run_cell(server, options, name, flow):
    train, test = rows_of(server, name)
    teacher, student = f"{name}-{flow}", f"{name}-{flow}-student"
    taught = server.train(teacher, train, "--flow", flow)
    learned = json.loads(server.tool("distill", student, "--from", teacher, "--samples", SAMPLES,
                                     "--json", "--quiet", *options.split()))["report"]
    drawn = server.sample(teacher, SAMPLES)
    backwards = rig.mean_and_error(server.log_prob(teacher, drawn) -
                                   server.log_prob(student, drawn))
    return {"teacher": rig.describe_flow(taught), "fit": learned["density_fit"],
            "backwards": backwards, "seconds": learned["seconds"], "steps": learned["steps"],
            "nats": [float(server.log_prob(model, test).mean()) for model in (teacher, student)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teachers", default=",".join(TEACHERS), help="default: %(default)s")
    parser.add_argument("--sets", default=",".join(SETS), help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="fail where a student is too far off")
    rig.add_options(parser, "distillation.json", "distill", "the default student")
    arguments = parser.parse_args()
    print("| set | teacher | test nats | student | steps | s | KL(S‖T) | KL(T‖S) | effective samples |"
          "\n|---|---|---|---|---|---|---|---|---|")
    cells = rig.Cells(None if arguments.check else arguments.results)
    failed = []
    with rig.Server() as server:
        for name in arguments.sets.split(","):
            for flow in arguments.teachers.split(","):
                key = ("distil", name, flow, arguments.options)
                cell = cells.get(*key)
                if cell is None:
                    cell = run_cell(server, arguments.options, name, flow)
                    cells.put(*key, value=cell)
                fit, (distance, error) = cell["fit"], cell["backwards"]
                print(f"| {name} | {cell['teacher']} | {cell['nats'][0]:.3f} | {cell['nats'][1]:.3f} "
                      f"| {cell['steps']} | {cell['seconds']:.0f} "
                      f"| {fit['divergence']:.3f} ± {fit['divergence_error']:.3f} "
                      f"| {distance:.3f} ± {error:.3f} "
                      f"| {100 * fit['effective_sample_fraction']:.0f} % |", flush=True)
                if flow == "maf" and max(fit["divergence"], distance) > WITHIN:
                    failed.append(f"{name}: {fit['divergence']:.3f}, {distance:.3f}")
    print(f"\n{rig.where()}")
    if arguments.check and failed:
        print("too far off: " + "; ".join(failed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
