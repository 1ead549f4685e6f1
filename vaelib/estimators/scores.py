"""Estimators from the score ∇log q(z): any q with a density, f need not be smooth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import elbo, importance_weighted
from vaelib.estimators.common import (
    Integrand,
    constant,
    rebuilt,
    samples,
    several,
    surrogate,
    values_of,
)


def score_function(
    f: Integrand,
    q: td.Distribution,
    noise: Tensor,
    *,
    weights: Tensor | None = None,
    baseline: float | Tensor = 0.0,
) -> Tensor:
    """The score-function gradient ∇E_q[f] = E_q[(f − b) ∇log q(z) + ∇f].

    ∇f is the gradient in the parameters that f itself depends on, at fixed z.

    Equation: eq-score

    Requires: log q(z) differentiable in q's parameters, on a support that does not
    depend on them; a baseline b that does not depend on these samples z.

    Args:
        f: values `(S, B)` of z and q; need not be differentiable in z.
        q: batch shape `(B,)`, of any family that `vaelib.noise.push` knows.
        noise: `(S, B, *event)`, or with one row for all data; for a discrete q the
            samples themselves.
        weights: optional, replace 1/S.
        baseline: b, a number or `(B,)`; counts as a constant.

    Returns:
        `(B,)`: the mean of f; its gradient is unbiased for that of E_q[f].

    Raises:
        ValueError: if the baseline is neither a number nor one per datum.

    References: williams1992.
    """
    if isinstance(baseline, Tensor):
        if baseline.shape not in ((), q.batch_shape):
            raise ValueError(
                f"baseline: expected a number or shape {tuple(q.batch_shape)}, one per "
                f"datum, got {tuple(baseline.shape)}"
            )
        baseline = baseline.detach()
    z = samples(q, noise).detach()
    values = values_of(f, z, q)
    slopes = values + (values.detach() - baseline) * q.log_prob(z)
    weights = constant(weights)
    return surrogate(elbo(values, weights), elbo(slopes, weights))


def score_function_leave_one_out(
    f: Integrand, q: td.Distribution, noise: Tensor
) -> Tensor:
    """The score-function gradient whose baseline is the mean of the other samples.

    The baseline of sample s is b_s = Σ_{j≠s} f(z_j) / (S − 1), independent of z_s.

    Equation: eq-rloo

    Requires: as `score_function`; S ≥ 2 independent samples.

    Returns:
        `(B,)`: the mean of f; its gradient is unbiased for that of E_q[f].

    Raises:
        ValueError: for fewer than 2 samples.

    References: mnih2016; kool2019.
    """
    several(noise)
    z = samples(q, noise).detach()
    values = values_of(f, z, q)
    known = values.detach()
    others = (known.sum(0) - known) / (len(known) - 1)
    slopes = values + (known - others) * q.log_prob(z)
    return surrogate(values.mean(0), slopes.mean(0))


def vimco(f: Integrand, q: td.Distribution, noise: Tensor) -> Tensor:
    """The score-function gradient of log (1/S) Σ_s w_s, f = log w, leaving one out.

    Σ_s (L − L_{−s}) ∇log q(z_s) + Σ_s v_s ∇log w_s, where L is the bound, v_s the
    normalised weights, and L_{−s} the bound with w_s replaced by the geometric mean of
    the others.

    Equation: eq-vimco

    Requires: as `score_function`; S ≥ 2 independent samples.

    Returns:
        `(B,)`: the importance-weighted bound with S samples; its gradient is unbiased
        for that of the bound's expectation.

    Raises:
        ValueError: for fewer than 2 samples.

    References: mnih2016.
    """
    several(noise)
    z = samples(q, noise).detach()
    log_w = values_of(f, z, q)
    bound, known = importance_weighted(log_w), log_w.detach()
    count = len(known)
    others = (known.sum(0) - known) / (count - 1)  # log of the geometric mean
    itself = torch.eye(count, dtype=torch.bool, device=known.device).unsqueeze(-1)
    replaced = torch.where(itself, others, known.unsqueeze(1))  # (S, S left out, B)
    without = importance_weighted(replaced.flatten(1)).unflatten(0, known.shape)
    signal = bound.detach() - without
    return surrogate(bound, bound + (signal * q.log_prob(z)).sum(0))


def optimal_baseline(
    f: Integrand, q: td.Distribution, noise: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """The constant baseline of least variance, b* = E[(f s + ∇f)·s] / E[s·s].

    s is the score in those of q's parameters that carry a gradient: loc and scale of a
    normal, loc and Cholesky factor of a multivariate one, logits of a discrete q. Least
    is the sum of the variances over these parameters, for each datum apart. Where f
    ignores q, b* = E[f s·s] / E[s·s].

    Equation: eq-baseline-optimal

    No estimator but a helper: pass its result to `score_function`.

    Requires: q Normal, MultivariateNormal, Categorical, Bernoulli or an Independent of
    one; samples other than those it will serve, or the gradient becomes biased.

    Args:
        f, q, noise, weights: as for `score_function`.

    Returns:
        `(B,)`, without gradient.

    Raises:
        ValueError: if no parameter of q carries a gradient.
        TypeError: for a q of another family.

    References: greensmith2004.
    """
    z = samples(q, noise).detach()
    leaves: list[Tensor] = []

    def leaf(parameter: Tensor) -> Tensor:
        """A copy for each sample, so that a sum's gradient is one per sample."""
        copy = parameter.detach().expand(len(z), *parameter.shape).clone()
        if parameter.requires_grad:
            leaves.append(copy.requires_grad_())
        return copy

    with torch.enable_grad():
        each = rebuilt(q, leaf)
        if not leaves:
            raise ValueError("q: expected parameters that carry a gradient, got none")
        log_q, values = each.log_prob(z), values_of(f, z, each)
        gradients = torch.autograd.grad(
            (values.detach() * log_q + values).sum(), leaves, retain_graph=True
        )
        scores = torch.autograd.grad(log_q.sum(), leaves)
    weights = constant(weights)
    above = sum(map(_dot, gradients, scores))
    return elbo(above, weights) / elbo(sum(map(_dot, scores, scores)), weights)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products over all axes but (S, B)."""
    return (a * b).reshape(*a.shape[:2], -1).sum(2)
