# SPDX-License-Identifier: Apache-2.0
"""Flows in plain NumPy, double precision: the independent statement of what Millrace computes.

A spec has the fields of a FlowSpec in a model file.
"""

import math

import numpy as np

import image_layers
import philox
import scalar_maps
from flow_layers import build
from scalar_maps import soft_clip


def bijection(kind, bins=8, bound=5.0):
    return {"kind": kind, "bins": bins, "bound": bound}


STACKED = {"made": "affine", "maf": "affine", "iaf": "affine", "maf-mog": "affine", "made-mog": "normal_mixture",
           "nsf-ar": "rational_quadratic", "nice": "additive", "realnvp": "affine", "nsf-c": "rational_quadratic"}
CONVOLUTION = {"network": {"hidden_sizes": [], "residual": False, "activation": "relu"}}


def stacked_image_layers(s, context_dim):
    """Levels of a pyramid, each of which leaves half of its channels behind, and the prior of what remains."""
    glow = s["architecture"] == "glow"
    network = {k: s[k] for k in ("hidden_sizes", "residual", "activation", "weight_norm") if k in s}
    layers, act_norm, batch_norm = [], {"norm": {"batch": False}}, {"norm": {"batch": True}}

    def coupling(mask, flip=False, kind="affine", network=network):
        return {"coupling": {"bijection": bijection(kind), "network": network, "mask": mask, "flip": flip, "draw": 0}}

    def couplings(mask, count):
        for l in range(count):
            layers.extend([act_norm] * s["act_norm"] + [coupling(mask, l % 2 == 1)] + [batch_norm] * s["batch_norm"])

    for level in range(s["levels"]):
        last = level == s["levels"] - 1
        if glow:
            layers.append({"squeeze": CONVOLUTION})
            for _ in range(s["layers"]):
                layers.extend([batch_norm if s["batch_norm"] else act_norm, {"linear": {"start": "rotation"}},
                               coupling("channels", kind="additive" if s["additive"] else "affine")])
        elif last:
            couplings("checkerboard", s["layers"] + 1)
        else:
            couplings("checkerboard", s["layers"])
            layers.append({"squeeze": CONVOLUTION})
            couplings("channels", s["layers"])
        if not last:
            layers.append({"factor_out": CONVOLUTION})
    layers.append(act_norm)
    if context_dim:
        layers.append(coupling("none", network={"hidden_sizes": [32], "residual": False, "activation": "relu"}))
    return layers


