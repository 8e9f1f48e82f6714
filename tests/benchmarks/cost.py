# SPDX-License-Identifier: Apache-2.0
"""Draws cost.svg: how the time of a call grows with its rows and with columns times hidden width.

    python3 cost.py                          about two minutes
    python3 cost.py --rounds 1 --output /tmp/cost.svg

Masked autoregressive flows of five layers, measured by bench_cost; a point is the shortest of the
rounds. Prints the exponent of each growth over the upper half of its points: 1 is linear.
"""

import argparse
import math
import pathlib
import sys

import numpy as np

import rig

TASKS = {"TrainStep": "training step", "Sample": "sample", "LogProb": "log_prob"}
WIDTHS = (64, 256, 1024)  # of the one hidden layer on the right, each with a marker of its own
STYLE = """
  svg { font: 13px system-ui, sans-serif }
  .ground { fill: #ffffff } text { fill: #24292f } .note { fill: #57606a }
  .grid { stroke: #d8dee4 } .line { stroke-dasharray: 5 4; fill: none }
  .TrainStep { fill: #bc4c00; stroke: #bc4c00 } .Sample { fill: #0969da; stroke: #0969da }
  .LogProb { fill: #1a7f37; stroke: #1a7f37 } .key { fill: #57606a; stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .note { fill: #9198a1 }
    .grid { stroke: #30363d } .key { fill: #9198a1; stroke: #9198a1 }
    .TrainStep { fill: #f0883e; stroke: #f0883e } .Sample { fill: #58a6ff; stroke: #58a6ff }
    .LogProb { fill: #3fb950; stroke: #3fb950 }
  }"""


def measure(rounds):
    """{(task, hidden layers, their width, columns, batch): seconds of a call}"""
    best = {}
    for _ in range(rounds):
        for name, run in rig.benchmark("bench_cost", seconds=0.1).items():
            task, *arguments = name.split("/")
            key = (task, *(int(argument.split(":")[1]) for argument in arguments))
            best[key] = min(run["real_time"], best.get(key, math.inf))
    return best


def marker(shape, x, y, of):
    if shape == 0:
        return f'<circle class="{of}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    if shape == 1:
        return f'<rect class="{of}" x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4"/>'
    return f'<path class="{of}" d="M{x - 4:.1f} {y + 3.4:.1f}h8l-4 -7.4z"/>'


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{words}</text>'


def duration(seconds):
    unit, name = next((u, n) for u, n in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
                      if seconds >= u * 0.999)
    return f"{seconds / unit:.0f} {name}"


class Panel:
    """Logarithmic axes at `left`, `top`; x in powers of two, y in powers of ten seconds."""

    WIDTH, HEIGHT = 370, 300

    def __init__(self, left, top, x_range, y_range, x_label):
        self.left, self.top, self.x_range, self.y_range = left, top, x_range, y_range
        self.parts = []
        bottom, right = top + self.HEIGHT, left + self.WIDTH
        for power in range(round(math.log2(x_range[0])), round(math.log2(x_range[1])) + 1, 2):
            x, _ = self.place(2.0 ** power, y_range[0])
            self.parts += [f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>',
                           text(x, bottom + 18, f"{2 ** power:,}".replace(",", "\u202f"))]
        for power in range(round(math.log10(y_range[0])), round(math.log10(y_range[1])) + 1):
            _, y = self.place(x_range[0], 10.0 ** power)
            self.parts += [f'<path class="grid" d="M{left} {y:.1f}H{right}"/>',
                           text(left - 8, y + 4, duration(10.0 ** power), "end")]
        self.parts.append(text(left + self.WIDTH / 2, bottom + 42, x_label))

    def place(self, x, y):
        across, up = (math.log(value / low) / math.log(high / low)
                      for value, (low, high) in ((x, self.x_range), (y, self.y_range)))
        return self.left + across * self.WIDTH, self.top + (1 - up) * self.HEIGHT

    def points(self, task, points):
        """Markers of (x, seconds, shape), and the line of a cost proportional to x that ends in
        the last."""
        x_end, y_end, _ = max(points)
        low = max(self.x_range[0], x_end * self.y_range[0] / y_end)
        start, end = self.place(low, y_end * low / x_end), self.place(x_end, y_end)
        self.parts.append(f'<path class="line {task}" d="M{start[0]:.1f} {start[1]:.1f}'
                          f'L{end[0]:.1f} {end[1]:.1f}"/>')
        self.parts += [marker(shape, *self.place(x, y), task) for x, y, shape in points]


def exponent(points):
    """Of y against x, over the upper half of the points."""
    upper = np.log([point[:2] for point in sorted(points)[len(points) // 2:]])
    return np.polyfit(upper[:, 0], upper[:, 1], 1)[0]


def draw(rows, products):
    """The picture; each argument {task: [(x, seconds, shape)]}."""
    panels = []
    for left, points, label in ((70, rows, "rows of a call; 43 columns, hidden layers of 100, 100"),
                                (530, products, "D·H: columns × units of one hidden layer; "
                                                "1024 rows a call")):
        x, y = np.array([point[:2] for series in points.values() for point in series]).T
        decades = 10.0 ** np.floor(np.log10(y.min())), 10.0 ** np.ceil(np.log10(y.max()))
        panel = Panel(left, 76, (x.min(), x.max()), decades, label)
        for task, series in points.items():
            panel.points(task, series)
        panels += panel.parts
    legend = [text(70, 26, "Time of a call: masked autoregressive flow of five layers", "start",
                   ' font-weight="600"')]
    for x, (task, name) in zip((76, 190, 270), TASKS.items()):
        legend += [marker(0, x, 50, task), text(x + 10, 54, name, "start")]
    legend += ['<path class="line key" d="M364 50h30"/>', text(402, 54, "linear", "start")]
    for i, width in enumerate(WIDTHS):
        x = 536 + 90 * i
        legend += [marker(i, x, 50, "key"), text(x + 10, 54, f"H = {width}", "start")]
    note = text(70, 444, rig.where(), "start", ' class="note" font-size="11"')
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 930 460">',
                      f"<style>{STYLE}\n</style>",
                      '<rect class="ground" width="930" height="460"/>', *legend, *panels, note,
                      "</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--output", type=pathlib.Path,
                        default=pathlib.Path(__file__).with_name("cost.svg"),
                        help="default: %(default)s")
    arguments = parser.parse_args()
    rows, products = {task: [] for task in TASKS}, {task: [] for task in TASKS}
    for (task, layers, width, columns, batch), seconds in measure(arguments.rounds).items():
        if layers == 2:
            rows[task].append((batch, seconds, 0))
        else:
            products[task].append((columns * width, seconds, WIDTHS.index(width)))
    arguments.output.write_text(draw(rows, products))
    for task, name in TASKS.items():
        print(f"{name}: time ~ rows^{exponent(rows[task]):.2f}, "
              f"(D·H)^{exponent(products[task]):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
