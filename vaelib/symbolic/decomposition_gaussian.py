"""The Gaussian identities of the chapter *The KL decomposition*.

Expectations are taken of log-densities, by moments; no formula for a Gaussian's
divergence is assumed.
"""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import log_normal, normal_mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, All, AtLeast, Equal, Term

HALF = sp.Rational(1, 2)


def _log_normal(z, loc, precision):
    """log N(z; loc, precision⁻¹) for a symmetric matrix `precision`."""
    d = z - loc
    det = precision.det()
    constant = (sp.log(det) - len(z) * sp.log(2 * sp.pi)) / 2
    return constant - HALF * (d.T * precision * d)[0]


def _factorised(z, locs, scales):
    """log of a product of normals at z."""
    return sum(log_normal(v, a, s) for v, a, s in zip(z, locs, scales, strict=True))


def _expect(f, z, locs, scales):
    """E[f(z)] for independent normals and f a polynomial in each z_i."""
    for v, a, s in zip(z, locs, scales, strict=True):
        f = normal_mean(f, v, a, s)
    return f


def _posterior(precision="noise", covariance="noise"):
    """log p(x|z) + log p(z) − log N(x; 0, WWᵀ + σ²I) = log N(z; M⁻¹Wᵀx, σ²M⁻¹).

    For all x and z; x is measured from μ.
    """
    cases = []
    noise = sp.Symbol("sigma", positive=True)
    for p, d in ((2, 1), (2, 2), (3, 2)):
        w = sp.Matrix(p, d, lambda i, j: sp.Symbol(f"w{i}{j}", real=True))
        x, z = sp.Matrix(real(f"x:{p}")), sp.Matrix(real(f"z:{d}"))
        added = {"noise": noise**2, "one": 1, "none": 0}[precision]
        m = w.T * w + added * sp.eye(d)
        divisor = {"noise": noise**2, "one": 1}[covariance]
        loc = (m.adjugate() * w.T * x) / m.det()
        posterior = _log_normal(z, loc, m / divisor)
        c = w * w.T + noise**2 * sp.eye(p)
        det = c.det(method="berkowitz")
        evidence = -HALF * ((x.T * c.adjugate() * x)[0] / det + sp.log(det))
        evidence -= p * sp.log(2 * sp.pi) / 2
        joint = _factorised(x, w * z, [noise] * p) + _factorised(z, [0] * d, [1] * d)
        cases.append((joint - evidence, posterior))
    return Equal(cases)


def _mean_field_gap(scales="precision", sign=1, factor=1):
    """The minimum of KL(factorised ‖ N(0, Λ⁻¹)) and the minimiser, Λ = LLᵀ.

    The divergence of any factorised normal is found from the two log-densities first.
    """
    equal, at_least, certificates = [], [], []
    for d in (2, 3):
        lower = sp.zeros(d, d)
        for i in range(d):
            lower[i, i] = sp.Symbol(f"l{i}{i}", positive=True)
            for j in range(i):
                lower[i, j] = sp.Symbol(f"l{i}{j}", real=True)
        precision = lower * lower.T
        log_det = 2 * sum(sp.log(v) for v in lower.diagonal())
        z, locs, sds = real(f"z:{d}"), real(f"m:{d}"), positive(f"s:{d}")
        across = lower.T * sp.Matrix(locs)
        variances = [s**2 for s in sds]
        divergence = -log_det / 2 - sp.Rational(d, 2)
        for i, v in enumerate(variances):
            divergence += (v * precision[i, i] + across[i] ** 2 - sp.log(v)) / 2
        square = sum(a**2 for a in lower.T * sp.Matrix(z))
        log_p = (log_det - d * sp.log(2 * sp.pi) - square) / 2
        log_ratio = _factorised(z, locs, sds) - log_p
        logs = sum(sp.log(precision[i, i]) for i in range(d))
        least = sign * factor * HALF * (logs - log_det)
        best = [1 / precision[i, i] for i in range(d)]
        if scales == "marginal":
            best = (lower.inv().T * lower.inv()).diagonal()
        at_best = dict.fromkeys(locs, 0) | {
            s: sp.sqrt(v) for s, v in zip(sds, best, strict=True)
        }
        equal.append((divergence.subs(at_best), least))
        equal.append((_expect(log_ratio, z, locs, sds), divergence))
        at_least.append((divergence, least))
        certificates.append(
            [
                Term(HALF, LOG_TANGENT, v * precision[i, i])
                for i, v in enumerate(variances)
            ]
            + [Term(HALF, SQUARE, a) for a in across]
        )
    equal.append(_correlated_plane(sign * factor))
    return All([Equal(equal), AtLeast(at_least, certificates)])


