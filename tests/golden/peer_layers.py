# SPDX-License-Identifier: Apache-2.0
"""The layers and bases of a spec, built from other libraries with Millrace's parameters: nflows, normflows, zuko and
PyTorch's own distributions. What a library constrains otherwise is given to it so that the constrained numbers are the
same."""

import normflows
import numpy as np
import torch
import zuko
from nflows import transforms
from nflows.nn import nets
from torch import nn
from torch.distributions import (Categorical, Independent, MixtureSameFamily, Normal, StudentT, TransformedDistribution,
                                 Uniform)
from torch.distributions import transforms as maps

import scalar_maps
import vector_maps
from flow_layers import LOG_DIAGONAL_BOUND, Inverted
from flow_model import Flow

SMALLEST = scalar_maps.SMALLEST_SHARE


def soft_clip(a, bound=scalar_maps.LOG_SCALE_BOUND):
    return a / (1 + a.abs() / bound)


def unclip(s, bound):
    return s / (1 - s.abs() / bound)


def tensor(array):
    return torch.tensor(np.asarray(array, dtype=np.float64))


def softplus_inverse(y):
    return torch.log(torch.expm1(y))


def share(logits):
    return SMALLEST + (1 - logits.shape[-1] * SMALLEST) * torch.softmax(logits, -1)


class SoftClippedCoupling(transforms.AffineCouplingTransform):
    def _scale_and_shift(self, transform_params):
        shift, a = transform_params.chunk(2, 1)
        return soft_clip(a).exp(), shift


# From theta [rows, columns, count] to what nflows' couplings expect of a network.
def affine_parameters(theta, b):
    return torch.cat([theta[..., 0], theta[..., 1]], 1)


def slope_parameters(theta, b):
    slopes = softplus_inverse(soft_clip(theta[..., 2 * b["bins"] :]).exp() - SMALLEST)
    return torch.cat([theta[..., : 2 * b["bins"]], slopes], -1).flatten(1)


def height_parameters(theta, b):
    return share(theta).log().flatten(1)


def vertex_parameters(theta, b):
    logits = theta[..., b["bins"] :]
    heights = (logits - logits.min(-1, keepdim=True).values).exp()
    return torch.cat([theta[..., : b["bins"]], softplus_inverse(heights - SMALLEST)], -1).flatten(1)


COUPLINGS = {
    "affine": (lambda mask, net, b: SoftClippedCoupling(mask, net), affine_parameters),
    "additive": (lambda mask, net, b: transforms.AdditiveCouplingTransform(mask, net), lambda t, b: t.flatten(1)),
    "rational_quadratic": (lambda mask, net, b: transforms.PiecewiseRationalQuadraticCouplingTransform(
        mask, net, b["bins"], tails="linear", tail_bound=b["bound"]), slope_parameters),
    "linear_spline": (lambda mask, net, b: transforms.PiecewiseLinearCouplingTransform(mask, net, b["bins"]),
                      height_parameters),
    "quadratic_spline": (lambda mask, net, b: transforms.PiecewiseQuadraticCouplingTransform(mask, net, b["bins"]),
                         vertex_parameters),
}


def fill(linear, p, name):
    linear.weight.data, linear.bias.data = tensor(p[name + ".weight"]), tensor(p[name + ".bias"][0])


class Conditioner(nn.Module):
    """nflows' perceptron with a layer's weights."""

    def __init__(self, layer, inputs, p):
        super().__init__()
        network, self.layer, outputs = layer.network, layer, len(layer.moved) * layer.count
        self.mlp = nets.MLP([inputs], [outputs], network.sizes, {"relu": torch.relu, "tanh": torch.tanh}[network.name])
        parts = [self.mlp._input_layer, *self.mlp._hidden_layers, self.mlp._output_layer]
        for part, name in zip(parts, network.names, strict=True):
            fill(part, p, name)

    def forward(self, x, context=None):
        theta = self.mlp(x).reshape(len(x), -1, self.layer.count)
        return COUPLINGS[self.layer.b["kind"]][1](theta, self.layer.b)


