"""The functions whose values the identities of *The variational autoencoder* give."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import bounds, divergences, models
from vaelib.quadrature import gauss_hermite


def _row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def _guide(loc: Tensor, scale: Tensor) -> td.Independent:
    return td.Independent(td.Normal(loc, scale), 1)


def _kl_to_prior(loc: Tensor, scale: Tensor) -> Tensor:
    return divergences.kl(
        _guide(loc, scale), models.standard_normal(loc.shape[-1], loc)
    )


def kl_standard_normal(*, m1, m2, s1, s2) -> float:
    return _kl_to_prior(_row(m1, m2), _row(s1, s2)).item()


def vae_elbo(*, c0, c1, c2, c3, m1, s1) -> float:
    nodes, weights = gauss_hermite(8)
    z = m1 + s1 * nodes
    log_lik = c0 + c1 * z + c2 * z**2 + c3 * z**3
    divergence = _kl_to_prior(_row(m1), _row(s1))
    return bounds.elbo_from_kl(log_lik, divergence, weights).item()


def grey_binomial(*, p1, p2, n=16, x=5) -> float:
    family = models.Binomial(n)
    log_mass = family(_row(math.log(p1 / p2))).log_prob(_row(x))
    return (log_mass.item() - math.log(math.comb(n, x))) / n


def squared_error(*, x1, x2, m1, m2, beta, kl) -> float:
    family = models.Gaussian(1.0, learned=False).double()
    family.log_scale.fill_(0.5 * math.log(beta / 2))
    log_lik = family(_row(m1, m2)).log_prob(_row(x1, x2)).unsqueeze(0)
    elbo = bounds.elbo_from_kl(log_lik, _row(kl)[0])
    return -beta * (elbo.item() + math.log(math.pi * beta))


def tutorial_loss(*, m1, m2, n1, n2, s1, s2, r1, r2, a1, a2, a3, b1, b2, b3) -> float:
    x = torch.tensor([[1.0, 0, 1], [0, 1, 0]], dtype=torch.float64)
    odds = torch.cat([_row(a1, a2, a3), _row(b1, b2, b3)])
    log_lik = models.Bernoulli()(odds.log()).log_prob(x).unsqueeze(0)
    loc, scale = (
        torch.cat([_row(*first), _row(*second)])
        for first, second in (((m1, m2), (n1, n2)), ((s1, s2), (r1, r2)))
    )
    return -bounds.elbo_from_kl(log_lik, _kl_to_prior(loc, scale)).mean().item() / 3


def beta_residual(*, beta, c1, c2, c3, c4, q1, q2) -> float:
    joint = torch.tensor([[c1, c2], [c3, c4]], dtype=torch.float64)
    q = td.Categorical(_row(q1, q2))
    posterior = td.Categorical(joint[:, 0])
    prior = td.Categorical(joint.sum(1))
    to_posterior, to_prior = divergences.kl(q, posterior), divergences.kl(q, prior)
    return (to_posterior + (beta - 1) * to_prior).item()


TWINS = {
    "eq-kl-standard-normal": kl_standard_normal,
    "eq-vae-elbo": vae_elbo,
    "eq-grey-binomial": grey_binomial,
    "eq-squared-error": squared_error,
    "eq-tutorial-loss": tutorial_loss,
    "eq-beta-residual": beta_residual,
}
