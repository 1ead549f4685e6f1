"""The saddles of likelihood and ELBO in the chapter *Posterior collapse*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

HALF = sp.Rational(1, 2)


def matrix(name, rows, columns):
    """A matrix of real symbols."""
    return sp.Matrix(
        rows, columns, lambda i, j: sp.Symbol(f"{name}{i + 1}{j + 1}", real=True)
    )


def log_lik(weight, noise, values):
    """The average log-likelihood less its constant, for covariance diag(values)."""
    model = weight * weight.T + noise * sp.eye(len(values))
    trace = (model.adjugate() * sp.diag(*values)).trace() / model.det()
    return -HALF * (sp.log(model.det()) + trace)


def _residual(weight, noise):
    """What the best factorised guide leaves out (`eq-mean-field-gap`)."""
    m = weight.T * weight + noise * sp.eye(weight.shape[1])
    return HALF * (sum(sp.log(v) for v in m.diagonal()) - sp.log(m.det()))


def _curvature(power=2, sign=-1, factor=1):
    """The second derivative as a column that is zero grows along an eigenvector."""
    (a,), (v, w), values = real("a"), positive("v w"), positive("l1:4")
    cases = []
    for column, j in ((sp.zeros(3, 1), 0), (sp.Matrix([w, 0, 0]), 1)):
        grown = sp.zeros(3, 1)
        grown[j] = a
        value = log_lik(column.row_join(grown), v, values)
        second = sp.diff(value, a, 2).subs(a, 0)
        cases.append((second, factor * (values[j] + sign * v) / v**power))
    return Equal(cases)


def _turn(exchanged=False, noise=True):
    """Turn a kept eigenvector towards one that is not kept."""
    (t,), (v, e, other) = real("t"), positive("v e l2")
    value = v + e  # λ_j, so that w² = λ_j − σ² = e
    c, s = (1 - t**2) / (1 + t**2), 2 * t / (1 + t**2)
    start, end = sp.Matrix([1, 0]), sp.Matrix([c, s])
    left = log_lik(sp.sqrt(e) * end, v, [value, other])
    left -= log_lik(sp.sqrt(e) * start, v, [value, other])
    change = value - other if exchanged else other - value
    first = 1 / v if noise else 0
    return Equal([(left, HALF * change * (first - 1 / value) * s**2)])


def _saddle(cross=1, determinant=1):
    """Second derivatives of one direction's ELBO in decoder w and encoder v."""
    (w, v), (s2, value) = real("w v"), positive("s l")
    elbo = -(value * (1 - w * v) ** 2 + w**2) / (2 * s2) - HALF * v**2 * value
    at = {w: 0, v: 0}
    found = sp.hessian(elbo, (w, v)).subs(at)
    corner = cross * value / s2
    right = sp.Matrix([[-1 / s2, corner], [corner, -value]])
    cases = list(zip(found, right, strict=True))
    product = determinant * value * (s2 - value) / s2**2
    return Equal([*cases, (found.det(), product)])


def _extra_stationary(kind="mixed"):
    """The ELBO's gradient, with the best guide, at two equally long, skew columns."""
    a1, a2, v = positive("a1 a2 v")  # a_j² = λ_j
    common = {"mixed": (a1 + a2) / 2, "own": None, "mean": (a1**2 + a2**2) / 2}[kind]
    m = [common * a if kind == "mixed" else common or a**2 for a in (a1, a2)]
    weight = sp.diag(*(sp.sqrt(x - v) for x in m)) * sp.Matrix([[1, -1], [1, 1]])
    weight /= sp.sqrt(2)
    w = matrix("w", 2, 2)
    elbo = log_lik(w, v, [a1**2, a2**2]) - _residual(w, v)
    at = dict(zip(w, weight, strict=True))
    slopes = [(sp.diff(elbo, symbol).subs(at), sp.Integer(0)) for symbol in w]
    return Equal(slopes, {a1: (3, 4), a2: (2, 3), v: (0, 1)})


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-collapse-curvature",
        statement=r"\frac{\dd^2}{\dd a^2}\, \bar\ell\bigl( W_A + a\, u_j e_k^\top "
        r"\bigr) \Big|_{a=0} = \frac{\lambda_j - \sigma^2}{\sigma^4}",
        claim=_curvature,
        wrong={
            "the noise added": {"sign": 1},
            "σ² in the denominator": {"power": 1},
            "the sign": {"factor": -1},
        },
        assumptions="j is not in A; column k of W_A is zero",
        scope="P = 3; A empty, and A of one element with a column of any length",
    ),
    Identity(
        label="eq-collapse-turn",
        statement=r"\bar\ell(\varphi) - \bar\ell(0) = \frac12 "
        r"(\lambda_i - \lambda_j) \Bigl( \frac{1}{\sigma^2} - \frac{1}{\lambda_j} "
        r"\Bigr) \sin^2 \varphi",
        claim=_turn,
        wrong={
            "the eigenvalues exchanged": {"exchanged": True},
            "without the noise": {"noise": False},
        },
        assumptions="j in A, i not in A; u_j is replaced by cos φ u_j + sin φ u_i",
        scope="in the plane of the two; the other directions are not touched",
    ),
    Identity(
        label="eq-collapse-saddle",
        statement=r"\nabla^2_{(w, v)} \ELBO = \begin{pmatrix} -1/\sigma^2 & "
        r"\lambda/\sigma^2 \\ \lambda/\sigma^2 & -\lambda \end{pmatrix}, \qquad "
        r"\det = \frac{\lambda\, (\sigma^2 - \lambda)}{\sigma^4}",
        claim=_saddle,
        wrong={
            "decoder and encoder do not interact": {"cross": 0},
            "the determinant's sign": {"determinant": -1},
        },
        assumptions="one direction with eigenvalue λ, at w = v = 0 and s = 1",
    ),
    Identity(
        label="eq-elbo-stationary",
        statement=r"""\begin{aligned}
W &= U_2 \begin{pmatrix} \sqrt{m_1 - \sigma^2} & 0 \\
0 & \sqrt{m_2 - \sigma^2} \end{pmatrix}
\frac{1}{\sqrt2} \begin{pmatrix} 1 & -1 \\ 1 & 1 \end{pmatrix}, \\
m_j &= \sqrt{\lambda_j}\; \frac{\sqrt{\lambda_1} + \sqrt{\lambda_2}}{2}
\end{aligned}""",
        claim=_extra_stationary,
        wrong={
            "the likelihood's own columns": {"kind": "own"},
            "the mean eigenvalue for both": {"kind": "mean"},
        },
        assumptions="m_1, m_2 > σ²; the guide is the best one for this W",
        scope="P = D = 2",
    ),
]
