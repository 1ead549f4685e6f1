"""The bound, the evidence and the predictions of the Gaussian mixture: *Mean field*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import kl, mean, positive, probabilities, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.mean_field_normal_wishart import (
    HALF,
    LOG_2PI,
    log_beta,
    log_gamma,
    log_z,
    mean_log_det,
)
from vaelib.symbolic.mean_field_update import add_data
from vaelib.symbolic.proofs import Equal


def _elbo(entropy=1, divergence=1, swapped=False):
    """E_q[log p(x, z, θ) − log q(z) q(θ)] by tables: two data, two z, two θ."""
    prior, q = probabilities("p", 2), probabilities("q", 2)
    table = [[positive(f"{name}{k}_:2") for name in "ab"] for k in range(2)]
    r = [probabilities(name, 2) for name in "uv"]
    left = right = 0
    for n in range(2):
        for k in range(2):
            energy = mean(q, [sp.log(table[k][j][n]) for j in range(2)])
            left += r[n][k] * (energy - sp.log(r[n][k]))
            right += r[n][k] * (energy - entropy * sp.log(r[n][k]))
    left += mean(q, [sp.log(p) - sp.log(v) for p, v in zip(prior, q, strict=True)])
    pair = (prior, q) if swapped else (q, prior)
    return Equal([(left, right - divergence * kl(*pair))])


def _elbo_normalisers(pi=1, sign=1, prior=1):
    """Energy − KL at the best q(π, μ, Λ): the Dirichlet's part, then one component's.

    The entropy of r is the same on both sides and left out.
    """
    counts, a0 = positive("c1 c2"), sp.Symbol("a0", positive=True)
    alphas = [a0 + c for c in counts]
    logs = [sp.digamma(a) - sp.digamma(sp.expand(sum(alphas))) for a in alphas]
    left = sum(c * v for c, v in zip(counts, logs, strict=True))
    left -= sum((a - a0) * v for a, v in zip(alphas, logs, strict=True))
    left += log_beta(alphas) - log_beta([a0, a0])
    right = sign * (log_beta(alphas) - prior * log_beta([a0, a0]))
    cases = [(left, right)]
    m0, xs = sp.Matrix(real("m0:1")), [sp.Matrix([v]) for v in real("x1:3")]
    r, (beta0, nu0, s0) = positive("r1:3"), positive("beta nu s")
    total = sum(r)
    m, beta, s = add_data(m0, beta0, sp.Matrix([s0]), xs, r)
    m, s, nu = m[0], s[0], nu0 + total
    log_det, mean_lam = mean_log_det(nu, s), nu / s

    def square(x):  # E[λ (x − μ)²]
        return 1 / beta + mean_lam * (x - m) ** 2

    energy = sum(
        w * (log_det - LOG_2PI - square(x[0])) / 2 for w, x in zip(r, xs, strict=True)
    )
    # E_q[log q − log p]: kernels |λ|^((ν−1)/2) exp(−½ (sλ + βλ(μ − m)²))
    log_q = ((nu - 1) * log_det - s * mean_lam - 1) / 2 - log_z(beta, nu, s)
    log_p = ((nu0 - 1) * log_det - s0 * mean_lam - beta0 * square(m0[0])) / 2
    log_p -= log_z(beta0, nu0, s0)
    right = sign * (log_z(beta, nu, s) - prior * log_z(beta0, nu0, s0))
    cases.append((energy - (log_q - log_p), right - pi * total * LOG_2PI / 2))
    return Equal(cases)


def _right_of_elbo():
    """Two data, two components, P = 1."""
    m0, xs = sp.Matrix(real("m0:1")), [sp.Matrix([v]) for v in real("x1:3")]
    a0, beta0, nu0, s0, o1, o2 = positive("a beta nu s o1 o2")
    shares = [o / (1 + o) for o in (o1, o2)]
    r = [shares, [1 - v for v in shares]]
    value = log_beta([a0 + sum(c) for c in r]) - log_beta([a0, a0]) - LOG_2PI
    for column in r:
        m, beta, s = add_data(m0, beta0, sp.Matrix([s0]), xs, column)
        value += log_z(beta, nu0 + sum(column), s[0]) - log_z(beta0, nu0, s0)
        value -= sum(v * sp.log(v) for v in column)
    return value


def _log_student(beta, nu, det, square, p=1, dof=1):
    """log of one component's predictive density; det of W⁻¹, square (x−m)ᵀW(x−m)."""
    half = sp.expand((nu + dof) / 2)
    ratio = beta / (1 + beta)
    value = log_gamma(half) - log_gamma(sp.expand(half - sp.Rational(p, 2)))
    value += sp.Rational(p, 2) * sp.log(ratio / sp.pi) - sp.log(det) / 2
    return value - half * sp.log(1 + ratio * square)


