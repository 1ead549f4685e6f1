"""Quadrature is exact where it promises to be, and agrees with SciPy elsewhere."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate, special, stats
from torch import distributions as td

from vaelib.quadrature import expect, gauss_hermite, gauss_legendre

F64 = torch.float64
TIGHT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_hermite_is_exact_to_degree_2n_minus_1_and_no_further(n):
    nodes, weights = gauss_hermite(n)
    assert nodes.shape == (n, 1) and weights.shape == (n,) and nodes.dtype == F64
    for k in range(2 * n):
        moment = special.factorial2(k - 1) if k % 2 == 0 and k else float(k == 0)
        scale = float(weights @ nodes[:, 0].abs() ** k)
        assert float(weights @ nodes[:, 0] ** k) == pytest.approx(
            moment, abs=1e-12 * scale
        )
    missing = special.factorial2(2 * n - 1) - float(weights @ nodes[:, 0] ** (2 * n))
    assert missing == pytest.approx(math.factorial(n), rel=1e-3)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_grid_has_the_moments_of_the_standard_normal(dim):
    nodes, weights = gauss_hermite(4, dim)
    assert nodes.shape == (4**dim, dim)
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0, dtype=F64), **TIGHT)
    torch.testing.assert_close(
        (nodes.T * weights) @ nodes, torch.eye(dim, dtype=F64), **TIGHT
    )
    mixed = (weights * (nodes**2).prod(1)).sum()
    torch.testing.assert_close(mixed, torch.tensor(1.0, dtype=F64), **TIGHT)


def test_callers_cannot_spoil_the_stored_nodes():
    nodes, weights = gauss_hermite(3)
    nodes.zero_()
    weights.zero_()
    assert float(gauss_hermite(3)[0].abs().sum()) > 1
    assert float(gauss_hermite(3)[1].sum()) == pytest.approx(1)


def test_legendre_is_exact_for_polynomials():
    x, w = gauss_legendre(4, -1.0, 3.0)
    for k in range(8):
        exact = (3.0 ** (k + 1) - (-1.0) ** (k + 1)) / (k + 1)
        assert float(w @ x**k) == pytest.approx(exact, rel=1e-12, abs=1e-12)
    assert x.dtype == F64 and float(w.sum()) == pytest.approx(4.0)
    assert abs(float(w @ x**8) - (3.0**9 + 1) / 9) > 1e-3


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="n: expected an integer of at least 1, got 0"):
        gauss_hermite(0)
    with pytest.raises(
        ValueError, match="dim: expected an integer .* got -1"
    ):
        gauss_hermite(3, -1)
    with pytest.raises(
        ValueError, match="n: expected an integer .* got 2.5"
    ):
        gauss_legendre(2.5, 0, 1)
    with pytest.raises(ValueError, match="low, high: expected low < high, got 2 and 1"):
        gauss_legendre(3, 2, 1)


LOC = torch.tensor([0.3, -1.2], dtype=F64)
SCALE = torch.tensor([0.5, 1.1], dtype=F64)


def test_the_mean_of_exp_under_a_normal_is_log_normal():
    found = expect(torch.exp, td.Normal(LOC, SCALE))
    torch.testing.assert_close(found, (LOC + SCALE**2 / 2).exp(), **TIGHT)


def test_vectors_keep_their_event_axis():
    q = td.Independent(td.Normal(LOC.expand(3, 2), SCALE.expand(3, 2)), 1)
    seen = []

    def f(z):
        seen.append(z.shape)
        return z.prod(-1)

    found = expect(f, q, n=5)
    assert seen == [(25, 3, 2)]
    torch.testing.assert_close(found, LOC.prod().expand(3), **TIGHT)


def test_a_full_gaussian_has_its_second_moment():
    tril = torch.tensor([[1.0, 0.0], [-0.8, 0.6]], dtype=F64)
    q = td.MultivariateNormal(LOC, scale_tril=tril)
    found = expect(lambda z: z.unsqueeze(-1) * z.unsqueeze(-2), q, n=4)
    torch.testing.assert_close(found, tril @ tril.T + torch.outer(LOC, LOC), **TIGHT)


def test_a_mixture_is_the_weighted_sum_of_its_parts():
    q = td.MixtureSameFamily(
        td.Categorical(torch.tensor([0.3, 0.7], dtype=F64)), td.Normal(LOC, SCALE)
    )
    torch.testing.assert_close(expect(lambda z: z, q), q.mean, **TIGHT)
    torch.testing.assert_close(
        expect(lambda z: (z - q.mean) ** 2, q), q.variance, **TIGHT
    )


def test_finite_supports_are_enumerated():
    probs = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], dtype=F64)
    found = expect(lambda z: z.double() ** 2, td.Categorical(probs))
    torch.testing.assert_close(
        found, probs @ torch.tensor([0, 1, 4], dtype=F64), **TIGHT
    )
    torch.testing.assert_close(
        expect(lambda z: z, td.Bernoulli(LOC[:1])), LOC[:1], **TIGHT
    )
    counts = td.Binomial(16, torch.tensor(0.3, dtype=F64))
    found = expect(lambda z: z**2, counts)
    assert float(found) == pytest.approx(stats.binom(16, 0.3).moment(2), rel=1e-12)


def test_an_arbitrary_smooth_function_agrees_with_scipy():
    exact, _ = integrate.quad(
        lambda t: math.tanh(t) * stats.norm.pdf(t, 0.3, 0.5), -10, 10, epsabs=1e-13
    )
    found = expect(torch.tanh, td.Normal(LOC[0], SCALE[0]), n=64)
    assert float(found) == pytest.approx(exact, abs=1e-11)


def test_it_is_differentiable_in_q():
    loc, scale = LOC.clone().requires_grad_(), SCALE.clone().requires_grad_()
    value = expect(lambda z: z**2, td.Normal(loc, scale)).sum()
    slopes = torch.autograd.grad(value, (loc, scale))
    torch.testing.assert_close(slopes[0], 2 * LOC, **TIGHT)
    torch.testing.assert_close(slopes[1], 2 * SCALE, **TIGHT)


@pytest.mark.parametrize(
    "q",
    [
        td.Gamma(1.0, 1.0),
        td.Independent(td.Bernoulli(torch.ones(3) / 2), 1),
        td.MixtureSameFamily(
            td.Categorical(torch.ones(2, 3)), td.Normal(torch.zeros(2, 3), 1.0)
        ),
    ],
)
def test_other_distributions_are_refused_by_name(q):
    with pytest.raises(TypeError, match=f"q: no quadrature for {type(q).__name__}"):
        expect(lambda z: z, q)