def stacked_layers(s):
    """What a stack of one architecture stands for: the layers, data first."""
    name, shape = s["architecture"], {k: s[k] for k in ("hidden_sizes", "residual", "activation")}
    bins = s["components"] if name == "made-mog" else s["bins"]
    layers = [{"linear": {"start": "whiten"}}] if s["whiten"] else []

    def mix(draw):
        if s["mixing"] != "none":
            layers.append({"permutation": {"reverse": s["mixing"] == "reverse", "draw": draw}})
        if s["mixing"] == "lu":
            layers.append({"linear": {"start": "identity"}})

    for l in range(s["layers"]):
        if l:
            mix(l)
        if s["act_norm"]:
            layers.append({"norm": {"batch": False}})
        if name in ("nice", "realnvp", "nsf-c"):
            layers.append({"coupling": {"bijection": bijection(STACKED[name], bins, s["bound"]), "network": shape,
                                        "mask": s["mask"], "flip": l % 2 == 1, "draw": l // 2}})
        elif name in STACKED:
            layers.append({"autoregressive": {"bijection": bijection(STACKED[name], bins, s["bound"]),
                                              "network": shape}, "inverse": name == "iaf"})
        elif name == "residual":
            layers.append({"residual": {"network": shape}})
        else:
            layers.append({"vector": {"kind": name, "width": s["width"]}})
        if s["batch_norm"]:
            layers.append({"norm": {"batch": True}})
    if name == "maf-mog":
        mix(s["layers"])
        layers.append({"autoregressive": {"bijection": bijection("normal_mixture", s["components"]), "network": shape}})
    if name == "nice":
        layers.append({"elementwise": bijection("scale")})
    if s["heavy_tails"]:
        layers.append({"elementwise": bijection("log_tails")})
    return layers


def base_shapes(spec):
    base, dim = spec["base"], spec["dim"]
    rows = base["components"] if base["kind"] == "normal_mixture" else 1
    shapes = {"base.logits": (1, rows)} if base["kind"] == "normal_mixture" else {}
    if base["kind"] in ("normal_mixture", "student_t", "diagonal_normal"):
        shapes |= {"base.location": (rows, dim), "base.log_scale": (rows, dim)}
    return shapes | ({"base.freedom": (1, dim)} if base["kind"] == "student_t" else {})


def log_base(spec, p, z):
    """ln p of the latent rows."""
    kind = spec["base"]["kind"]
    if kind == "uniform":
        return np.full(len(z), -z.shape[1] * np.log(spec["base"]["high"] - spec["base"]["low"]))
    if kind == "logistic":
        return -(np.logaddexp(0, z) + np.logaddexp(0, -z)).sum(1)
    s = soft_clip(p.get("base.log_scale", np.zeros((1, 1))))
    w = (z[:, None] - p.get("base.location", 0)) * np.exp(-s)  # [rows, components, dim]
    if kind == "student_t":
        half = 0.5 * scalar_maps.LOG_SCALE_BOUND
        nu = np.exp(half + soft_clip(p["base.freedom"], half))
        constant = np.vectorize(math.lgamma)(0.5 * (nu + 1)) - np.vectorize(math.lgamma)(0.5 * nu)
        return (constant - 0.5 * np.log(np.pi * nu) - 0.5 * (nu + 1) * np.log1p(w**2 / nu) - s).sum((1, 2))
    normals = (-0.5 * w**2 - 0.5 * np.log(2 * np.pi) - s).sum(2)
    return np.logaddexp.reduce(normals + np.log(scalar_maps.softmax(p.get("base.logits", np.zeros((1, 1))))), axis=1)


def layers_of(spec):
    if "image" not in spec:
        chain = spec["chain"] if "chain" in spec else stacked_layers(spec["stack"])
        return [build(spec, {"inverse": False} | layer, i) for i, layer in enumerate(chain)]
    chain = spec["chain"] if "chain" in spec else stacked_image_layers(spec["stack"], spec["context_dim"])
    return image_layers.build_chain(spec, chain)


class Flow:
    def __init__(self, spec):
        self.spec = spec
        self.layers = [(f"{i}.{layer.kind}.", layer) for i, layer in enumerate(layers_of(spec))]
        self.shapes = {prefix + name: shape for prefix, layer in self.layers for name, shape in layer.shapes.items()}
        self.shapes |= base_shapes(spec)

    def support(self, full_name):
        """Where a parameter may be other than zero."""
        for prefix, layer in self.layers:
            if full_name.startswith(prefix):
                return layer.support(full_name.removeprefix(prefix))
        return np.ones(self.shapes[full_name], bool)

    def forward(self, p, x, context):
        """z and log|det dz/dx| of each row."""
        log_det = np.zeros(len(x))
        if "image" in self.spec:
            x = image_layers.from_pixels(self.spec, x)
        for prefix, layer in self.layers:
            own = {name: p[prefix + name] for name in layer.shapes}
            x, term = layer.forward(own, x, context)
            log_det = log_det + term
        return x, log_det

    def log_prob(self, p, x, context):
        z, log_det = self.forward(p, x, context)
        return log_det + log_base(self.spec, p, z)

    def parameters(self, seed, scale):
        """Floats drawn by their places, zero where there is no support; variances are positive."""
        result = {}
        for index, (name, shape) in enumerate(self.shapes.items()):
            size = scale * (0.8 if shape[0] == 1 else 1.2 / np.sqrt(max(shape[1], 1)))
            value = name.endswith(".statistics") + size * philox.signed(seed, index + 1, shape)
            result[name] = value.astype(np.float32).astype(np.float64) * self.support(name)
        return result
