# SPDX-License-Identifier: Apache-2.0
"""Glow on images of 28 x 28: images a second of Millrace beside normflows on current torch.

    python3 images.py                     every cell: about half an hour on two cores
    python3 images.py --sizes 2x4x64 --batches 64 --tasks sample --rounds 1
    python3 images.py --check             exit status 1 where a ratio is below its floor

Same levels, steps and widths; threads, turns, the environment and what is kept are those of
peers.py. normflows counts as its fastest form: eager, traced or compiled, of weights as torch has
them or with the channels last.
"""

import math
import os
import sys

import peers

FLOORS = {"training": 1.5, "sample": 1.5}  # least ratios


def of_size(size):
    """(levels, steps of a level, width) of the networks' hidden layers."""
    return tuple(map(int, size.split("x")))


def normflows_calls(size, task, batch):
    import models
    import torch
    layouts = {"normflows": torch.contiguous_format,
               "normflows, channels last,": torch.channels_last}
    makers = {name: lambda layout=layout: models.normflows_glow(*of_size(size), layout)
              for name, layout in layouts.items()}
    return peers.calls_of(makers, "Glow", task, (batch, 1, 28, 28))


def millrace_seconds(size, task, batch):
    import rig
    levels, depth, width = of_size(size)
    (run,) = rig.benchmark(
        "bench_image", f"^{peers.BENCHMARKS[task]}/levels:{levels}/depth:{depth}/width:{width}/"
        f"batch:{batch}/", peers.LEAST_SECONDS).values()
    return run["real_time"]


def measure(rounds, cell):
    """{"millrace": s, "normflows eager": s, ...}"""
    runs = {"millrace": lambda: millrace_seconds(*cell)}
    runs |= {name: lambda call=call: peers.seconds_of(call)
             for name, call in normflows_calls(*cell).items()}
    return peers.take_turns(rounds, runs, slow=math.inf)


def millrace_products(levels, depth, width):
    """Multiplications of one log_prob of one image."""
    total, channels, side = 0, 1, 28
    for level in range(levels):
        channels, side = 4 * channels, side // 2
        half = channels // 2
        network = 9 * half * width + width ** 2 + 9 * width * 2 * half
        total += side ** 2 * depth * (network + channels ** 2)
        if level + 1 < levels:  # half of the channels leaves, by a prior that the others tell
            total += side ** 2 * 9 * half * 2 * half
            channels = half
    return total


def normflows_products(size):
    """The same, as torch counts them."""
    import models
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    module, _ = models.normflows_glow(*of_size(size), torch.contiguous_format)
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 1, 28, 28))
    return counter.get_total_flops() // 2


def print_row(size, task, batch, found):
    """Whether the ratio has its floor."""
    best, name = min((seconds, name) for name, seconds in found.items() if name != "millrace")
    ratio = best / found["millrace"]
    print(f"| {size.replace('x', '×')} | {task} | {batch} | {batch / found['millrace']:.0f} "
          f"| {batch / best:.0f} | {name.removeprefix('normflows').strip(', ')} | {ratio:.2f}× |",
          flush=True)
    return ratio >= FLOORS.get(task, 0.0)


def main():
    arguments = peers.read_arguments(
        __doc__.splitlines()[0], "peer-images.json", sizes="2x16x128,2x4x64",
        tasks="training,sample,log_prob", batches="64,256")
    peers.inside_environment()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:arguments.threads])
    import torch
    sys.path.append(str(peers.HERE.parent))
    import rig
    torch.set_num_threads(arguments.threads)
    kept = rig.Cells(arguments.results, ("bench_image",))
    below = 0
    sizes = arguments.sizes.split(",")
    print("| levels×steps×width | task | batch | Millrace, images/s | normflows, images/s | how "
          "| ratio |\n|---|---|---|---|---|---|---|")
    for size in sizes:
        for task in arguments.tasks.split(","):
            for batch in map(int, arguments.batches.split(",")):
                key = ("images", size, task, batch, arguments.threads, peers.versions())
                found = kept.get(*key)
                if found is None:
                    found = measure(arguments.rounds, (size, task, batch))
                    kept.put(*key, value=found)
                below += not print_row(size, task, batch, found)
    for size in sizes:
        print(f"\n{size.replace('x', '×')}: multiplications of log_prob of one image, "
              f"Millrace {millrace_products(*of_size(size)) / 1e6:.2f} million, "
              f"normflows {normflows_products(size) / 1e6:.2f} million")
    print(f"\n{below} cells below the floor of {FLOORS}\n\n{rig.where()}; "
          f"{arguments.threads} threads; {peers.versions()}\n{peers.wheel()}")
    return 1 if arguments.check and below else 0


if __name__ == "__main__":
    sys.exit(main())
