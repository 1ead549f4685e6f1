"""The Dirichlet, the Normal–Wishart, and the data: *Mean field*, conjugacy.

In one dimension Λ is a number λ > 0 with the Gamma density of shape ν/2 and rate s/2,
s = W⁻¹. In more dimensions Bartlett's theorem is used: with W = CCᵀ, Λ = CB(CB)ᵀ for a
triangular B whose squared diagonal is χ² with ν, ν − 1, … degrees of freedom, and
standard normal below.
"""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import normal_mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

HALF = sp.Rational(1, 2)
LOG_2PI = sp.log(2 * sp.pi)


def log_gamma(v):
    """log Γ(v), in the form in which equal ones are seen to be equal."""
    return sp.loggamma(sp.expand(v))


def log_beta(alphas):
    """The log-normaliser of a Dirichlet."""
    return sum(log_gamma(a) for a in alphas) - log_gamma(sum(alphas))


def log_z(beta, nu, det_scatter, p=1, two=1, multivariate=True):
    """The log-normaliser of a Normal–Wishart in p dimensions."""
    value = two * p * nu * sp.log(2) / 2 - nu * sp.log(det_scatter) / 2
    value += sp.Rational(p * (p - 1), 4) * sp.log(sp.pi)
    value += sum(log_gamma((nu - (i if multivariate else 0)) / 2) for i in range(p))
    return value + p * (LOG_2PI - sp.log(beta)) / 2


def _normaliser(two=1, multivariate=True, beta=1):
    """The three integrals: Dirichlet, Normal–Gamma, and Wishart in two dimensions."""
    w, u, v, b = positive("w u v b")
    lam, s, nu, strength = positive("lam s nu beta")
    cases = []
    for a, c in ((2, 3), (1, 4)):
        mass = sp.integrate(sp.expand(w ** (a - 1) * (1 - w) ** (c - 1)), (w, 0, 1))
        value = sp.gamma(a) * sp.gamma(c) / sp.gamma(a + c)
        cases.append((sp.log(mass), sp.log(value)))
    # over μ first: ∫ exp(−½ βλ(μ − m)²) dμ = (2π / βλ)^½
    kernel = lam ** ((nu - 1) / 2) * sp.exp(-s * lam / 2) / sp.sqrt(lam)
    mass = sp.integrate(kernel, (lam, 0, sp.oo)) * sp.sqrt(2 * sp.pi / strength)
    right = log_z(strength**beta, nu, s, 1, two)
    cases.append(
        (sp.log(mass), right.replace(sp.loggamma, lambda t: sp.log(sp.gamma(t))))
    )
    for dof in (3, 5):  # Λ = [[u², b], [b, v²]] with |b| < uv, W = I
        power = (dof - 3) // 2
        inner = sp.integrate(
            sp.expand((u**2 * v**2 - b**2) ** power), (b, -u * v, u * v)
        )
        mass = inner * 4 * u * v * sp.exp(-(u**2 + v**2) / 2)
        mass = sp.integrate(sp.integrate(mass, (u, 0, sp.oo)), (v, 0, sp.oo))
        right = log_z(strength**beta, sp.Integer(dof), 1, 2, two, multivariate)
        mass *= 2 * sp.pi / strength
        cases.append(
            (sp.log(mass), right.replace(sp.loggamma, lambda t: sp.log(sp.gamma(t))))
        )
    return Equal(cases)


def _right_of_normaliser():
    beta, nu, s, a, b = positive("beta n s a b")
    return log_beta([a, b]) + log_z(beta, nu + 1, s**2, 2) + log_z(b, nu + 2, s, 2)


def mean_log_det(nu, det_scatter, p=1, step=1, two=1, sign=1):
    """E[log det Λ], the formula."""
    value = sum(sp.digamma(sp.expand((nu - step * i) / 2)) for i in range(p))
    return value + two * p * sp.log(2) - sign * sp.log(det_scatter)


