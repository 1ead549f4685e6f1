"""The identities of the chapter *Posterior collapse*: the linear model.

Everything is written in the basis of the data's eigenvectors, in which the covariance
is diagonal; neither the likelihood nor the ELBO changes when data are turned.
"""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic import collapse_free_bits, collapse_rates, collapse_saddles
from vaelib.symbolic.algebra import log_normal, normal_mean, positive, real
from vaelib.symbolic.collapse_saddles import log_lik, matrix
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

DEFINITIONS: dict[str, str] = {
    "eq-linear-vae": "the linear VAE: linear decoder, linear encoder",
    "eq-ppca-objective": "the average log-likelihood of probabilistic PCA",
    "eq-free-bits-objective": "the objective with free bits, a floor under each rate",
}
HALF = sp.Rational(1, 2)


def _linear_elbo(spread=1, half=HALF, log_factor=1):
    """The average ELBO of data, by the moments of z, against the closed form."""
    cases = []
    for n, p, d in ((2, 2, 1), (1, 1, 2)):
        w, v, x = matrix("w", p, d), matrix("v", d, p), matrix("x", n, p)
        s, (sigma,) = positive(f"s1:{d + 1}"), positive("sigma")
        z, left, cov = real(f"z1:{d + 1}"), 0, sp.zeros(p, p)
        loc = w * sp.Matrix(z)
        for row in range(n):
            datum = x[row, :].T  # measured from μ
            means = v * datum
            term = sum(log_normal(datum[i], loc[i], sigma) for i in range(p))
            for a, b, c in zip(z, means, s, strict=True):
                term += log_normal(a, 0, 1) - log_normal(a, b, c)
            for a, b, c in zip(z, means, s, strict=True):
                term = normal_mean(term, a, b, c)
            left += term / n
            cov += datum * datum.T / n
        rest = sp.eye(p) - w * v
        error = (rest * cov * rest.T).trace()
        error += spread * sum(b**2 * (w[:, j].T * w[:, j])[0] for j, b in enumerate(s))
        code = (v * cov * v.T).trace()
        code += sum(b**2 - 1 - log_factor * sp.log(b**2) for b in s)
        right = -sp.Rational(p, 2) * sp.log(2 * sp.pi * sigma**2)
        cases.append((left, right - error / (2 * sigma**2) - half * code))
    return Equal(cases)


def _gradient(minus=1, inverses=2):
    """Every derivative of the log-likelihood, for every symmetric Σ̂."""
    cases = []
    for p, d in ((2, 1), (2, 2)):
        w, (noise,) = matrix("w", p, d), positive("v")
        cov = sp.Matrix(p, p, lambda i, j: real(f"c{min(i, j)}{max(i, j)}")[0])
        model = w * w.T + noise * sp.eye(p)
        inverse = model.adjugate() / model.det()
        value = -HALF * (sp.log(model.det()) + (inverse * cov).trace())
        first = inverse if inverses == 2 else sp.eye(p)
        formula = first * (cov * inverse - minus * sp.eye(p)) * w
        for symbol, entry in zip(w, formula, strict=True):
            cases.append((sp.diff(value, symbol), entry))
    return Equal(cases)


def _turned(columns, t):
    """Columns times a rotation; t is the tangent of half its angle."""
    c, s = (1 - t**2) / (1 + t**2), 2 * t / (1 + t**2)
    return columns * sp.Matrix([[c, -s], [s, c]])


def _stationary(noise_sign=-1, power=1):
    """The gradient is zero at any subset of eigenvectors, in any rotation."""
    (t,), (v,) = real("t"), positive("v")
    cases = []
    for kept in ((0, 1), (0, 2), (2,), ()):
        excess = positive("e1:4")  # λ_j = σ² + e_j where j is kept
        values = [v + e if j in kept else e for j, e in enumerate(excess)]
        weight = sp.zeros(3, 2)
        for column, j in enumerate(kept):
            weight[j, column] = sp.sqrt((values[j] + noise_sign * v) ** power)
        weight = _turned(weight, t)
        model = weight * weight.T + v * sp.eye(3)
        inverse = model.applyfunc(sp.cancel).inv()
        slope = inverse * (sp.diag(*values) * inverse - sp.eye(3)) * weight
        cases += [(sp.cancel(entry), sp.Integer(0)) for entry in slope]
    return Equal(cases)


