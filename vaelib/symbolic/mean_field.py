"""The identities of the chapter *Mean field*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import (
    entropy,
    kl,
    mean,
    normal_mean,
    positive,
    probabilities,
    real,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.mean_field_mixture import MIXTURE
from vaelib.symbolic.mean_field_normal_wishart import NORMAL_WISHART
from vaelib.symbolic.mean_field_stochastic import STOCHASTIC
from vaelib.symbolic.mean_field_update import UPDATE
from vaelib.symbolic.proofs import All, ConstantInZ, Equal, Extremum

DEFINITIONS: dict[str, str] = {
    "eq-factorised": "the mean-field family: a product of one factor for each group",
    "eq-mixture-model": "the Bayesian Gaussian mixture",
    "eq-mixture-guide": "the only assumption of its guide: z apart from the parameters",
}


def _coordinate_update(solution="geometric", kind="maximum"):
    """The best q(z) beside a fixed factor on two states, with weights t and 1 − t.

    r is any density, f any positive function; the joint p(x, z, 2) is chosen so that
    exp E[log p(x, z, ·)] = c r, which makes r and the table p(x, z, j) arbitrary.
    """
    z = sp.Symbol("z", real=True)
    q, c, t = positive("q c t")
    r, f = (sp.Function(name, positive=True)(z) for name in "rf")
    logs = [sp.log(f), (sp.log(c) + sp.log(r) - t * sp.log(f)) / (1 - t)]
    averaged = t * logs[0] + (1 - t) * logs[1]
    claimed = {
        "geometric": r,
        "unnormalised": c * r,
        "arithmetic": t * f + (1 - t) * sp.exp(logs[1]),
        "conditional": f,
    }
    normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    return Extremum(
        integrand=q * (averaged - sp.log(q)),
        q=q,
        z=z,
        solution=claimed[solution],
        densities=[r],
        kind=kind,
        instance={r: normal, f: sp.exp(-((z - 1) ** 2)), t: sp.Rational(1, 3)},
    )


def _coordinate_gain(swapped=False, sign=1, arithmetic=False):
    """ELBO(q₁*, q₂) − ELBO(q₁, q₂) = KL(q₁ ‖ q₁*) for tables of 2×2 and 3×2 states.

    The last column of the joint is such that exp E_q₂[log p(x, i, ·)] is any b_i > 0.
    """
    cases = []
    for n in (2, 3):
        b, q, other = positive(f"b1:{n + 1}"), probabilities("q", n), positive("w1:3")
        weights = [w / sum(other) for w in other]
        first = real(f"l1:{n + 1}")  # log p(x, i, 1)
        table = [
            (a, (sp.log(c) - weights[0] * a) / weights[1])
            for a, c in zip(first, b, strict=True)
        ]
        best = [c / sum(b) for c in b]
        if arithmetic:
            best = [mean(weights, [sp.exp(v) for v in row]) for row in table]
            best = [v / sum(best) for v in best]

        def elbo(p, table=table, weights=weights):
            energy = mean(p, [mean(weights, row) for row in table])
            return energy + entropy(p) + entropy(weights)

        pair = (best, q) if swapped else (q, best)
        cases.append((elbo(best) - elbo(q), sign * kl(*pair)))
    return Equal(cases)


def _gaussian_update(sign=-1, precision="diagonal", weight="precision"):
    """E_{q_−1}[log N(z; μ, Λ⁻¹)] − log q₁*(z₁) is free of z₁, in 2 and 3 dimensions."""
    parts = []
    for d in (2, 3):
        z, mu, m = real(f"z1:{d + 1}"), real(f"u1:{d + 1}"), real(f"m1:{d + 1}")
        sds = positive(f"s1:{d + 1}")
        lam = sp.Matrix(
            d, d, lambda i, j: sp.Symbol(f"a{min(i, j)}{max(i, j)}", real=True)
        )
        first = sp.Symbol("a", positive=True)
        lam[0, 0] = first
        centred = sp.Matrix(z) - sp.Matrix(mu)
        log_p = -(centred.T * lam * centred)[0] / 2
        for i in range(1, d):
            log_p = normal_mean(log_p, z[i], m[i], sds[i])
        divisor = first if weight == "precision" else 1
        shift = sum(lam[0, i] * (m[i] - mu[i]) for i in range(1, d)) / divisor
        variance = 1 / first if precision == "diagonal" else lam.inv()[0, 0]
        best = -((z[0] - mu[0] - sign * shift) ** 2) / (2 * variance)
        f = sp.expand(log_p) - best
        parts.append(ConstantInZ(f, z[0], f.subs(z[0], 0)))
    return All(parts)


def _cavi_rate(power=2, sign=1):
    """One sweep over two coordinates, by the updates, in terms of ρ."""
    rho, start = real("rho start")
    s, t = positive("s t")
    cov = sp.Matrix([[s**2, rho * s * t], [rho * s * t, t**2]])
    lam = (cov.adjugate() / cov.det()).applyfunc(sp.cancel)
    first = -lam[0, 1] / lam[0, 0] * start  # errors m − μ
    second = -lam[1, 0] / lam[1, 1] * first
    return Equal([(second, sign * rho**power * start)], domain={rho: (-1, 1)})


def _symmetrised(sign=1, swapped=False, limit=False):
    """ELBO(q̄) − ELBO(q) for a joint that no relabelling changes.

    Two components and a third state that the exchange leaves alone; and all six orders
    of three components.
    """
    u, v = positive("u v")
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    groups = [((u, u, v), [(0, 1, 2), (1, 0, 2)])]
    groups.append(((u, u, u), orders))
    cases = []
    for joint, group in groups:
        q = probabilities("q", 3)
        copies = [[q[i] for i in g] for g in group]
        average = [sum(column) / len(group) for column in zip(*copies, strict=True)]

        def elbo(p, joint=joint):
            return mean(
                p, [sp.log(j) - sp.log(r) for j, r in zip(joint, p, strict=True)]
            )

        pairs = [(average, c) if swapped else (c, average) for c in copies]
        information = sum(kl(*pair) for pair in pairs) / len(group)
        if limit:
            information = sp.log(len(group))
        cases.append((elbo(average), elbo(q) + sign * information))
    return Equal(cases)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-coordinate-update",
        statement=r"""\argmax_{q_j} \ELBO(\theta, q; x) = \left\{
\frac{\exp \E_{q_{-j}}[\log p_\theta(x, z)]}
{\int \exp \E_{q_{-j}}[\log p_\theta(x, z)] \dd z_j} \right\}""",
        claim=_coordinate_update,
        wrong={
            "the average of p in place of that of log p": {"solution": "arithmetic"},
            "not normalised": {"solution": "unnormalised"},
            "the joint at one value of the others": {"solution": "conditional"},
            "a minimum": {"kind": "minimum"},
        },
        assumptions="p(x, z) > 0; q_j any density, the other factors fixed",
        scope="any density for q_j; the other factors together on two states",
        reference="bishop2006",
    ),
    Identity(
        label="eq-coordinate-gain",
        statement=r"""\ELBO(\theta, q_j^\star q_{-j}; x) - \ELBO(\theta, q_j q_{-j}; x)
