# SPDX-License-Identifier: Apache-2.0
"""Flows of images on MNIST, through the real server and tool: bits per dimension and pictures.

    python3 images.py                          an hour of training each, then figures and pictures
    python3 images.py --models glow --minutes 90
    python3 images.py --reuse                  the models of the last run, without training
    python3 images.py --limit 2000 --minutes 0.5
    python3 images.py --check                  exit status 1 above the bits that are wanted

Trains on the first 50,000 images, tests on the last 10,000. Models, the tool's progress and
pictures, of the flows of images, are left in build/benchmarks/images. Bits are of images with uniform noise, one draw each,
as they are published: in the mean an upper bound of the images' own. `millrace log-prob` says
fewer, which bound them likewise: its densities are means over eight places in a pixel's bin.
"""

import argparse
import json
import math
import pathlib
import re
import sys
import tempfile
import zlib

import numpy as np

import datasets
import rig

OUT = rig.ROOT / "build/benchmarks/images"
TRAIN, TEST = 50000, 10000
BITS = -1.0 / (28 * 28 * math.log(2))  # per dimension, of a nat per image
CHOSEN_BY = 2000  # of the test images, the first, had a say in the defaults (decision 0018)
TEMPERATURES = (0.7, 0.85, 1.0)
PAIRS = ((50000, 50001), (50005, 50003), (50016, 50018))  # images to walk between: 3 8, 4 9, 1 0

SHOWN = "50000:50008"  # images to move along an attribute and to complete

# Options of `millrace train`, published bits per dimension, and what is wanted. Glow and RealNVP:
# Grathwohl et al. 2019, table 2; MAF: Papamakarios et al. 2017. These trained on all 60,000 digits
# of the file or on 50,000 of them, and tested on the 10,000 of another.
MODELS = {
    "glow": ("--flow glow --levels 2 --layers 16 --hidden 128,128", 1.05, 1.25),
    "realnvp-image": ("--flow realnvp-image", 1.06, 1.25),
    "maf": ("--flow maf --layers 5 --hidden 1024 --mixing reverse --activation relu --whiten no "
            "--act-norm yes --learning-rate 3e-4", 1.89, 1.92),
}


def train(server, path, name, arguments):
    options, _, _ = MODELS[name]
    rows = min(arguments.limit or TRAIN, TRAIN)
    server.tool("train", name, path, "--rows", f"0:{rows}", "--max-duration",
                f"{arguments.minutes}m", "--max-epochs", 100000, "--validation-fraction", 0.05,
                "--calibration-fraction", 0.02, *options.split(), *arguments.options.split(),
                log=OUT / f"{name}.log")


