# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: the arrows of the architecture as a table, and a check of a tree against it.

A layer is a folder or, for core/model and server/main, a file without its extension. The longest
name that fits a file is its layer. A file may include its own layer, the layers that the table says
are below it, and the libraries named there. C++ and POSIX headers are free for all but core/math,
which may use the C++ ones only.
"""

import pathlib
import re
from typing import NamedTuple


class Layer(NamedTuple):
    below: tuple[str, ...]
    libraries: frozenset[str] = frozenset()


ABSL = frozenset({"absl"})
WIRE = ABSL | {"proto", "protobuf", "grpc"}

_MATH = ("core/math", "core/base")
_EXEC = _MATH + ("core/exec",)
_FLOW = _EXEC + ("core/conditioners", "core/transforms", "core/flow")
_MODEL = _FLOW + ("core/data", "core/model")
_CORE = _MODEL + ("core/io", "core/score", "core/train")
_SERVER = _CORE + ("server/app", "server/metrics", "server/rpc", "server")

LAYERS = {
    "core/math": Layer(()),
    "core/base": Layer((), ABSL),
    "core/exec": Layer(_MATH, ABSL),
    "core/data": Layer(_EXEC, ABSL),
    "core/conditioners": Layer(_EXEC, ABSL),
    "core/transforms": Layer(_EXEC + ("core/conditioners",), ABSL),
    "core/flow": Layer(_EXEC + ("core/conditioners", "core/transforms"), ABSL),
    "core/cpu": Layer(_FLOW, ABSL | {"tbb"}),
    "core/cuda": Layer(_FLOW, ABSL | {"cuda"}),
    "core/model": Layer(_FLOW + ("core/data",), ABSL),
    "core/io": Layer(_MODEL, ABSL | {"json", "zlib"}),
    "core/score": Layer(_MODEL, ABSL),
    "core/train": Layer(_MODEL + ("core/io", "core/score"), ABSL | {"zlib"}),
    "core/examples": Layer(_CORE + ("core/cpu", "core/cuda"), ABSL | {"zlib"}),
    "server/app": Layer(_CORE, ABSL),
    "server/metrics": Layer(_CORE + ("server/app",), ABSL | {"prometheus"}),
    "server/rpc": Layer(_CORE + ("server/app",), WIRE),
    "server": Layer(_SERVER, WIRE),
    "server/main": Layer(_SERVER + ("core/cpu", "core/cuda"), WIRE),
    "client": Layer((), WIRE),
    "client/cli": Layer(("client",), WIRE | {"cli11", "json", "libpng", "libzip", "zlib"}),
    "client/examples": Layer(("client",), WIRE),
}

# An include that begins so is of that library.
LIBRARIES = {
    "millrace/": "proto",
    "absl/": "absl",
    "Eigen/": "eigen",
    "unsupported/Eigen/": "eigen",
    "tbb/": "tbb",
    "oneapi/tbb": "tbb",
    "google/protobuf/": "protobuf",
    "grpc/": "grpc",
    "grpcpp/": "grpc",
    "prometheus/": "prometheus",
    "nlohmann/": "json",
    "CLI/": "cli11",
    "zlib.h": "zlib",
    "zip.h": "libzip",
    "png.h": "libpng",
    "cuda": "cuda",
    "cublas": "cuda",
    "curand": "cuda",
}
POSIX = re.compile(r"(?:sys|arpa|netinet|linux)/\w+\.h"
                   r"|(?:unistd|fcntl|poll|pthread|sched|signal|dirent|netdb|immintrin)\.h")
CPP = re.compile(r"[a-z_]+")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
BACKEND_IFDEF = re.compile(r"^\s*#\s*(?:el)?if.*CUDA.*$", re.MULTILINE)
SOURCES = {".h", ".cc", ".cu", ".cuh"}


def layer_of(path: str) -> str | None:
    """The layer of a file, by its path from the root of the tree."""
    stem = path.rsplit(".", 1)[0]
    fits = [name for name in LAYERS if stem == name or path.startswith(name + "/")]
    return max(fits, key=len, default=None)


def refusal(path: str, layer: str, include: str) -> str | None:
    """Why this file may not include that, or None where it may."""
    rule = LAYERS[layer]
    if include.startswith(("core/", "server/", "client/", "tests/")):
        other = layer_of(include)
        if other is None:
            return "belongs to no layer"
        return None if other == layer or other in rule.below else f"{layer} may not include {other}"
    library = next((name for prefix, name in LIBRARIES.items() if include.startswith(prefix)), None)
    if library is not None:
        return None if library in rule.libraries else f"{layer} may not use {library}"
    if CPP.fullmatch(include) or (POSIX.fullmatch(include) and layer != "core/math"):
        return None
    return "neither of this tree nor of a library that tests/layering/layering.py knows"


def violations(root: pathlib.Path) -> list[str]:
    """Every breach in the tree, as `file: include: reason`, in the order of the paths."""
    found = []
    for file in sorted(f for top in ("core", "server", "client") for f in (root / top).rglob("*")):
        if file.suffix not in SOURCES:
            continue
        path = file.relative_to(root).as_posix()
        layer = layer_of(path)
        if layer is None:
            found.append(f"{path}: belongs to no layer")
            continue
        text = file.read_text()
        for include in INCLUDE.findall(text):
            reason = refusal(path, layer, include)
            if reason:
                found.append(f"{path}: {include}: {reason}")
        if path != "core/math/host_device.h" and layer != "core/cuda":
            found += [f"{path}: {line.strip()}: backend #if"
                      for line in BACKEND_IFDEF.findall(text)]
    return found