= \KL{q_j}{q_j^\star}""",
        claim=_coordinate_gain,
        wrong={
            "the arguments exchanged": {"swapped": True},
            "the sign": {"sign": -1},
            "the average of p in place of that of log p": {"arithmetic": True},
        },
        assumptions="p(x, z) > 0; all factors positive",
        scope="all joints and factors on 2×2 and 3×2 states",
    ),
    Identity(
        label="eq-gaussian-update",
        statement=r"""\begin{aligned}
q_i^\star(z_i) &= \N\bigl(z_i;\, m_i^\star,\, 1 / \Lambda_{ii}\bigr), \\
m_i^\star &= \mu_i - \frac{1}{\Lambda_{ii}} \sum_{j \ne i} \Lambda_{ij} (m_j - \mu_j)
\end{aligned}""",
        claim=_gaussian_update,
        wrong={
            "the sign of the shift": {"sign": 1},
            "the marginal variance": {"precision": "marginal"},
            "not divided by the precision": {"weight": "one"},
        },
        assumptions="p(z|x) = N(z; μ, Λ⁻¹); m_j is the mean of q_j",
        scope="the first coordinate of all Λ in 2 and 3 dimensions",
        reference="bishop2006",
    ),
    Identity(
        label="eq-cavi-rate",
        statement=r"m_2^{(t+1)} - \mu_2 = \rho^2 \bigl( m_2^{(t)} - \mu_2 \bigr)",
        claim=_cavi_rate,
        wrong={
            "ρ in place of ρ²": {"power": 1},
            "ρ⁴ in place of ρ²": {"power": 4},
            "overshooting": {"sign": -1},
        },
        assumptions="p(z|x) a normal of two dimensions with correlation ρ, |ρ| < 1; a "
        "sweep updates coordinate 1, then coordinate 2",
    ),
    *NORMAL_WISHART,
    *UPDATE,
    *MIXTURE,
    *STOCHASTIC,
    Identity(
        label="eq-symmetrised-elbo",
        statement=r"""\ELBO(\bar q) = \ELBO(q)
+ \frac{1}{K!} \sum_\sigma \KL{q_\sigma}{\bar q},
\qquad \bar q = \frac{1}{K!} \sum_\sigma q_\sigma""",
        claim=_symmetrised,
        wrong={
            "the divergences subtracted": {"sign": -1},
            "the arguments exchanged": {"swapped": True},
            "always log K!": {"limit": True},
        },
        assumptions="the joint does not change when the components are relabelled",
        scope="two components with a state that stays, and three components",
    ),
]
