"""Models of one scalar latent, exact by quadrature whatever the likelihood."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import log_joint
from vaelib.quadrature import gauss_legendre


class ScalarModel:
    """A scalar latent z ~ N(0, 1) with any likelihood; evidence by quadrature over z.

    The integrals run over [low, high] with Gauss–Legendre nodes, so they are exact to
    rounding where the integrand is smooth and negligible outside.

    Args:
        likelihood: maps z `(S, B)` to p(x|z), batch shape `(S, B)`, scalar x.
        low: where the range of the latent begins.
        high: where it ends.
        n: the number of nodes in it.
    """

    def __init__(
        self,
        likelihood: Callable[[Tensor], td.Distribution],
        low: float = -12.0,
        high: float = 12.0,
        n: int = 400,
    ):
        self.likelihood = likelihood
        self.nodes, self.node_weights = gauss_legendre(n, low, high)

    def prior(self) -> td.Normal:
        """p(z) = N(0, 1), in float64."""
        zero = self.nodes.new_zeros(())
        return td.Normal(zero, zero + 1)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) = log ∫ p(x|z) p(z) dz, shape of x `(B,)`, in nats."""
        z = self.nodes.unsqueeze(1)
        log_terms = log_joint(self, x, z) + self.node_weights.log().unsqueeze(1)
        return torch.logsumexp(log_terms, 0)

    def posterior(self, x: Tensor) -> ScalarPosterior:
        """p(z|x) by Bayes' rule, batch shape of x."""
        return ScalarPosterior(self, x)


class ScalarPosterior(td.Distribution):
    """The exact posterior of a `ScalarModel`: a density, its mean and its variance."""

    arg_constraints: dict = {}
    support = td.constraints.real

    def __init__(self, model: ScalarModel, x: Tensor):
        super().__init__(batch_shape=x.shape, validate_args=False)
        self.model, self.x = model, x
        self._log_evidence = model.log_evidence(x)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z|x) = log p(x, z) − log p(x); `value` is `(S, B)`."""
        return log_joint(self.model, self.x, value) - self._log_evidence

    def expect(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        """E_{p(z|x)}[f(z)] by the model's quadrature, shape of x."""
        z = self.model.nodes.unsqueeze(1)
        weights = self.log_prob(z).exp() * self.model.node_weights.unsqueeze(1)
        return (weights * f(z)).sum(0)

    @property
    def mean(self) -> Tensor:
        return self.expect(lambda z: z)

    @property
    def variance(self) -> Tensor:
        return self.expect(lambda z: z**2) - self.mean**2