def _predictive(dof=1, plug_in=False):
    """Z after one more datum over Z before, by the update; P = 1 and 2.

    W⁻¹ = CCᵀ for a triangular C, and x = m + C y.
    """
    cases = []
    for p in (1, 2):
        m, y = sp.Matrix(real(f"m1:{p + 1}")), sp.Matrix(real(f"y1:{p + 1}"))
        beta, excess = positive("beta nu")
        nu = excess + p - 1
        c = sp.diag(*positive(f"c1:{p + 1}"))
        if p == 2:
            c[1, 0] = sp.Symbol("c0", real=True)
        scatter, det, square = c * c.T, c.det() ** 2, (y.T * y)[0]
        _, more, after = add_data(m, beta, scatter, [m + c * y], [sp.Integer(1)])
        left = log_z(more, nu + 1, sp.factor(after.det()), p) - log_z(beta, nu, det, p)
        left -= p * LOG_2PI / 2
        right = _log_student(beta, nu, det, square, p, dof)
        if plug_in:  # N(x; m, (νW)⁻¹), as if μ and Λ were known
            right = (p * sp.log(nu) - sp.log(det) - p * LOG_2PI - nu * square) / 2
        cases.append((left, right))
    return Equal(cases)


def _right_of_predictive():
    x, m1, m2 = real("x m1 m2")
    parts = []
    total = sum(positive("a1 a2"))
    for i, m in ((1, m1), (2, m2)):
        beta, nu, s, a = positive(f"b{i} n{i} s{i} a{i}")
        log = _log_student(beta, nu, s, (x - m) ** 2 / s)
        parts.append(a / total * sp.exp(log))
    return sp.log(sum(parts))


def _evidence(pi=1, weights=True, order=1):
    """log p(x, z) by predicting one datum after the other; two data, two components.

    d1 and d2 are the distances of the data from the prior's mean, and of the second
    from where it is expected after the first.
    """
    a, beta, nu, s = positive("a beta nu s")
    m, d1, d2 = real("m d1 d2")
    x1 = m + d1
    x2 = (beta * m + x1) / (beta + 1) + d2
    cases = []
    for same in (True, False):
        mean, scatter = sp.Matrix([m]), sp.Matrix([s])
        first, second = sp.Matrix([x1]), sp.Matrix([x2])
        one = sp.Integer(1)
        left = _log_student(beta, nu, s, d1**2 / s)
        left += sp.log(HALF)  # Pólya's urn
        if same:
            loc, more, after = add_data(mean, beta, scatter, [first], [one])
            square = sp.factor(x2 - loc[0]) ** 2 / after[0]
            left += _log_student(more, nu + 1, after[0], square)
            left += sp.log((a + 1) / (2 * a + 1))
            groups, counts = [[first, second]], (2, 0)
        else:
            left += _log_student(beta, nu, s, (x2 - m) ** 2 / s)
            left += sp.log(a / (2 * a + 1))
            groups, counts = [[first], [second]], (1, 1)
        gammas = [sp.expand_func(sp.gamma(a + c)) for c in counts]
        gammas.append(sp.expand_func(sp.gamma(2 * a + 2)))
        right = -pi * LOG_2PI
        if weights:
            right += sp.log(gammas[0] * gammas[1] / gammas[2])
            right -= sp.log(sp.gamma(a) ** 2 / sp.gamma(2 * a))
        for group in groups:
            n = len(group)
            _, more, after = add_data(mean, beta, scatter, group, [one] * n)
            right += log_z(more, nu + order * n, after[0]) - log_z(beta, nu, s)
        cases.append((left, right))
    return Equal(cases)