def _gain(minus=1, half=HALF):
    """Its height above W = 0: one tangent term for each direction that is kept."""
    cases = []
    for kept in ((0,), (0, 1), (1, 2)):
        values, (v,) = positive("l1:4"), positive("v")
        weight = sp.zeros(3, 2)
        for column, j in enumerate(kept):
            weight[j, column] = sp.sqrt(values[j] - v)
        left = log_lik(weight, v, values) - log_lik(sp.zeros(3, 2), v, values)
        ratios = [values[j] / v for j in kept]
        right = sum(half * (r - minus - sp.log(r)) for r in ratios)
        cases.append((left, right))
    domain = {s: (i, i + 1) for i, s in zip((3, 2, 1), positive("l1:4"), strict=True)}
    return Equal(cases, domain | {positive("v")[0]: (0, 1)})


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-linear-elbo",
        statement=r"""\begin{aligned}
\frac1N \sum_{n=1}^N \ELBO(x_n) = {}
  & -\frac P2 \log 2 \pi \sigma^2 \\
  & - \frac{1}{2 \sigma^2} \Bigl( \tr\bigl[ (I - WV)\, \hat\Sigma\, (I - WV)^\top \bigr]
    + \sum_{j=1}^D s_j^2 \lVert w_j \rVert^2 \Bigr) \\
  & - \frac12 \Bigl( \tr\bigl[ V \hat\Sigma V^\top \bigr]
    + \sum_{j=1}^D \bigl( s_j^2 - 1 - \log s_j^2 \bigr) \Bigr)
\end{aligned}""",
        claim=_linear_elbo,
        wrong={
            "without the spread of z in the error": {"spread": 0},
            "without the one half before the rate": {"half": 1},
            "log s where log s² belongs": {"log_factor": HALF},
        },
        assumptions="σ > 0, s > 0; Σ̂ is the second moment of x − μ",
        scope="symbolic data with (N, P, D) = (2, 2, 1), (1, 1, 2)",
        computes="bounds.elbo_from_kl",
        reference="lucas2019",
    ),
    Identity(
        label="eq-ppca-gradient",
        statement=r"\nabla_W\, \bar\ell(W) "
        r"= C^{-1} \bigl( \hat\Sigma\, C^{-1} - I \bigr) W",
        claim=_gradient,
        wrong={
            "a plus before the identity": {"minus": -1},
            "the first inverse left out": {"inverses": 1},
        },
        assumptions="σ > 0; Σ̂ symmetric",
        scope="symbolic W and Σ̂ with (P, D) = (2, 1), (2, 2)",
        reference="tipping1999",
    ),
    Identity(
        label="eq-ppca-stationary",
        statement=r"W_A = U_A \bigl( \Lambda_A - \sigma^2 I \bigr)^{1/2}\, Q, "
        r"\qquad \lambda_j > \sigma^2 \text{ for } j \in A",
        claim=_stationary,
        wrong={
            "the noise added": {"noise_sign": 1},
            "the noise not taken off": {"noise_sign": 0},
            "without the square root": {"power": 2},
        },
        assumptions="A has at most D elements; Q has orthonormal rows",
        scope="stationary for P = 3, D = 2, A of two, one and no elements and every "
        "rotation; that there are no others is the theorem's proof",
        reference="tipping1999",
    ),
    Identity(
        label="eq-collapse-gain",
        statement=r"\bar\ell(W_A) - \bar\ell(0) = \frac12 \sum_{j \in A} "
        r"\Bigl( \frac{\lambda_j}{\sigma^2} - 1 "
        r"- \log \frac{\lambda_j}{\sigma^2} \Bigr)",
        claim=_gain,
        wrong={
            "without the −1": {"minus": 0},
            "without the one half": {"half": 1},
        },
        assumptions="λ_j > σ² for j in A; A has at most D elements",
        scope="P = 3, D = 2, three choices of A",
        computes="models.LinearGaussian.log_evidence",
    ),
    *collapse_saddles.IDENTITIES,
    *collapse_rates.IDENTITIES,
    *collapse_free_bits.IDENTITIES,
]