def coupling(layer, p):
    mask = [int(c in layer.moved) for c in range(len(layer.moved) + len(layer.kept))]
    return COUPLINGS[layer.b["kind"]][0](mask, lambda inputs, outputs: Conditioner(layer, inputs, p), layer.b)


def linear(layer, p):
    dim = len(layer.order)
    lu = transforms.LULinear(dim, identity_init=False)
    diagonal = soft_clip(tensor(p["log_diagonal"][0]), LOG_DIAGONAL_BOUND).exp()
    lu.lower_entries.data = tensor(p["lower"][np.tril_indices(dim, -1)])
    lu.upper_entries.data = tensor(p["upper"][np.triu_indices(dim, 1)])
    lu.unconstrained_upper_diag.data, lu.bias.data = softplus_inverse(diagonal - lu.eps), tensor(p["bias"][0])
    return transforms.CompositeTransform([lu, transforms.Permutation(torch.tensor(layer.order))])


def act_norm(layer, p):
    norm, theta = transforms.ActNorm(layer.dim), tensor(p["theta"]).reshape(-1, layer.count)
    norm.log_scale.data = soft_clip(theta[:, -1])
    norm.shift.data = theta[:, 0] if layer.count == 2 else torch.zeros(layer.dim)
    return norm


def batch_norm(layer, p):
    norm, theta = transforms.BatchNorm(layer.dim), tensor(p["theta"]).reshape(-1, 2)
    norm.eps = scalar_maps.VARIANCE_FLOOR
    norm.running_mean[:], norm.running_var[:] = tensor(p["statistics"]).reshape(-1, 2).T
    norm.unconstrained_weight.data = softplus_inverse(soft_clip(theta[:, 1]).exp() - norm.eps)
    norm.bias.data = theta[:, 0]
    return norm


class ByFunction(transforms.Transform):
    """Functions to and from: image and log_det, of each row or of each number."""

    def __init__(self, function, backward=None):
        super().__init__()
        self.function, self.backward = function, backward

    def forward(self, x, context=None):
        return self.image(self.function(x))

    def inverse(self, z, context=None):
        return self.image(self.backward(z))

    @staticmethod
    def image(result):
        return result[0], result[1].sum(1) if result[1].dim() == 2 else result[1]


def by_map(m):
    return ByFunction(*(lambda x, m=m: (m(x), m.log_abs_det_jacobian(x, m(x))) for m in (m, m.inv)))


def spline(layer, p):
    """zuko's, which softly clips logits."""
    theta, bins = tensor(p["theta"]).reshape(layer.dim, -1), layer.b["bins"]
    logits = [share(theta[:, i * bins : (i + 1) * bins]).log() for i in range(2)]
    logits = [unclip(l - l.mean(1, keepdim=True), 0.5 * scalar_maps.LOG_SCALE_BOUND) for l in logits]
    return by_map(zuko.transforms.MonotonicRQSTransform(*logits, theta[:, 2 * bins :], bound=layer.b["bound"]))


def mixture(weights, means, scales):
    return MixtureSameFamily(Categorical(tensor(weights)), Normal(tensor(means), tensor(scales)))


def mixture_map(layer, p):
    own = mixture(*scalar_maps.mixture_components(p["theta"].reshape(layer.dim, -1), layer.b["bins"]))
    normal = Normal(tensor(0.0), tensor(1.0))

    def apply(x):
        z = normal.icdf(own.cdf(x))
        return z, own.log_prob(x) - normal.log_prob(z)
    return ByFunction(apply)


ELEMENTWISE = {"affine": act_norm, "scale": act_norm, "rational_quadratic": spline, "normal_mixture": mixture_map,
               "tanh": lambda layer, p: by_map(maps.TanhTransform()),
               "sigmoid": lambda layer, p: by_map(maps.SigmoidTransform()),
               "softplus": lambda layer, p: by_map(maps.SoftplusTransform())}


