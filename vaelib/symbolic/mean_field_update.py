"""The update of the Normal–Wishart by weighted data: *Mean field*, conjugacy."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal


def add_data(m, beta, scatter, xs, weights, between=1, centre=True):
    """Normal–Wishart m, β, W⁻¹ after data x_n with weights: the update's formulas."""
    count = sum(weights)
    average = sum((w * x for w, x in zip(weights, xs, strict=True)), 0 * m) / count
    about = average if centre else 0 * m
    within = 0 * scatter
    for w, x in zip(weights, xs, strict=True):
        within += w * (x - about) * (x - about).T
    d = average - m
    shrink = between * beta * count / (beta + count)
    return (
        (beta * m + count * average) / (beta + count),
        beta + count,
        scatter + within + shrink * d * d.T,
    )


def _update(between=1, centre=True, dof=1):
    """Kernel of the prior · likelihood^r = kernel of the update, for all π, μ, Λ."""
    cases = []
    weight, a, count = positive("w a count")
    left = (a - 1) * sp.log(weight) + count * sp.log(weight)
    cases.append((left, (a + count - 1) * sp.log(weight)))
    for p, n in ((1, 3), (2, 2)):
        lam = sp.Matrix(p, p, lambda i, j: sp.Symbol(f"l{i + j}", real=True))
        s0 = sp.Matrix(p, p, lambda i, j: sp.Symbol(f"s{i + j}", real=True))
        mu, m0 = sp.Matrix(real(f"mu:{p}")), sp.Matrix(real(f"m:{p}"))
        xs = [sp.Matrix(real(f"x{i}_:{p}")) for i in range(n)]
        r = positive(f"r:{n}")
        beta, nu, log_det = positive("beta nu logdet")

        def kernel(m, strength, dof, scatter, mu=mu, lam=lam, log_det=log_det, p=p):
            d = mu - m
            square = strength * (d.T * lam * d)[0] + (scatter * lam).trace()
            return ((dof - p) * log_det - square) / 2

        left = kernel(m0, beta, nu, s0)
        for w, x in zip(r, xs, strict=True):
            left += w * (log_det - ((x - mu).T * lam * (x - mu))[0]) / 2
        m, strength, scatter = add_data(m0, beta, s0, xs, r, between, centre)
        cases.append((left, kernel(m, strength, nu + dof * sum(r), scatter)))
    return Equal(cases)


def _scatter_of_update():
    x1, x2, m = real("x1 x2 m")
    r1, r2, beta, s = positive("r1 r2 beta s")
    parts = [sp.Matrix([v]) for v in (m, s, x1, x2)]
    return add_data(parts[0], beta, parts[1], parts[2:], [r1, r2])[2][0]


UPDATE: list[Identity] = [
    Identity(
        label="eq-mixture-update",
        statement=r"""\begin{aligned}
\alpha_k &= \alpha_0 + N_k, \qquad \beta_k = \beta_0 + N_k, \qquad
\nu_k = \nu_0 + N_k, \\
m_k &= \frac{\beta_0 m_0 + N_k \bar x_k}{\beta_0 + N_k}, \\
W_k^{-1} &= W_0^{-1} + N_k S_k
+ \frac{\beta_0 N_k}{\beta_0 + N_k} (\bar x_k - m_0) (\bar x_k - m_0)^\top
\end{aligned}""",
        claim=_update,
        wrong={
            "the term between the means left out": {"between": 0},
            "S about the origin": {"centre": False},
            "ν + N/2": {"dof": sp.Rational(1, 2)},
        },
        assumptions="responsibilities fixed; N_k > 0",
        scope="P = 1 with 3 data, P = 2 with 2 data, any weights, π, μ and Λ",
        computes="meanfield.update",
        value=_scatter_of_update,
        reference="bishop2006",
    ),
]
