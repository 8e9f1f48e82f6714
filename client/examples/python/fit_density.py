# SPDX-License-Identifier: Apache-2.0
"""Fits a model to a density that this script computes, and weighs the model's samples with it.

    python3 fit_density.py [--server localhost:50051] [--protos ../../../proto]

Needs what wave.py needs.
"""

import argparse
import queue
import sys
import tempfile

import grpc
import numpy as np

import wave as example

MODEL = "python-posterior"
COLUMNS = ("level", "log_rate")
# Counts in eight intervals, Poisson about exp(level + exp(log_rate) * time).
TIMES = np.linspace(0.0, 1.75, 8)
COUNTS = np.array([3, 2, 6, 4, 9, 7, 14, 15])


def log_density(points):
    """Of the parameters, given the counts and standard normal priors: ln of prior times likelihood,
    up to the counts' factorials, and its gradient. [n], [n, 2]"""
    level, log_rate = points.T
    rate = np.exp(log_rate)
    log_mean = level[:, None] + rate[:, None] * TIMES
    value = (-0.5 * (level ** 2 + log_rate ** 2) - np.log(2.0 * np.pi)
             + np.sum(COUNTS * log_mean - np.exp(log_mean), axis=1))
    residual = COUNTS - np.exp(log_mean)
    gradient = np.stack([-level + residual.sum(axis=1),
                         -log_rate + rate * (residual * TIMES).sum(axis=1)], axis=1)
    return value, gradient


def log_evidence(cells=800, edge=6.0):
    """ln of the density's integral over a square, by the midpoint rule."""
    middle = -edge + 2.0 * edge * (np.arange(cells) + 0.5) / cells
    points = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    value = log_density(points)[0]
    return np.log(np.exp(value - value.max()).sum() * (2.0 * edge / cells) ** 2) + value.max()


def fit(millrace):
    """The report of the fit; prints how it goes."""
    messages = example.importlib.import_module("millrace.v1.fit_density_messages_pb2")
    requests = queue.SimpleQueue()  # what the call sends, until None
    spec = messages.FitDensitySpec(name=MODEL, client=messages.ClientDensity(),
                                   options=messages.FitDensityOptions(steps=2000))
    for name in COLUMNS:
        spec.columns.add(name=name)
    requests.put(messages.FitDensityRequest(spec=spec))
    done = None
    for event in millrace.stub.FitDensity(iter(requests.get, None)):
        if event.HasField("points"):
            values = messages.DensityValues(id=event.points.id)
            value, gradient = log_density(example.rows_of(event.points.rows))
            values.log_density.extend(value)
            values.gradient.CopyFrom(millrace.matrix(gradient))
            requests.put(messages.FitDensityRequest(values=values))
        elif event.HasField("progress"):
            progress = event.progress
            print(f"  step {progress.step}: mean of ln p - ln q {progress.train_nats:.3f} nats",
                  flush=True)
        elif event.HasField("done"):
            done = event.done
    requests.put(None)
    print(f"{MODEL} version {done.version} after {done.report.seconds:.1f} s")
    return done.report.density_fit


def show(millrace, report):
    print(f"evidence: {report.log_normaliser:.4f} nats +- {report.log_normaliser_error:.4f}, "
          f"exact {log_evidence():.4f}")
    print(f"effective samples: {report.effective_sample_fraction:.3f} of all")
    rows = millrace.sample(MODEL, 10000, seed=7)
    log_weight = log_density(rows)[0] - millrace.log_prob(MODEL, rows)
    weight = np.exp(log_weight - log_weight.max())
    print("posterior mean of", ", ".join(COLUMNS), np.round(weight @ rows / weight.sum(), 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="localhost:50051", help="address of the server")
    parser.add_argument("--protos", default=example.PROTOS, help="folder that holds millrace/v1")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        example.generate_stubs(arguments.protos, folder)
        try:
            millrace = example.Millrace(arguments.server)
            show(millrace, fit(millrace))
        except grpc.RpcError as error:
            sys.exit(f"fit_density.py: {error.code().name}: {error.details()}")
        except grpc.FutureTimeoutError:
            sys.exit(f"fit_density.py: no server at {arguments.server} answered in 10 s")


if __name__ == "__main__":
    main()