def _correlated_plane(factor):
    """The value in two dimensions by the correlation, which is (a − b)/(a + b)."""
    a, b = positive("a b")
    rho, (s, t) = (a - b) / (a + b), positive("sd:2")
    cov = sp.Matrix([[s**2, rho * s * t], [rho * s * t, t**2]])
    lam = (cov.adjugate() / cov.det()).applyfunc(sp.cancel)
    value = (sp.log(lam[0, 0]) + sp.log(lam[1, 1]) - sp.log(sp.cancel(lam.det()))) / 2
    return value, -factor * sp.log(sp.factor(1 - rho**2)) / 2


def _two_causes_value(t, v, sigma):
    return -sp.log(2 * sp.pi * sigma**2) / 2 - v / (2 * (1 + 2 * t)) - sp.log(1 + t)


def _two_causes_bound(causes=2, gap=True, sign=-1):
    """max over factorised q of the ELBO of x = θ(z₁ + z₂) + σε; linear in x²."""
    theta, sigma, s1, s2 = positive("theta sigma s1 s2")
    x, m1, m2, z1, z2 = real("x m1 m2 z1 z2")
    t, v = (theta / sigma) ** 2, (x / sigma) ** 2
    z = (z1, z2)
    joint = log_normal(x, theta * (z1 + z2), sigma) + _factorised(z, (0, 0), (1, 1))

    def elbo(locs, sds):
        return _expect(joint - _factorised(z, locs, sds), z, locs, sds)

    value = -sp.log(2 * sp.pi * sigma**2) / 2 + sign * v / (2 * (1 + causes * t))
    value -= sp.log(1 + t) if gap else sp.log(1 + 2 * t) / 2
    best = theta * x / (sigma**2 + 2 * theta**2)
    sd = 1 / sp.sqrt(1 + t)
    d1, d2 = m1 - best, m2 - best
    terms = [Term(HALF, LOG_TANGENT, scale**2 * (1 + t)) for scale in (s1, s2)]
    terms += [Term(HALF, SQUARE, d) for d in (d1, d2)] + [Term(t / 2, SQUARE, d1 + d2)]
    lower = value - sum(term.expression() for term in terms)
    cases = [
        (elbo((best, best), (sd, sd)), value),
        (elbo((m1, m2), (s1, s2)), lower),
    ]
    return All([Equal(cases), AtLeast([(value, lower)], [terms])])


