# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions of a few calls under Valgrind and holds them against instructions.json.

    python3 instructions.py build/dev/bin/instructions            exit status 1 where a count has
                                                                  risen by more than 5 %
    python3 instructions.py build/dev/bin/instructions --record   writes instructions.json

Counts are of one compiler. Another one's are not compared, and without Valgrind there are none:
exit status 77, which ctest takes for "skipped".
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

RECORD = pathlib.Path(__file__).with_name("instructions.json")
SLACK = 0.05
SKIPPED = 77


def count(program):
    """The compiler that built the program, and {call: instructions}."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", "--collect-atstart=no",
             f"--callgrind-out-file={folder}/callgrind", program],
            stdout=subprocess.PIPE, text=True, check=True)
        dumps = [path.read_text() for path in sorted(pathlib.Path(folder).glob("callgrind.*"))]
    calls = {}
    for dump in dumps:
        (call,) = re.findall(r"^desc: Trigger: Client Request: (.*)$", dump, re.MULTILINE)
        calls[call] = int(re.search(r"^totals: (\d+)$", dump, re.MULTILINE)[1])
    return done.stdout.strip(), calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--record", action="store_true", help="keep these counts from now on")
    arguments = parser.parse_args()
    if not shutil.which("valgrind"):
        print("no valgrind")
        return SKIPPED
    compiler, counts = count(arguments.program.resolve())
    if arguments.record:
        RECORD.write_text(json.dumps({"compiler": compiler, "instructions": counts}, indent=2) +
                          "\n")
    record = json.loads(RECORD.read_text())
    if record["compiler"] != compiler:
        print(f"counts are recorded of GCC {record['compiler']}; this is {compiler}")
        return SKIPPED
    if counts.keys() != record["instructions"].keys():
        print("other calls than recorded: run me with --record")
        return 1
    failed = False
    for call, instructions in counts.items():
        recorded = record["instructions"][call]
        change = instructions / recorded - 1.0
        verdict = ("ROSE: make it fall, or say why in the commit that runs me with --record"
                   if change > SLACK else
                   "fell: --record keeps what is won" if change < -SLACK else "")
        print(f"{call:26} {instructions:11,}, recorded {recorded:11,} ({change:+.1%}) {verdict}")
        failed |= change > SLACK
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
