# SPDX-License-Identifier: Apache-2.0
"""Trains, scores and samples a density from Python, with NumPy and stubs generated from the protos.

    python3 wave.py [--server localhost:50051] [--protos ../../../proto]

Needs a running millrace-server, Python's grpcio, protobuf and numpy, and the compilers protoc and
grpc_python_plugin (Debian: python3-grpcio python3-protobuf python3-numpy protobuf-compiler
protobuf-compiler-grpc).
"""

import argparse
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

import grpc
import numpy as np

PROTOS = pathlib.Path(__file__).resolve().parents[3] / "proto"
MODEL = "python-wave"
ROWS_PER_CHUNK = 4096


def generate_stubs(protos, folder):
    """Python modules of all protos below `protos`, put on the import path."""
    files = sorted(str(file) for file in pathlib.Path(protos).rglob("*.proto"))
    plugin = shutil.which("grpc_python_plugin")
    if not files or not plugin or not shutil.which("protoc"):
        sys.exit(f"needs protos in {protos}, protoc and grpc_python_plugin")
    subprocess.run(["protoc", f"--proto_path={protos}", f"--python_out={folder}",
                    f"--grpc_out={folder}", f"--plugin=protoc-gen-grpc={plugin}", *files],
                   check=True)
    sys.path.insert(0, str(folder))


def wave(x):
    """Mean and deviation of y given x."""
    return np.sin(2.0 * x), 0.3 * np.exp(0.4 * x)


def draw(count, seed):
    """x is standard normal; y is normal about a wave, the wider the further right. [count, 2]"""
    x, noise = np.random.default_rng(seed).normal(size=(2, count))
    mean, deviation = wave(x)
    return np.stack([x, mean + deviation * noise], axis=1)


def exact_log_density(rows):
    """Of draw, nats. [n]"""
    x, y = rows.T
    mean, deviation = wave(x)
    return -0.5 * (x ** 2 + ((y - mean) / deviation) ** 2) - np.log(2.0 * np.pi * deviation)


def rows_of(matrix):
    """The numbers of a Matrix that a server sent. [rows, cols]"""
    return np.frombuffer(matrix.raw_f64_le, "<f8").reshape(matrix.rows, matrix.cols)


class Millrace:
    """The few calls that this example makes."""

    def __init__(self, address):
        self._messages, self._training, self._tables, service = (
            importlib.import_module(f"millrace.v1.{name}")
            for name in ("density_messages_pb2", "train_messages_pb2", "matrix_pb2",
                         "density_service_pb2_grpc"))
        channel = grpc.insecure_channel(address)
        grpc.channel_ready_future(channel).result(timeout=10)
        self.stub = service.DensityServiceStub(channel)

    def train(self, name, rows):
        """Sends a spec that leaves every choice to the server, then the rows; yields the events."""
        def requests():
            yield self._training.TrainRequest(spec=self._training.TrainSpec(name=name))
            for first in range(0, len(rows), ROWS_PER_CHUNK):
                chunk = self.matrix(rows[first:first + ROWS_PER_CHUNK])
                yield self._training.TrainRequest(chunk=chunk)

        return self.stub.Train(requests())

    def log_prob(self, name, rows):
        """Log-density of each row, nats. [n]"""
        request = self._messages.LogProbRequest(name=name, rows=self.matrix(rows))
        return np.array(self.stub.LogProb(request).log_prob)

    def score(self, name, rows):
        """The reply, with each row's tail probability and whether it is an anomaly."""
        return self.stub.Score(self._messages.ScoreRequest(name=name, rows=self.matrix(rows)))

    def sample(self, name, count, seed):
        """New rows. [count, columns]"""
        request = self._messages.SampleRequest(name=name, count=count, seed=seed)
        return np.concatenate([rows_of(message.rows) for message in self.stub.Sample(request)])

    def matrix(self, rows):
        """Rows as they are sent."""
        return self._tables.Matrix(rows=rows.shape[0], cols=rows.shape[1],
                                   raw_f64_le=np.ascontiguousarray(rows, "<f8").tobytes())


def train(millrace):
    rows = draw(8000, seed=0)
    print(f"training {MODEL} on {len(rows)} rows", flush=True)
    for event in millrace.train(MODEL, rows):
        if event.HasField("progress"):
            progress = event.progress
            print(f"  epoch {progress.epoch}: validation {progress.validation_nats:.3f} nats, "
                  "standardised", flush=True)
        elif event.HasField("done"):
            print(f"version {event.done.version} after {event.done.report.seconds:.1f} s")


def show(millrace):
    held_out = draw(2000, seed=1)
    print(f"held-out rows: {millrace.log_prob(MODEL, held_out).mean():.3f} nats, "
          f"exact {exact_log_density(held_out).mean():.3f}")

    reply = millrace.score(MODEL, np.array([[0.5, 0.8], [0.5, -3.0]]))
    for row, tail, anomaly in zip(("on the wave", "far below it"), reply.tail_probability,
                                  reply.is_anomaly):
        print(f"{row}: tail probability {tail:.4f}, anomaly: {'yes' if anomaly else 'no'}")

    drawn, true = millrace.sample(MODEL, 10000, seed=7), draw(10000, seed=2)
    print("10000 new rows:  mean", np.round(drawn.mean(axis=0), 2), " deviation",
          np.round(drawn.std(axis=0), 2))
    print("the true source: mean", np.round(true.mean(axis=0), 2), " deviation",
          np.round(true.std(axis=0), 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="localhost:50051", help="address of the server")
    parser.add_argument("--protos", default=PROTOS, help="folder that holds millrace/v1")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generate_stubs(arguments.protos, folder)
        try:
            millrace = Millrace(arguments.server)
            train(millrace)
            show(millrace)
        except grpc.RpcError as error:
            sys.exit(f"wave.py: {error.code().name}: {error.details()}")
        except grpc.FutureTimeoutError:
            sys.exit(f"wave.py: no server at {arguments.server} answered in 10 s")


if __name__ == "__main__":
    main()