def at_points(source, target):
    """Copies a model's file (its form: core/io/model_file.h) with columns that are continuous
    instead of pixels: log-densities are then those of the very numbers of a row."""
    data = source.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    model = json.loads(header["__metadata__"]["millrace.model"])
    for column in model["columns"]:
        column |= {"type": "continuous", "bin_width": 0.0}
    header["__metadata__"] |= {"millrace.checksum": "0" * 8, "millrace.model": json.dumps(model)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    copy = len(text).to_bytes(8, "little") + text + data[8 + length:]
    target.parent.mkdir(parents=True)
    target.write_bytes(copy.replace(b"0" * 8, b"%08x" % zlib.crc32(copy), 1))


def print_curve(name, model):
    """Of the epochs 1, 2, 4, ... and the last that the progress tells of."""
    pattern = r"epoch (\d+) .* validation (\S+) .*  ([\d:]+) elapsed"
    told = {}
    for epoch, nats, clock in re.findall(pattern, (OUT / f"{name}.log").read_text()):
        seconds = 0
        for part in clock.split(":"):
            seconds = 60 * seconds + int(part)
        told.setdefault(int(epoch), (seconds / 60, BITS * float(nats)))
    shown = sorted({min((e for e in told if e >= 2 ** k), default=max(told)) for k in range(20)})
    print(f"\n{name}: {rig.describe_flow(model)}; published {MODELS[name][1]}\n\n"
          "| epoch | minutes | validation bits per dimension |\n|---|---|---|")
    for epoch in shown:
        print(f"| {epoch} | {told[epoch][0]:.1f} | {told[epoch][1]:.3f} |")


def thickness(images):
    """Of strokes: ink over the length of its outline."""
    ink = images.reshape(-1, 28, 28) / 255.0
    return ink.sum((1, 2)) / sum(abs(np.diff(ink, axis=a)).sum((1, 2)) for a in (1, 2))


def draw(server, path, name, known):
    """The pictures of a model that was trained on the images `known`, each with a CSV of what the
    tool tells of its images."""
    def picture(title, command, *arguments):
        drawn = OUT / f"{name}-{title}.png"
        told = server.tool(command, name, *arguments, "--image", "28x28", "-o", drawn)
        if told:
            drawn.with_suffix(".csv").write_text(told)

    for temperature in TEMPERATURES:
        picture(f"samples-{temperature}", "sample", "-n", 64, "--seed", 1,
                "--temperature", temperature)
    for a, b in PAIRS:
        picture(f"between-{a}-{b}", "interpolate", path, "--rows", f"{a},{b}", "--steps", 12)
    order, tenth = np.argsort(thickness(known)), len(known) // 10
    for kind, those in (("thin", order[:tenth]), ("thick", order[-tenth:])):
        np.save(OUT / f"{kind}.npy", known[those].reshape(-1, 28, 28))
    server.tool("attribute", name, "thickness", OUT / "thick.npy", "--without", OUT / "thin.npy")
    picture("thickness", "manipulate", path, "--rows", SHOWN, "--attribute", "thickness",
            "--amount=-1,-0.5,0,0.5,1")
    picture("completed", "complete", path, "--rows", SHOWN, "--missing", "14:28,0:28", "--draws", 5,
            "--seed", 1, "--timeout", "30m")


def score(models, of_bins, rows):
    """Prints a line for each model; the names of those above what is wanted."""
    noisy = rows + np.random.RandomState(0).uniform(-0.5, 0.5, rows.shape)
    print("\n| model | epochs | minutes | test bits per dimension | those without a say "
          "| by log-prob | published | wanted |\n|---|---|---|---|---|---|---|---|")
    short = []
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            at_points(OUT / f"models/{name}/{model['version']}/model.safetensors",
                      pathlib.Path(folder) / f"models/{name}/1/model.safetensors")
        with rig.Server(folder) as server:
            for name, model in models.items():
                bits = BITS * server.log_prob(name, noisy)
                mean, error = rig.mean_and_error(bits)
                unseen = bits[CHOSEN_BY:].mean() if len(bits) > CHOSEN_BY else math.nan
                report, (_, published, wanted) = model["report"], MODELS[name]
                print(f"| {name} | {report['epochs']} | {report['seconds'] / 60:.1f} "
                      f"| {mean:.3f} ± {error:.3f} | {unseen:.3f} | {of_bins[name]:.3f} "
                      f"| {published} | {wanted} |", flush=True)
                short += [name] if mean > wanted else []
    return short


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS), help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=60, help="of training each; %(default)s")
    parser.add_argument("--limit", type=int, help="rows to train on, and most to test on")
    parser.add_argument("--options", default="", help="further options for `millrace train`")
    parser.add_argument("--reuse", action="store_true", help="the models of the last run")
    parser.add_argument("--check", action="store_true", help="fail above what is wanted")
    arguments = parser.parse_args()
    if not (rig.DATA / "images").is_dir():
        print(f"no data in {rig.DATA / 'images'}: set MILLRACE_DATA")
        return rig.SKIPPED
    path, rows = datasets.digits(rig.DATA)
    test = range(TRAIN, TRAIN + min(arguments.limit or TEST, TEST))
    OUT.mkdir(parents=True, exist_ok=True)
    models, of_bins = {}, {}
    with rig.Server(OUT) as server:
        for name in arguments.models.split(","):
            if not arguments.reuse:
                train(server, path, name, arguments)
            models[name] = json.loads(server.tool("describe", name, "--json"))
            print_curve(name, models[name])
            of_bins[name] = BITS * float(server.tool(
                "log-prob", name, path, "--rows", f"{test.start}:{test.stop}", "--mean",
                "--timeout", "10m").split()[0])
            if "image" in models[name]["flow"]:  # samples of the MAF overflow at times
                draw(server, path, name, rows[:min(arguments.limit or TRAIN, TRAIN)])
    short = score(models, of_bins, rows[test.start:test.stop])
    print(f"\n{rig.where()}; pictures in {OUT}")
    if short:
        print("more bits than wanted:", ", ".join(short))
    return 1 if short and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