def _right_of_evidence():
    both = _evidence().cases
    return sp.log(2 * sp.exp(both[0][1]) + 2 * sp.exp(both[1][1]))


MIXTURE: list[Identity] = [
    Identity(
        label="eq-mixture-elbo",
        statement=r"""\begin{aligned}
\ELBO = {} & \sum_{n,k} r_{nk} \Bigl(
\E_q\bigl[\log \pi_k + \log \N(x_n; \mu_k, \Lambda_k^{-1})\bigr] - \log r_{nk} \Bigr) \\
& - \KL{q(\pi, \mu, \Lambda)}{p(\pi, \mu, \Lambda)}
\end{aligned}""",
        claim=_elbo,
        wrong={
            "the entropy of z subtracted": {"entropy": -1},
            "the divergence added": {"divergence": -1},
            "the arguments exchanged": {"swapped": True},
        },
        assumptions="q(z) q(π, μ, Λ), q(z) with a row r_n for each datum",
        scope="two data, z and the parameters of two states each, all tables",
        reference="bishop2006",
    ),
    Identity(
        label="eq-elbo-normalisers",
        statement=r"""\ELBO = -\sum_{n,k} r_{nk} \log r_{nk} + \log Z(q) - \log Z(p)
- \tfrac12 N P \log 2\pi""",
        claim=_elbo_normalisers,
        wrong={
            "the constants of the likelihood forgotten": {"pi": 0},
            "the prior's normaliser forgotten": {"prior": 0},
            "upside down": {"sign": -1},
        },
        assumptions="q(π, μ, Λ) is the best one for r",
        scope="a Dirichlet of two components; one component, P = 1, two weighted data",
        computes="meanfield.elbo",
        value=_right_of_elbo,
    ),
    Identity(
        label="eq-mixture-evidence",
        statement=r"""p(x) = \sum_{z} p(x, z), \qquad
p(x, z) = (2\pi)^{-NP/2}\, \frac{Z(q_z)}{Z(p)}""",
        claim=_evidence,
        wrong={
            "the power of 2π forgotten": {"pi": 0},
            "the weights forgotten": {"weights": False},
            "ν + 2N": {"order": 2},
        },
        assumptions="q_z is the update by the indicators of z as responsibilities",
        scope="two data, two components, P = 1: each p(x, z) by the chain rule",
        computes="meanfield.log_evidence",
        value=_right_of_evidence,
    ),
    Identity(
        label="eq-predictive",
        statement=r"""\begin{aligned}
\E_q[p(x \mid \pi, \mu, \Lambda)] = {} & \sum_k \frac{\alpha_k}{\sum_j \alpha_j}\,
\frac{\Gamma\bigl(\frac{\nu_k + 1}{2}\bigr)}{\Gamma\bigl(\frac{\nu_k + 1 - P}{2}\bigr)}
\Bigl(\frac{c_k}{\pi}\Bigr)^{P/2} (\det W_k)^{1/2} \\
& \times \bigl(1 + c_k\, (x - m_k)^\top W_k (x - m_k)\bigr)^{-(\nu_k + 1)/2}, \\
c_k = {} & \frac{\beta_k}{1 + \beta_k}
\end{aligned}""",
        claim=_predictive,
        wrong={
            "one degree of freedom too few": {"dof": 0},
            "a normal with the mean precision": {"plug_in": True},
        },
        assumptions="q(π) Dirichlet, q(μ, Λ) Normal–Wishart",
        scope="the density of one component, P = 1 and 2",
        computes="meanfield.log_predictive",
        value=_right_of_predictive,
        reference="bishop2006",
    ),
]
