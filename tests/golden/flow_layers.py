# SPDX-License-Identifier: Apache-2.0
"""The layers of flows in plain NumPy, from data to latent.

Masks are built from degrees and multiplied in whole, determinants are those of whole Jacobian matrices, inverses are
found by bisection or Newton's method.
"""

import numpy as np

import philox
import scalar_maps
import vector_maps
from scalar_maps import soft_clip

LOG_DIAGONAL_BOUND = np.log(1e6)
ACTIVATIONS = {
    "identity": lambda a: a,
    "relu": lambda a: np.maximum(a, 0),
    "tanh": np.tanh,
    "elu": lambda a: np.where(a > 0, a, np.exp(np.minimum(a, 0)) - 1),
}


class Layer:
    """Parameters p are a dict by name; `shapes` are theirs, `support` where they may be other than zero."""

    def __init__(self, kind, shapes):
        self.kind, self.shapes = kind, shapes

    def support(self, name):
        return np.ones(self.shapes[name], bool)


class Network:
    def __init__(self, shape, inputs, outputs, context_dim):
        self.residual, self.name, self.f = shape["residual"], shape["activation"], ACTIVATIONS[shape["activation"]]
        self.sizes, self.count = shape["hidden_sizes"], len(shape["hidden_sizes"])
        self.names = [f"hidden.{l}" for l in range(self.count)] + ["output"]
        self.shapes = {}
        for name, before, size in zip(self.names, [inputs, *self.sizes], [*self.sizes, outputs]):
            self.shapes |= {name + ".weight": (size, before), name + ".bias": (1, size)}
        if context_dim:
            self.shapes["context.weight"] = (self.sizes[0], context_dim)

    def dense(self, p, l, v):
        return v @ p[self.names[l] + ".weight"].T + p[self.names[l] + ".bias"]

    def first(self, p, x, context):
        return self.dense(p, 0, x) + (context @ p["context.weight"].T if "context.weight" in p else 0)

    def __call__(self, p, x, context):
        h, f = self.first(p, x, context), self.f
        for l in range(1, self.count, 2 if self.residual else 1):
            h = h + self.dense(p, l + 1, f(self.dense(p, l, f(h)))) if self.residual else self.dense(p, l, f(h))
        return self.dense(p, self.count, f(h))


def degrees(hidden, dim, context_dim):
    low, high = (0 if context_dim or dim == 1 else 1), dim - 1
    position = np.ones(1) if hidden == 1 else np.arange(hidden) / (hidden - 1)
    return low + np.floor(position * (high - low) + 0.5).astype(int)


class Autoregressive(Layer):
    def __init__(self, spec, layer):
        self.b, self.dim = layer["bijection"], spec["dim"]
        self.count = scalar_maps.count(self.b)
        self.network = Network(layer["network"], self.dim, self.dim * self.count, spec["context_dim"])
        inputs, self.masks = np.arange(1, self.dim + 1), []
        for size in self.network.sizes:
            units = degrees(size, self.dim, spec["context_dim"])
            self.masks.append(units[:, None] >= inputs[None, :])
            inputs = units
        self.masks.append(np.repeat(np.arange(1, self.dim + 1), self.count)[:, None] > inputs[None, :])
        super().__init__("made", self.network.shapes)

    def support(self, name):
        if not name.endswith("weight") or name.startswith("context"):
            return super().support(name)
        return self.masks[self.network.names.index(name.removesuffix(".weight"))]

    def theta(self, p, x, context):
        masked = {name: value * self.support(name) for name, value in p.items()}
        return self.network(masked, x, context).reshape(len(x), self.dim, self.count)

    def forward(self, p, x, context):
        return scalar_maps.forward(self.b, x, self.theta(p, x, context))

    def inverse(self, p, z, context):
        x = np.zeros_like(z)
        for c in range(self.dim):
            x[:, [c]] = scalar_maps.inverse(self.b, z[:, [c]], self.theta(p, x, context)[:, [c]])
        return x


