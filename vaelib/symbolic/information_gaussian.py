"""The Gaussian identities of the chapter *Information and divergence*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import (
    log_normal,
    normal_mean,
    positive,
    real,
    standard_normal_mean,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, Equal, Limit

_z = sp.Symbol("z", real=True)
_m1, _m2 = real("m1 m2")
_s1, _s2 = positive("s1 s2")
_HALF = sp.Rational(1, 2)


def _normal_moments(step=1, odd=0):
    """E[ε^(k+2)] = (k + 1) E[ε^k] for every k ≥ 0, with E[1] = 1 and E[ε] = 0.

    ε^(k+2) φ − (k + 1) ε^k φ is the derivative of −ε^(k+1) φ, which vanishes at ±∞.
    """
    eps, k = sp.Symbol("eps", real=True), sp.Symbol("k", integer=True, nonnegative=True)
    phi = sp.exp(-(eps**2) / 2) / sp.sqrt(2 * sp.pi)
    total = [sp.integrate(eps**j * phi, (eps, -sp.oo, sp.oo)) for j in (0, 1)]
    edge = eps ** (k + 1) * phi
    slope = eps ** (k + 2) * phi - (k + step) * eps**k * phi
    return All(
        [
            Equal([(total[0], sp.Integer(1)), (total[1], sp.Integer(odd))]),
            Equal([(sp.diff(-edge, eps), slope)], domain={k: (2, 3)}),
            Limit(edge, eps, sp.oo, sp.Integer(0), side="-"),
            Limit(edge, eps, -sp.oo, sp.Integer(0)),
        ]
    )


def _entropy_gaussian(e=sp.E, s=None):
    """H[N(m, s²)] = ½ log(2π e s²)."""
    left = -normal_mean(log_normal(_z, _m1, _s1), _z, _m1, _s1)
    return Equal([(left, sp.log(2 * sp.pi * e * (s or _s1**2)) / 2)])


def _closed(m1, s1, m2, s2, half=_HALF):
    """KL(N(m1, s1²) ‖ N(m2, s2²))."""
    return sp.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - half


def _kl_gaussian(swapped=False, variances=False, half=_HALF):
    """The definition, integrated by the moments of a normal."""
    difference = log_normal(_z, _m1, _s1) - log_normal(_z, _m2, _s2)
    right = _closed(_m1, _s1, _m2, _s2, half)
    if swapped:
        right = _closed(_m2, _s2, _m1, _s1)
    if variances:  # scales put where the variances belong
        right = _closed(_m1, sp.sqrt(_s1), _m2, sp.sqrt(_s2))
    return Equal([(normal_mean(difference, _z, _m1, _s1), right)])


def _kl_gaussian_diagonal(swapped=False, average=False, one_half=False):
    """The sum over coordinates, for one, two and three of them."""
    cases = []
    for d in (2, 1, 3):
        m1, m2 = real(f"m1_1:{d + 1}"), real(f"m2_1:{d + 1}")
        s1, s2 = positive(f"s1_1:{d + 1}"), positive(f"s2_1:{d + 1}")
        eps = real(f"eps1:{d + 1}")
        rows = list(zip(m1, s1, m2, s2, strict=True))
        z = [m + s * e for m, s, e in zip(m1, s1, eps, strict=True)]
        log_q = sum(log_normal(v, m, s) for v, m, s in zip(z, m1, s1, strict=True))
        log_p = sum(log_normal(v, m, s) for v, m, s in zip(z, m2, s2, strict=True))
        right = sum(
            _closed(*((c, e, a, b) if swapped else (a, b, c, e))) for a, b, c, e in rows
        )
        right += sp.Rational(d - 1, 2) if one_half else 0
        left = standard_normal_mean(log_q - log_p, eps)
        cases.append((left, right / d if average else right))
    return Equal(cases)


def _lower(name, d):
    """A lower triangular matrix with a positive diagonal: any covariance's factor."""
    factor = sp.zeros(d, d)
    for i in range(d):
        for j in range(i):
            factor[i, j] = real(f"{name}{i + 1}{j + 1}")[0]
        factor[i, i] = positive(f"{name}{i + 1}{i + 1}")[0]
    return factor


def _log_gaussian(z, loc, covariance):
    """log N(z; loc, covariance), as the density is written."""
    quadratic = ((z - loc).T * covariance.inv() * (z - loc))[0]
    return -(quadratic + sp.log(covariance.det()) + len(z) * sp.log(2 * sp.pi)) / 2


def _kl_gaussian_full(swapped=False, other_inverse=False, determinants=1):
    """With Σ = L Lᵀ and L any lower triangular matrix, for D = 1, 2 and 3."""
    cases = []
    for d in (2, 1, 3):
        m1, m2 = (sp.Matrix(real(f"{n}_1:{d + 1}")) for n in ("m1", "m2"))
        eps = sp.Matrix(real(f"eps1:{d + 1}"))
        l1, l2 = _lower("l", d), _lower("k", d)
        c1, c2 = l1 * l1.T, l2 * l2.T
        z = m1 + l1 * eps
        difference = _log_gaussian(z, m1, c1) - _log_gaussian(z, m2, c2)
        left = standard_normal_mean(difference, list(eps))
        if swapped:
            c1, c2 = c2, c1
        inverse = (c1 if other_inverse else c2).inv()
        right = (inverse * c1).trace() + ((m2 - m1).T * inverse * (m2 - m1))[0] - d
        right += determinants * sp.log(c2.det() / c1.det())
        cases.append((left, right / 2))
    return Equal(cases)