def _log_det(step=1, two=1, sign=1):
    """By Bartlett: log det Λ = log det W + Σ log χ²; E log χ² from its moments."""
    t, k, det = positive("t k det")
    power = sp.Symbol("a", positive=True)
    density = t ** (k / 2 - 1) * sp.exp(-t / 2) / (2 ** (k / 2) * sp.gamma(k / 2))
    moment = sp.integrate(sp.powsimp(density * t**power), (t, 0, sp.oo))
    log_chi = sp.expand(sp.diff(sp.expand_log(sp.log(moment)), power).subs(power, 0))
    cases = []
    for p in (1, 2, 3):
        nu = p - 1 + sp.Symbol("n", positive=True)
        left = sum(log_chi.subs(k, nu - i) for i in range(p)) - sp.log(det)
        left = left.replace(sp.polygamma, lambda o, v: sp.polygamma(o, sp.expand(v)))
        cases.append((left, mean_log_det(nu, det, p, step, two, sign)))
    return Equal(cases)


def mean_log_joint(x, m, beta, nu, s, alpha, total, spread=1, plug_in=False):
    """E_q[log π + log N(x; μ, λ⁻¹)] in one dimension, the formula."""
    weight = sp.digamma(alpha) - sp.digamma(sp.expand(total))
    log_det = sp.log(nu / s) if plug_in else mean_log_det(nu, s)
    return weight + (log_det - LOG_2PI - spread / beta - nu * (x - m) ** 2 / s) / 2


def _expected_log_joint(spread=1, dof=1, plug_in=False):
    """By moments: first over μ given Λ, then over Λ; in one and two dimensions."""
    x, m, mu = real("x m mu")
    beta, nu, s, a, b, lam = positive("beta nu s a b lam")
    square = normal_mean((x - mu) ** 2, mu, m, 1 / sp.sqrt(beta * lam))
    square = sp.expand(lam * square)  # linear in λ, whose mean is ν/s
    quadratic = square.coeff(lam, 1) * nu / s + square.coeff(lam, 0)
    weight = -sp.diff(sp.loggamma(a + b) - sp.loggamma(a) - sp.loggamma(b), a)
    left = weight + (mean_log_det(nu, s) - LOG_2PI - quadratic) / 2
    right = mean_log_joint(x, m, beta, dof * nu, s, a, a + b, spread, plug_in)
    if dof != 1:
        right += (mean_log_det(nu, s) - mean_log_det(dof * nu, s)) / 2
    cases = [(left, right)]
    c11, c22, b11, b22 = positive("c1 c2 b1 b2")
    c21, b21, d1, d2, e1, e2 = real("c3 b3 d1 d2 e1 e2")
    factor = sp.Matrix([[c11, 0], [c21, c22]])  # W = CCᵀ
    bartlett = sp.Matrix([[b11, 0], [b21, b22]])
    d, eps = sp.Matrix([d1, d2]), sp.Matrix([e1, e2])  # d = x − m
    white = (factor * bartlett).T * d - eps / sp.sqrt(beta)  # Λ^½ᵀ (x − μ)
    value = sp.expand((white.T * white)[0])
    for noise in (e1, e2, b21):
        value = sp.expand(normal_mean(value, noise, 0, 1))
    value = sp.expand(value).subs({b11**2: nu, b22**2: nu - 1})
    plain = (d.T * factor * factor.T * d)[0]
    cases.append((value, 2 * spread / beta + dof * nu * plain))
    return Equal(cases)


def two_components():
    """Symbols of x and of two components: (m, β, ν, s, α) each."""
    x, m1, m2 = real("x m1 m2")
    first = (m1, *positive("b1 n1 s1 a1"))
    second = (m2, *positive("b2 n2 s2 a2"))
    return x, first, second


def _responsibilities(sign=1, spread=1, plug_in=False):
    """The log-odds of two components, from their shares u₁/(u₁ + u₂) of u = exp E."""
    x, first, second = two_components()
    total = first[-1] + second[-1]
    true = [mean_log_joint(x, *c, total) for c in (first, second)]
    used = [mean_log_joint(x, *c, total, spread, plug_in) for c in (first, second)]
    u, v = positive("u v")
    odds = sp.log(u / (u + v)) - sp.log(v / (u + v))
    return Equal(
        [(odds, sp.log(u) - sp.log(v)), (true[0] - true[1], sign * (used[0] - used[1]))]
    )


