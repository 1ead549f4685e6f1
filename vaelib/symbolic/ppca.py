"""The closed-form maximum likelihood of probabilistic principal component analysis."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, All, AtLeast, Equal, Term


def _ppca(first=True, divided=True):
    """W and σ² of probabilistic PCA: every derivative of the likelihood is zero there.

    In the basis of the data's eigenvectors. For P = 2, D = 1, where W and σ² reach
    every covariance, also the maximum: with C⁻¹ = RRᵀ, R lower triangular, the
    likelihood of S itself is ahead by two tangent terms and a square.
    """
    slopes = []
    for p, d in ((2, 1), (3, 1), (3, 2)):
        values, (v,) = positive(f"l1:{p + 1}"), positive("v")
        weight = sp.Matrix(p, d, lambda i, j: sp.Symbol(f"w{i + 1}{j + 1}", real=True))
        model = weight * weight.T + v * sp.eye(p)
        noise = sum(values[d:]) / (p - d if divided else p)
        kept = values[:d]
        at = {w: 0 for w in weight} | {v: noise}
        for j, value in enumerate(kept):
            at[weight[j, j]] = sp.sqrt(value - noise if first else value)
        inverse = model.subs(at).inv()
        # dℓ = −½ tr[(C⁻¹ − C⁻¹SC⁻¹) dC]
        core = inverse - inverse * sp.diag(*values) * inverse
        for symbol in [*weight, v]:
            slope = -(core * model.diff(symbol).subs(at)).trace() / 2
            slopes.append((sp.simplify(slope), sp.Integer(0)))
    l1, l2, r1, r2 = positive("l1 l2 r1 r2")
    (c,) = real("c")
    log_det = 2 * sp.log(r1) + 2 * sp.log(r2)
    trace = l1 * r1**2 + l2 * (c**2 + r2**2)
    gap = (log_det - trace) / 2
    best = (-sp.log(l1) - sp.log(l2) - 2) / 2
    terms = [Term(sp.Rational(1, 2), LOG_TANGENT, e) for e in (l1 * r1**2, l2 * r2**2)]
    terms.append(Term(l2 / 2, SQUARE, c))
    domain = {s: (i, i + 1) for i, s in zip((8, 6, 4), positive("l1:4"), strict=True)}
    return All([Equal(slopes, domain), AtLeast([(best, gap)], [terms])])


PPCA = Identity(
    label="eq-ppca-solution",
    statement=r"\begin{aligned} \hat{\sigma}^2 &= \frac{1}{P - D} "
    r"\sum_{j=D+1}^{P} \lambda_j, \\ \hat{W} &= "
    r"U_D \left( \Lambda_D - \hat{\sigma}^2 I \right)^{1/2} \end{aligned}",
    claim=_ppca,
    wrong={
        "the noise not taken off the eigenvalues": {"first": False},
        "divided by P instead of P − D": {"divided": False},
    },
    assumptions="D < P; Ŵ, up to a rotation, and σ̂² maximise the likelihood; μ is the "
    "data's mean and λ_1 ≥ … ≥ λ_P > 0 are the eigenvalues of their covariance",
    scope="stationary for (P, D) = (2, 1), (3, 1), (3, 2); "
    "the maximum for (2, 1); the maximum in general is cited",
    reference="tipping1999",
)