def _forward_fit(swapped=False, second_moment=False, dropped=False):
    """For p of mean μ and variance σ², whatever its shape, by E[z] and E[z²] alone."""
    mu, m = real("mu m")
    sigma, s = positive("sigma s")
    fit = sp.sqrt(sigma**2 + mu**2) if second_moment else sigma
    difference = sp.Poly(sp.expand(log_normal(_z, mu, fit) - log_normal(_z, m, s)), _z)
    moments = [1, mu, sigma**2 + mu**2]
    left = sum(c * moments[k] for (k,), c in difference.terms())
    right = _closed(m, s, mu, fit) if swapped else _closed(mu, fit, m, s)
    return Equal([(left, 0 if dropped else right)])


def _gaussian_heat(factor=None, order=2):
    """∂/∂s N(z; m, s²) = s ∂²/∂m² N(z; m, s²), by differentiating the density."""
    m, s = sp.Symbol("m", real=True), sp.Symbol("s", positive=True)
    density = sp.exp(-((_z - m) ** 2) / (2 * s**2)) / (s * sp.sqrt(2 * sp.pi))
    right = (s if factor is None else factor) * sp.diff(density, m, order)
    return Equal([(sp.diff(density, s), right)])


GAUSSIAN: list[Identity] = [
    Identity(
        label="eq-normal-moments",
        statement=r"\E[\varepsilon^{k+2}] = (k+1)\,\E[\varepsilon^k], \qquad "
        r"\E[1] = 1, \quad \E[\varepsilon] = 0",
        claim=_normal_moments,
        wrong={
            "the factor k in place of k + 1": {"step": 0},
            "the factor k + 2 in place of k + 1": {"step": 2},
            "an odd moment that does not vanish": {"odd": 1},
        },
        assumptions="ε ~ N(0, 1); k = 0, 1, 2, …",
    ),
    Identity(
        label="eq-entropy-gaussian",
        statement=r"\ent[\N(\mu, \sigma^2)] = \tfrac12 \log (2 \pi e \sigma^2)",
        claim=_entropy_gaussian,
        wrong={
            "without e": {"e": 1},
            "the scale in place of the variance": {"s": _s1},
        },
        assumptions="σ > 0",
        computes="divergences.entropy",
        reference="cover2006",
    ),
    Identity(
        label="eq-kl-gaussian",
        statement=r"\begin{aligned} "
        r"& \KL{\N(\mu_1, \sigma_1^2)}{\N(\mu_2, \sigma_2^2)} \\ "
        r"& \quad = \log \frac{\sigma_2}{\sigma_1} + "
        r"\frac{\sigma_1^2 + (\mu_1 - \mu_2)^2}{2 \sigma_2^2} - \frac12 "
        r"\end{aligned}",
        claim=_kl_gaussian,
        wrong={
            "the arguments exchanged": {"swapped": True},
            "scales where the variances belong": {"variances": True},
            "without the one half": {"half": 0},
        },
        assumptions="σ₁ > 0 and σ₂ > 0",
        computes="divergences.kl",
    ),
    Identity(
        label="eq-kl-gaussian-diagonal",
        statement=r"\KL{q}{p} = \sum_{d=1}^{D} \left[ "
        r"\log \frac{\sigma_{2d}}{\sigma_{1d}} "
        r"+ \frac{\sigma_{1d}^2 + (\mu_{1d} - \mu_{2d})^2}{2 \sigma_{2d}^2} "
        r"- \frac12 \right]",
        claim=_kl_gaussian_diagonal,
        wrong={
            "the arguments exchanged": {"swapped": True},
            "the mean over coordinates in place of the sum": {"average": True},
            "the one half subtracted once, not once a coordinate": {"one_half": True},
        },
        assumptions="all σ > 0; the coordinates are independent under q and under p",
        scope="D = 1, 2 and 3",
        computes="divergences.kl",
    ),
    Identity(
        label="eq-kl-gaussian-full",
        statement=r"\begin{aligned} \KL{q}{p} = \tfrac12 \Bigl[ & "
        r"\tr(\Sigma_2^{-1} \Sigma_1) "
        r"+ (\mu_2 - \mu_1)^\top \Sigma_2^{-1} (\mu_2 - \mu_1) \\ "
        r"& - D + \log \frac{\det \Sigma_2}{\det \Sigma_1} \Bigr] \end{aligned}",
        claim=_kl_gaussian_full,
        wrong={
            "the covariances exchanged": {"swapped": True},
            "the inverse of the other covariance": {"other_inverse": True},
            "the determinants upside down": {"determinants": -1},
        },
        assumptions="Σ₁ and Σ₂ positive definite",
        scope="D = 1, 2 and 3, every covariance by its Cholesky factor",
        computes="divergences.kl",
    ),
    Identity(
        label="eq-forward-fit",
        statement=r"\begin{aligned} \KL{p}{\N(m, s^2)} = {} & "
        r"\KL{p}{\N(\mu_p, \sigma_p^2)} \\ "
        r"& + \KL{\N(\mu_p, \sigma_p^2)}{\N(m, s^2)} \end{aligned}",
        claim=_forward_fit,
        wrong={
            "the last divergence the other way round": {"swapped": True},
            "the second moment in place of the variance": {"second_moment": True},
            "the last divergence left out": {"dropped": True},
        },
        assumptions="p has mean μ_p, variance σ_p² > 0 and finite entropy; s > 0",
        reference="bishop2006",
    ),
    Identity(
        label="eq-gaussian-heat",
        statement=r"\frac{\partial}{\partial s} \N(z; m, s^2) = "
        r"s\, \frac{\partial^2}{\partial m^2} \N(z; m, s^2)",
        claim=_gaussian_heat,
        wrong={
            "one half, as for the variance": {"factor": _HALF},
            "the first derivative": {"order": 1},
        },
        assumptions="s > 0",
        reference="opper2009",
    ),
]