def _two_causes_maximisers(same=False, one=False, root=1):
    """Both maximisers over t = θ²/σ², as certificates that nothing is higher."""
    t, h, k = positive("t h k")  # h: the bound's maximiser, k: the evidence's
    v_bound, v_evidence = (1 + 2 * h) ** 2 / (1 + h), 1 + 2 * k

    def likelihood(v):
        return (v - 1) / (1 if one else 2)

    def bound(v):
        if same:
            return (v - 1) / 2
        return (v - 4 + root * sp.sqrt(sp.factor(v**2 + 8 * v))) / 8

    def evidence(t, v):
        return -sp.log(1 + 2 * t) / 2 - v / (2 * (1 + 2 * t))

    sigma = 1 / sp.sqrt(2 * sp.pi)
    values = [
        (evidence(k, v_evidence), evidence(t, v_evidence)),
        (_two_causes_value(h, v_bound, sigma), _two_causes_value(t, v_bound, sigma)),
    ]
    certificates = [
        [Term(HALF, LOG_TANGENT, (1 + 2 * k) / (1 + 2 * t))],
        [
            Term(sp.Integer(1), LOG_TANGENT, (1 + h) / (1 + t)),
            Term(1 / ((1 + 2 * t) * (1 + h) * (1 + t)), SQUARE, h - t),
        ],
    ]
    solved = Equal([(k, likelihood(v_evidence)), (h, bound(v_bound))])
    return All([solved, AtLeast(values, certificates)])


GAUSSIAN: list[Identity] = [
    Identity(
        label="eq-linear-gaussian-posterior",
        statement=r"""\begin{aligned}
p_\theta(z|x) &= \N\bigl(z;\, M^{-1} W^\top (x - \mu),\, \sigma^2 M^{-1}\bigr), \\
M &= W^\top W + \sigma^2 I
\end{aligned}""",
        claim=_posterior,
        wrong={
            "one in place of the noise's variance": {"precision": "one"},
            "the prior's precision forgotten": {"precision": "none"},
            "the covariance without the noise": {"covariance": "one"},
        },
        assumptions="z ~ N(0, I), x|z ~ N(Wz + μ, σ²I), σ > 0",
        scope="all W, σ, x − μ and z in P×D = 2×1, 2×2 and 3×2",
        computes="models.LinearGaussian.posterior",
        reference="tipping1999",
    ),
    Identity(
        label="eq-mean-field-gap",
        statement=r"""\begin{aligned}
& \min_{m, s} \KL{\textstyle\prod_i \N(z_i; m_i, s_i^2)}{\N(z; \mu, \Lambda^{-1})} \\
& \qquad = \tfrac12 \textstyle\sum_i \log \Lambda_{ii} - \tfrac12 \log\det\Lambda
\end{aligned}""",
        claim=_mean_field_gap,
        wrong={
            "the marginal variances as the minimiser": {"scales": "marginal"},
            "the sign": {"sign": -1},
            "the one half dropped": {"factor": 2},
        },
        assumptions="Λ positive definite",
        scope="all Λ and z − μ in 2 and 3 dimensions; for 2 also −½ log(1 − ρ²)",
        computes="divergences.kl",
        reference="bishop2006",
    ),
    Identity(
        label="eq-two-causes-bound",
        statement=r"""\begin{aligned}
& \max_{q_1, \dots, q_N} \frac1N \sum_n \ELBO(\theta, q_n; x_n) \\
& \qquad = -\tfrac12 \log(2\pi\sigma^2) - \frac{v}{2(1 + 2t)} - \log(1 + t)
\end{aligned}""",
        claim=_two_causes_bound,
        wrong={
            "the residual left out": {"gap": False},
            "one cause in place of two": {"causes": 1},
            "the sign of the quadratic term": {"sign": 1},
        },
        assumptions="x = θ(z₁ + z₂) + σε; each q_n a product of two normals",
        scope="one datum; both sides are linear in x², hence the mean",
        computes="bounds.elbo",
    ),
    Identity(
        label="eq-two-causes-maximisers",
        statement=r"""\begin{aligned}
\hat t_{\text{evidence}} &= \frac{v - 1}{2}, \\
\hat t_{\text{bound}} &= \frac{v - 4 + \sqrt{v^2 + 8v}}{8}
\end{aligned}""",
        claim=_two_causes_maximisers,
        wrong={
            "the same maximiser for both": {"same": True},
            "one cause in place of two": {"one": True},
            "the other root": {"root": -1},
        },
        assumptions="v > 1; for v ≤ 1 both are zero",
    ),
]