def planar(layer, p):
    """normflows' constraint on u is inverted: its softplus has another offset."""
    theta = p["theta"][0]
    dim = len(theta) // 2
    w, b = theta[:dim], theta[-1:]
    u = vector_maps.planar(np.zeros(dim), theta, None)[0] / np.tanh(b)
    q = np.log(np.expm1(1 + w @ u))
    u = u + (q - w @ u) * w / (w @ w)
    return ByFunction(normflows.flows.Planar((dim,), u=tensor(u)[None], w=tensor(w)[None], b=tensor(b)))


def radial(layer, p):
    theta = tensor(p["theta"][0])
    dim = len(theta) - 2
    a, growth = soft_clip(theta[dim:]).exp()
    flow = normflows.flows.Radial((dim,), z_0=theta[None, :dim])
    flow.alpha.data, flow.beta.data = a[None], softplus_inverse(a * growth)[None]
    return ByFunction(flow)


def rotation(layer, p):
    return by_map(zuko.transforms.RotationTransform(tensor([[0.0, 0.0], [p["theta"][0, 0], 0.0]])))


def residual(layer, p):
    net = nn.Sequential()
    for l, name in enumerate(layer.network.names):
        rows, cols = layer.shapes[name + ".weight"]
        part = nn.Linear(cols, rows)
        fill(part, p, name)
        net.extend([part] if l == 0 else [nn.Tanh(), part])
    block = normflows.flows.residual.iResBlock(net, brute_force=True)  # gives -log_det
    return ByFunction(lambda x: (lambda y, minus: (y, -minus.reshape(-1)))(*block.forward(x.clone(), 0)))


def layer_of(layer, p):
    if isinstance(layer, Inverted):
        return transforms.InverseTransform(layer_of(layer.layer, p))
    build = {"coupling": coupling, "lu": linear, "plu": linear, "act_norm": act_norm, "batch_norm": batch_norm,
             "residual": residual,
             "permutation": lambda layer, p: transforms.Permutation(torch.tensor(layer.order))}.get(layer.kind)
    if layer.kind == "vector":
        build = {"planar": planar, "radial": radial, "rotation": rotation}[layer.v["kind"]]
    return (build or ELEMENTWISE[layer.b["kind"]])(layer, p)


def base_of(spec, p):
    zero, one, kind = torch.zeros(spec["dim"]), torch.ones(spec["dim"]), spec["base"]["kind"]
    location, scale = (tensor(p["base.location"]), soft_clip(tensor(p["base.log_scale"])).exp()) \
        if "base.location" in p else (zero[None], one[None])
    if kind == "uniform":
        return Independent(Uniform(spec["base"]["low"] * one, spec["base"]["high"] * one), 1)
    if kind == "logistic":
        return Independent(TransformedDistribution(Uniform(zero, one), [maps.SigmoidTransform().inv]), 1)
    if kind == "student_t":
        half = 0.5 * scalar_maps.LOG_SCALE_BOUND
        freedom = (half + soft_clip(tensor(p["base.freedom"][0]), half)).exp()
        return Independent(StudentT(freedom, location[0], scale[0]), 1)
    if kind == "normal_mixture":
        weights = Categorical(logits=tensor(p["base.logits"][0]))
        return MixtureSameFamily(weights, Independent(Normal(location, scale), 1))
    return Independent(Normal(location[0], scale[0]), 1)


def log_prob(spec, p, x):
    """Of rows, by the other libraries."""
    parts = [layer_of(layer, {name: p[prefix + name] for name in layer.shapes}) for prefix, layer in Flow(spec).layers]
    composite = transforms.CompositeTransform(parts).double().eval()
    z, log_det = composite(tensor(x))
    return (base_of(spec, p).log_prob(z) + log_det).detach().numpy()
