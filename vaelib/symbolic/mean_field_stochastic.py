"""Steps along the natural gradient: *Mean field*, many data."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal


def _natural_gradient(fisher=1, sign=1, inverse=False):
    """∇ ELBO = F (η̂ − η) with F = ∇²A and ELBO(η) = (η̂ − η)·∇A(η) + A(η).

    For a Beta, for a Gamma (whose second statistic is −λ), and for a family with any
    log-normaliser A of two parameters.
    """
    eta, best = positive("e1 e2"), positive("h1 h2")
    beta = sp.loggamma(eta[0]) + sp.loggamma(eta[1]) - sp.loggamma(sum(eta))
    gamma = sp.loggamma(eta[0]) - eta[0] * sp.log(eta[1])
    cases = []
    for a in (beta, gamma, sp.Function("A")(*eta)):
        slope = [sp.diff(a, e) for e in eta]
        elbo = a + sum((h - e) * s for h, e, s in zip(best, eta, slope, strict=True))
        hessian = sp.Matrix(2, 2, lambda i, j, a=a: sp.diff(a, eta[i], eta[j]))
        if inverse:
            hessian = hessian.inv()
        matrix = hessian if fisher else sp.eye(2)
        right = sign * matrix * (sp.Matrix(best) - sp.Matrix(eta))
        cases += [(sp.diff(elbo, e), v) for e, v in zip(eta, right, strict=True)]
    return Equal(cases)


def _blend(between=1, weighted=True, mixed=True):
    """The convex combination of α, β, βm, ν, W⁻¹ + βmmᵀ, in terms of m and W⁻¹."""
    rate = sp.Symbol("t", positive=True)
    cases = []
    for p in (1, 2):
        m, h = sp.Matrix(real(f"m1:{p + 1}")), sp.Matrix(real(f"h1:{p + 1}"))
        s, g = (
            sp.Matrix(p, p, lambda i, j, c=c: sp.Symbol(f"{c}{i + j}", real=True))
            for c in "sg"
        )
        b, c = positive("b c")
        strength = (1 - rate) * b + rate * c
        loc = ((1 - rate) * b * m + rate * c * h) / strength
        if not weighted:
            loc = (1 - rate) * m + rate * h
        scatter = (1 - rate) * s + rate * g
        shrink = between * rate * (1 - rate) * b * c / strength
        scatter += shrink * (m - h) * (m - h).T
        natural = (1 - rate) * b * m + rate * c * h
        cases += list(zip(natural, strength * loc, strict=True))
        natural = (1 - rate) * (s + b * m * m.T) + rate * (g + c * h * h.T)
        cases += list(zip(natural, scatter + strength * loc * loc.T, strict=True))
    return Equal(cases, domain={rate: (0, 1)})


def _right_of_blend():
    t, b, c, s0, g0 = positive("t b c s g")
    m1, h1 = real("m h")
    strength = (1 - t / 4) * b + t / 4 * c
    scatter = (1 - t / 4) * s0 + t / 4 * g0
    return scatter + t / 4 * (1 - t / 4) * b * c / strength * (m1 - h1) ** 2


STOCHASTIC: list[Identity] = [
    Identity(
        label="eq-natural-gradient",
        statement=r"\nabla_\eta \ELBO(\eta) = F(\eta)\, (\hat\eta - \eta)",
        claim=_natural_gradient,
        wrong={
            "without the Fisher information": {"fisher": 0},
            "its inverse": {"inverse": True},
            "the sign": {"sign": -1},
        },
        assumptions="q and its coordinate update η̂ in one exponential family",
        scope="families of two parameters: Beta, Gamma, and any smooth log-normaliser",
        reference="hoffman2013",
    ),
    Identity(
        label="eq-svi-blend",
        statement=r"""\begin{aligned}
\beta' &= (1 - \tau) \beta + \tau \hat\beta, \qquad
m' = \frac{(1 - \tau) \beta m + \tau \hat\beta \hat m}{\beta'}, \\
W'^{-1} &= (1 - \tau) W^{-1} + \tau \hat W^{-1}
+ \frac{(1 - \tau) \beta\, \tau \hat\beta}{\beta'} (m - \hat m) (m - \hat m)^\top
\end{aligned}""",
        claim=_blend,
        wrong={
            "the term between the means left out": {"between": 0},
            "means blended without their strengths": {"weighted": False},
        },
        assumptions="0 ≤ τ ≤ 1; α and ν are blended as β is",
        scope="P = 1 and 2",
        computes="meanfield.blend",
        value=_right_of_blend,
        reference="hoffman2013",
    ),
]
