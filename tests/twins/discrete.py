"""What `vaelib` computes for the ledger's equations of *Discrete latents*."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import estimators
from vaelib.quadrature import gauss_legendre


def _tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _tuples(weights: Tensor, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """All tuples of samples `(S, B)`, their probabilities `(B,)`, logits for each."""
    z = torch.tensor(list(product(range(len(weights)), repeat=samples))).T
    probs = (weights / weights.sum())[z].prod(0)
    return z, probs, weights.log().repeat(z.shape[1], 1).requires_grad_()


def _gradients(estimator, f, logits: Tensor, noise: Tensor, **options) -> Tensor:
    """The estimates of ∂/∂φ_1, one for each row of logits."""
    with torch.enable_grad():
        surrogate = estimator(f, td.Categorical(logits=logits), noise, **options)
        (gradient,) = torch.autograd.grad(surrogate.sum(), logits)
    return gradient[:, 0]


def _exact(a1, a2, a3, f1, f2, f3) -> float:
    values = _tensor(f1, f2, f3)
    logits = _tensor(a1, a2, a3).log().unsqueeze(0).requires_grad_()
    return float(
        _gradients(estimators.enumerate_exact, lambda z, q: values[z], logits, None)
    )


def _rloo(a: list[float], f: list[float], samples: int) -> tuple[Tensor, Tensor]:
    z, probs, logits = _tuples(_tensor(*a), samples)
    values = _tensor(*f)
    estimator = estimators.score_function_leave_one_out
    return probs, _gradients(estimator, lambda z, q: values[z], logits, z)


def _rloo_mean(a1, a2, a3, f1, f2, f3) -> float:
    probs, g = _rloo([a1, a2, a3], [f1, f2, f3], 3)
    return float(probs @ g)


def _rloo_variance(a1, a2, a3, f1, f2, f3) -> float:
    probs, g = _rloo([a1, a2, a3], [f1, f2, f3], 2)
    return float(probs @ (g - probs @ g) ** 2)


def _vimco(a1, a2, a3, c1, c2, c3) -> float:
    z, probs, logits = _tuples(_tensor(a1, a2, a3), 2)
    log_joint = _tensor(c1, c2, c3).log()
    g = _gradients(
        estimators.vimco, lambda z, q: log_joint[z] - q.log_prob(z), logits, z
    )
    return float(probs @ g)


def _relaxed(hard: bool):
    """Temperature one and f′ = c₀ + c₁ζ; the nodes run over ζ's logit, 20 a piece."""
    pieces = [gauss_legendre(20, k, k + 2) for k in range(-50, 50, 2)]
    logit, steps = (torch.cat(parts) for parts in zip(*pieces, strict=True))

    def twin(a: float, c0: float, c1: float) -> float:
        phi = _tensor(a).log()
        noise = logit - phi
        weights = steps * noise.sigmoid() * (-noise).sigmoid()
        pairs = torch.stack([noise, torch.zeros_like(noise)], -1).unsqueeze(1)
        logits = torch.stack([phi, torch.zeros_like(phi)], -1).requires_grad_()
        return float(
            _gradients(
                estimators.gumbel_softmax,
                lambda z, q: c0 * z[..., 0] + c1 * z[..., 0] ** 2 / 2,
                logits,
                pairs,
                weights=weights,
                temperature=1.0,
                straight_through=hard,
            )
        )

    return twin


TWINS = {
    "eq-discrete-exact": _exact,
    "eq-rloo-unbiased": _rloo_mean,
    "eq-rloo-variance": _rloo_variance,
    "eq-vimco-unbiased": _vimco,
    "eq-gumbel-mean": _relaxed(hard=False),
    "eq-gumbel-straight-through": _relaxed(hard=True),
}