def moved_columns(seed, layer, dim):
    order = list(range(dim))
    if layer["mask"] == "random":
        order = philox.random_order(dim, seed, (1 << 16) + layer["draw"])
    first = (lambda i: i % 2 == 0) if layer["mask"] == "alternating" else (lambda i: i < (dim + 1) // 2)
    return sorted(order[i] for i in range(dim) if first(i) == layer["flip"] or dim == 1)


class Coupling(Layer):
    def __init__(self, spec, layer):
        self.moved = moved_columns(spec["seed"], layer, spec["dim"])
        self.kept = sorted(set(range(spec["dim"])) - set(self.moved))
        self.b = layer["bijection"]
        self.count = scalar_maps.count(self.b)
        self.network = Network(layer["network"], len(self.kept), len(self.moved) * self.count, spec["context_dim"])
        super().__init__("coupling", self.network.shapes)

    def apply(self, p, x, context, function):
        theta = self.network(p, x[:, self.kept], context).reshape(len(x), len(self.moved), self.count)
        result = function(self.b, x[:, self.moved], theta)
        image = x.copy()
        image[:, self.moved] = result[0] if isinstance(result, tuple) else result
        return (image, result[1]) if isinstance(result, tuple) else image

    def forward(self, p, x, context):
        return self.apply(p, x, context, scalar_maps.forward)

    def inverse(self, p, z, context):
        return self.apply(p, z, context, scalar_maps.inverse)


class Elementwise(Layer):
    def __init__(self, spec, bijection, kind="elementwise"):
        self.b, self.dim = bijection, spec["dim"]
        self.count = scalar_maps.count(bijection)
        super().__init__(kind, {"theta": (1, self.dim * self.count)} if self.count else {})

    def theta(self, p, x):
        return np.tile(p["theta"], (len(x), 1)).reshape(len(x), self.dim, -1) if p else np.zeros((len(x), self.dim, 0))

    def forward(self, p, x, context):
        return scalar_maps.forward(self.b, x, self.theta(p, x))

    def inverse(self, p, z, context):
        return scalar_maps.inverse(self.b, z, self.theta(p, z))


class BatchNorm(Elementwise):
    def __init__(self, spec):
        super().__init__(spec, {"kind": "affine"}, "batch_norm")
        self.shapes["statistics"] = (1, 2 * self.dim)

    def forward(self, p, x, context):
        centred, first = scalar_maps.forward({"kind": "standardise"}, x, self.theta({"theta": p["statistics"]}, x))
        z, second = super().forward(p, centred, context)
        return z, first + second


class Permutation(Layer):
    def __init__(self, spec, layer):
        dim = spec["dim"]
        drawn = philox.random_order(dim, spec["seed"], layer["draw"])
        self.order = list(range(dim))[::-1] if layer["reverse"] else drawn
        super().__init__("permutation", {})

    def forward(self, p, x, context):
        return x[:, self.order], 0


def rotation_order(dim, seed):
    """P of the decomposition P L U of a random rotation: rows of normals, orthonormalised, then eliminated by the
    largest pivots."""
    q, r = np.linalg.qr(np.array([[philox.normal(seed, i, j) for j in range(dim)] for i in range(dim)]).T)
    m, rows = (q * np.sign(np.diag(r))).T.copy(), list(range(dim))
    for k in range(dim):
        pivot = k + int(np.argmax(np.abs(m[k:, k])))
        m[[k, pivot]], rows[k], rows[pivot] = m[[pivot, k]], rows[pivot], rows[k]
        m[k + 1 :] -= np.outer(m[k + 1 :, k] / m[k, k], m[k])
    return [rows.index(j) for j in range(dim)]


class Linear(Layer):
    def __init__(self, spec, layer, index):
        rotation, dim = layer["start"] == "rotation", spec["dim"]
        self.order = rotation_order(dim, spec["seed"] + (index << 32)) if rotation else list(range(dim))
        super().__init__("plu" if rotation else "lu", {"lower": (dim, dim), "upper": (dim, dim),
                                                       "log_diagonal": (1, dim), "bias": (1, dim)})

    def support(self, name):
        full = super().support(name)
        return np.tril(full, -1) if name == "lower" else np.triu(full, 1) if name == "upper" else full

    def forward(self, p, x, context):
        s = soft_clip(p["log_diagonal"][0], LOG_DIAGONAL_BOUND)
        lower, upper = np.tril(p["lower"], -1) + np.eye(len(s)), np.triu(p["upper"], 1) + np.diag(np.exp(s))
        return (x @ (lower @ upper).T + p["bias"])[:, self.order], s.sum()


class Vector(Layer):
    def __init__(self, spec, layer):
        self.v = layer
        super().__init__("vector", {"theta": (1, vector_maps.count(layer, spec["dim"]))})

    def forward(self, p, x, context):
        return vector_maps.forward(self.v, x, p["theta"][0])

    def inverse(self, p, z, context):
        return vector_maps.inverse(self.v, z, p["theta"][0])


class Residual(Layer):
    """x + g(x), g a network of hyperbolic tangents; the weights given are contractions."""

    def __init__(self, spec, layer):
        self.network = Network(layer["network"] | {"residual": False, "activation": "tanh"}, spec["dim"], spec["dim"],
                               spec["context_dim"])
        widest = max(spec["dim"], *self.network.sizes)
        super().__init__("residual", self.network.shapes | {"directions": (self.network.count + 1, widest)})

    def forward(self, p, x, context):
        h, jacobian = self.network.first(p, x, context), p["hidden.0.weight"][None]
        for l in range(1, self.network.count + 1):
            jacobian = p[self.network.names[l] + ".weight"] @ ((1 - np.tanh(h) ** 2)[:, :, None] * jacobian)
            h = self.network.dense(p, l, np.tanh(h))
        return x + h, np.linalg.slogdet(np.eye(x.shape[1]) + jacobian)[1]

    def inverse(self, p, z, context):
        x = z
        for _ in range(500):
            x = x + z - self.forward(p, x, context)[0]
        return x


class Inverted(Layer):
    def __init__(self, layer):
        self.layer = layer
        super().__init__(layer.kind, layer.shapes)

    def support(self, name):
        return self.layer.support(name)

    def forward(self, p, x, context):
        z = self.layer.inverse(p, x, context)
        return z, -self.layer.forward(p, z, context)[1]


def build(spec, layer, index):
    kind, value = next((k, v) for k, v in layer.items() if k != "inverse")
    result = {"autoregressive": lambda: Autoregressive(spec, value), "coupling": lambda: Coupling(spec, value),
              "elementwise": lambda: Elementwise(spec, value), "permutation": lambda: Permutation(spec, value),
              "linear": lambda: Linear(spec, value, index), "vector": lambda: Vector(spec, value),
              "norm": lambda: BatchNorm(spec) if value["batch"] else Elementwise(spec, {"kind": "affine"}, "act_norm"),
              "residual": lambda: Residual(spec, value)}[kind]()
    return Inverted(result) if layer["inverse"] else result
