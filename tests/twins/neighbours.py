"""The functions whose values the identities of *The neighbours* give."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import bounds, divergences
from vaelib.models import RBM


def _tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def gan_value(*, p1, p2, g1, g2) -> float:
    p, g = (v / v.sum() for v in (_tensor(p1, p2), _tensor(g1, g2)))
    middle = td.Categorical((p + g) / 2)
    two = sum(divergences.kl(td.Categorical(v), middle) for v in (p, g))
    return float(two) - math.log(4)


def diffusion_elbo(**v: float) -> float:
    """All paths of two steps, with their log-weights and their probabilities."""
    guide = {
        key: td.Categorical(_tensor(v[f"q{key}_1"], v[f"q{key}_2"]))
        for key in ("10", "20", "21")
    }
    log_w, chances = [], []
    for one, two in itertools.product((0, 1), repeat=2):
        log_q = guide["10"].log_prob(torch.tensor(one)) + guide[f"2{one}"].log_prob(
            torch.tensor(two)
        )
        model = v[f"p0{one}_1"] * v[f"p1{two}_{one + 1}"] * v[f"p2_{two + 1}"]
        log_w.append(math.log(model) - log_q)
        chances.append(log_q.exp())
    return float(bounds.elbo(torch.stack(log_w).unsqueeze(1), torch.stack(chances)))


def diffusion_noise(*, a, b, e1, g1) -> float:
    """The divergence of the two normals that the step back chooses between."""
    alpha, before, now = a**-2, b**-2, (a * b) ** -2
    x0 = 0.7  # the divergence does not depend on it
    xt = now**0.5 * x0 + (1 - now) ** 0.5 * e1
    guess = (xt - (1 - now) ** 0.5 * g1) / now**0.5
    scale = ((1 - alpha) * (1 - before) / (1 - now)) ** 0.5
    means = [
        (before**0.5 * (1 - alpha) * start + alpha**0.5 * (1 - before) * xt) / (1 - now)
        for start in (x0, guess)
    ]
    return float(divergences.kl(*(td.Normal(_tensor(m), scale) for m in means)))


def _machine(u: list[list[float]], b: list[float], c: list[float]) -> RBM:
    return RBM(_tensor(*itertools.chain(*u)).reshape(len(u), -1).log(),
               _tensor(*b).log(), _tensor(*c).log())  # fmt: skip


def rbm_free_energy(*, u11, u12, u21, u22, b1, b2, c1, c2) -> float:
    rbm = _machine([[u11, u12], [u21, u22]], [b1, b2], [c1, c2])
    return math.exp(-rbm.free_energy(_tensor(1, 1)))


def _slope(value: Tensor, rbm: RBM) -> float:
    """The derivative in the first weight."""
    return torch.autograd.grad(value.sum(), rbm.weight)[0][0, 0].item()


@torch.enable_grad()
def rbm_gradient(*, u11, u21, b1, b2, c1) -> float:
    rbm = _machine([[u11], [u21]], [b1, b2], [c1])
    return _slope(rbm.log_evidence(_tensor(1, 1).unsqueeze(0)), rbm)


@torch.enable_grad()
def cd_bias(*, u11, b1, c1) -> float:
    rbm, x = _machine([[u11]], [b1], [c1]), _tensor(1).unsqueeze(0)
    exact = _slope(rbm.log_evidence(x), rbm)
    return exact - _slope(rbm.expected_contrastive_divergence(x, 1), rbm)


@torch.enable_grad()
def cd_divergences(*, u11, s1, s2) -> float:
    rbm, x = _machine([[u11]], [2.0], [3.0]), _tensor(0, 1).unsqueeze(1)
    data = _tensor(s1, s2) / (s1 + s2)
    return _slope(data * rbm.expected_contrastive_divergence(x, 1), rbm)


TWINS = {
    "eq-gan-value": gan_value,
    "eq-diffusion-elbo": diffusion_elbo,
    "eq-diffusion-noise": diffusion_noise,
    "eq-rbm-free-energy": rbm_free_energy,
    "eq-rbm-gradient": rbm_gradient,
    "eq-cd-bias": cd_bias,
    "eq-cd-divergences": cd_divergences,
}