def _right_of_responsibilities():
    x, first, second = two_components()
    total = first[-1] + second[-1]
    one, two = (mean_log_joint(x, *c, total) for c in (first, second))
    return 1 / (1 + sp.exp(two - one))


NORMAL_WISHART: list[Identity] = [
    Identity(
        label="eq-mixture-normaliser",
        statement=r"""\begin{aligned}
\log Z(q) = {} & \sum_k \log \Gamma(\alpha_k) - \log \Gamma\Bigl(\sum_k \alpha_k\Bigr)
+ \sum_k \Bigl[ \tfrac{P}{2} \log \frac{2\pi}{\beta_k} \\
& + \tfrac12 \nu_k \bigl( P \log 2 + \log\det W_k \bigr)
+ \tfrac14 P (P - 1) \log \pi \\
& + \sum_{i=1}^{P} \log \Gamma\Bigl(\frac{\nu_k + 1 - i}{2}\Bigr) \Bigr]
\end{aligned}""",
        claim=_normaliser,
        wrong={
            "the power of two forgotten": {"two": 0},
            "Γ in place of the multivariate Γ": {"multivariate": False},
            "the power of β": {"beta": -1},
        },
        assumptions="α, β > 0, ν > P − 1, W positive definite",
        scope="Beta(2, 3), Beta(1, 4); P = 1 in general; P = 2 with W = I, ν = 3, 5",
        computes="meanfield.log_normaliser",
        value=_right_of_normaliser,
        reference="bishop2006",
    ),
    Identity(
        label="eq-wishart-log-det",
        statement=r"""\E_q[\log\det\Lambda_k] = P \log 2 + \log\det W_k
+ \sum_{i=1}^{P} \psi\Bigl(\frac{\nu_k + 1 - i}{2}\Bigr)""",
        claim=_log_det,
        wrong={
            "the same ν in each term": {"step": 0},
            "log 2 forgotten": {"two": 0},
            "W upside down": {"sign": -1},
        },
        assumptions="ν > P − 1, W positive definite; ψ is the derivative of log Γ",
        scope="P = 1, 2, 3, from Bartlett's theorem",
        computes="meanfield.expected_log_det",
        value=lambda: _log_det().cases[1][1],
        reference="bishop2006",
    ),
    Identity(
        label="eq-expected-log-joint",
        statement=r"""\begin{aligned}
& \E_q\bigl[\log \pi_k + \log \N(x; \mu_k, \Lambda_k^{-1})\bigr]
= \psi(\alpha_k) - \psi\Bigl(\sum_j \alpha_j\Bigr) \\
& \quad + \tfrac12 \E_q[\log\det\Lambda_k] - \tfrac{P}{2} \log 2\pi
- \frac{P}{2 \beta_k} - \tfrac12 \nu_k (x - m_k)^\top W_k (x - m_k)
\end{aligned}""",
        claim=_expected_log_joint,
        wrong={
            "as if μ were known": {"spread": 0},
            "the sign of P/2β": {"spread": -1},
            "the log of the mean precision": {"plug_in": True},
            "2ν in place of ν": {"dof": 2},
        },
        assumptions="q(π) Dirichlet, q(μ, Λ) Normal–Wishart",
        scope="all of it for P = 1; the square for P = 2, by Bartlett's theorem",
        computes="meanfield.expected_log_joint",
        reference="bishop2006",
    ),
    Identity(
        label="eq-responsibilities",
        statement=r"""r_{nk} = \frac
{\exp \E_q[\log \pi_k + \log \N(x_n; \mu_k, \Lambda_k^{-1})]}
{\sum_j \exp \E_q[\log \pi_j + \log \N(x_n; \mu_j, \Lambda_j^{-1})]}""",
        claim=_responsibilities,
        wrong={
            "exchanged components": {"sign": -1},
            "as if μ were known": {"spread": 0},
            "the log of the mean precision": {"plug_in": True},
        },
        assumptions="q(π, μ, Λ) fixed; the best q(z) by the coordinate update",
        scope="two components, P = 1, by their log-odds",
        computes="meanfield.responsibilities",
        value=_right_of_responsibilities,
        reference="bishop2006",
    ),
]
