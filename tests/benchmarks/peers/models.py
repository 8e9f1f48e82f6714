# SPDX-License-Identifier: Apache-2.0
"""The flows of bench_maf, bench_flow and bench_image in zuko, nflows and normflows, as their users
build them.

A peer is a torch module that takes rows to log-densities, and a function that draws. Validation of
arguments is off, and Adam is torch's fused one.
"""

import nflows.distributions
import nflows.flows
import nflows.nn.nets
import nflows.transforms
import normflows
import numpy as np
import torch
import zuko

torch.distributions.Distribution.set_default_validate_args(False)


class LogProb(torch.nn.Module):
    """What is traced, compiled and trained: rows to log-densities."""

    def __init__(self, flow, log_prob):
        super().__init__()
        self.flow, self._log_prob = flow, log_prob

    def forward(self, x):
        return self._log_prob(self.flow, x)


class Sample(torch.nn.Module):
    """What is traced and compiled to draw `count` rows."""

    def __init__(self, module, sample, count):
        super().__init__()
        self.flow, self._sample, self._count = module.flow, sample, count

    def forward(self):
        return self._sample(self._count)


def of_zuko(flow):
    return LogProb(flow, lambda f, x: f().log_prob(x)), lambda n: flow().sample((n,))


def of_nflows(flow):
    return LogProb(flow, lambda f, x: f.log_prob(x)), flow.sample


def of_normflows(flow):
    return LogProb(flow, lambda f, x: f.log_prob(x)), lambda n: flow.sample(n)[0]


def zuko_maf(dim, hidden):
    return of_zuko(zuko.flows.MAF(dim, transforms=5, hidden_features=[hidden] * 2))


def nflows_maf(dim, hidden):
    layers = []
    for _ in range(5):
        layers += [nflows.transforms.ReversePermutation(dim),
                   nflows.transforms.MaskedAffineAutoregressiveTransform(
                       dim, hidden, num_blocks=1, use_residual_blocks=False)]
    return of_nflows(nflows.flows.Flow(nflows.transforms.CompositeTransform(layers),
                                       nflows.distributions.StandardNormal([dim])))


def zuko_realnvp(dim, hidden):
    return of_zuko(zuko.flows.RealNVP(dim, transforms=10, hidden_features=[hidden] * 2))


def nflows_realnvp(dim, hidden):
    class Network(nflows.nn.nets.MLP):
        def __init__(self, inputs, outputs):
            super().__init__([inputs], [outputs], [hidden] * 2)

        def forward(self, inputs, context=None):
            return super().forward(inputs)

    layers = []
    for i in range(10):
        mask = (torch.arange(dim) + i) % 2
        layers.append(nflows.transforms.AffineCouplingTransform(mask, Network))
    return of_nflows(nflows.flows.Flow(nflows.transforms.CompositeTransform(layers),
                                       nflows.distributions.StandardNormal([dim])))


def normflows_realnvp(dim, hidden):
    layers = []
    for i in range(10):
        mask = (torch.arange(dim) + i) % 2
        layers.append(normflows.flows.MaskedAffineFlow(
            mask, *(normflows.nets.MLP([dim, hidden, hidden, dim], init_zeros=True)
                    for _ in range(2))))
    return of_normflows(normflows.NormalizingFlow(normflows.distributions.DiagGaussian(dim),
                                                  layers))


def normflows_glow(levels, depth, width, layout):
    """Its example for images, without classes, of 28 x 28 x 1; by its cheaper map of scales."""
    bases, flows, merges = [], [], [normflows.flows.Merge() for _ in range(levels - 1)]
    for halvings in range(levels, 0, -1):  # from latent to data
        channels, side = 2 ** (halvings + 1), 28 >> halvings
        leaving = channels if halvings == levels else channels // 2
        bases.append(normflows.distributions.GlowBase((leaving, side, side)))
        flows.append([*(normflows.flows.GlowBlock(channels, width, scale_map="exp")
                        for _ in range(depth)), normflows.flows.Squeeze()])
    flow = normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)
    flow.log_prob(torch.rand(64, 1, 28, 28), None)
    for part in flow.modules():
        if isinstance(part, normflows.flows.ActNorm):  # a tensor: torch.compile would stop at each
            del part.data_dep_init_done
            part.data_dep_init_done = True
    flow.to(memory_format=layout)
    return LogProb(flow, lambda f, x: f.log_prob(x, None)), lambda n: flow.sample(n)[0]


# normflows' masked autoregressive flow is swept where it is trained, so it is no MAF's peer.
PEERS = {"MAF": {"zuko": zuko_maf, "nflows": nflows_maf},
         "RealNVP": {"zuko": zuko_realnvp, "nflows": nflows_realnvp,
                     "normflows": normflows_realnvp}}


def dense_products(kind, library, columns, hidden):
    """Multiplications of one log_prob of one row, those with zeros of masks too."""
    if kind == "MAF":
        return 5 * (columns * hidden + hidden ** 2 + hidden * 2 * columns)
    if library == "normflows":  # two networks that see and move every column
        return 20 * (columns * hidden + hidden ** 2 + hidden * columns)
    return 10 * (columns / 2 * hidden + hidden ** 2 + hidden * columns)


def useful_products(kind, columns, hidden):
    """Those of them that no mask makes zero, of a MAF as core/conditioners/made.h has it."""
    if kind == "RealNVP":
        return dense_products(kind, "zuko", columns, hidden)
    degrees = 1 + np.rint(np.linspace(0, columns - 2, hidden))
    outputs = 2 * (degrees <= np.arange(columns)[:, None]).sum()
    return 5 * (degrees.sum() + (degrees <= degrees[:, None]).sum() + outputs)


def training_step(module):
    """One step of Adam on the mean of -log_prob."""
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-6, fused=True)

    def step(x):
        optimiser.zero_grad(set_to_none=True)
        loss = -module(x).mean()
        loss.backward()
        optimiser.step()

    return step
