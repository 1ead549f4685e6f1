"""The identities of *Tighter bounds* on Rényi bounds."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import (
    kl,
    log_normal,
    mean,
    positive,
    probabilities,
    real,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import (
    LOG_TANGENT,
    All,
    AtLeast,
    ConstantInZ,
    Equal,
    Term,
)
from vaelib.symbolic.tighter_bounds_upper import finite

HALF = sp.Rational(1, 2)


def _residual(swapped=False, sign=1, order="1 - alpha"):
    """log p(x) − R_α = D_α(q ‖ p(z|x)), where p(z|x) / q(z|x) = w / p(x)."""
    alpha, log_p = real("alpha log_p")
    exponent, cases = sp.sympify(order, {"alpha": alpha}), []
    for states in (2, 3, 4):
        q, log_w = probabilities("q", states), real(f"l1:{states + 1}")
        moment = mean(q, [sp.exp(exponent * a) for a in log_w])
        ratios = [a - log_p for a in log_w]
        if swapped:
            q = [p * sp.exp(a) for p, a in zip(q, ratios, strict=True)]
            ratios = [-a for a in ratios]
        divergence = sp.log(mean(q, [sp.exp((1 - alpha) * a) for a in ratios]))
        divergence = sign * divergence / (alpha - 1)
        cases.append((log_p - sp.log(moment) / (1 - alpha), divergence))
    return Equal(cases)


def _residual_value():
    """R_α itself, of order between 0 and 1."""
    evidence, _, q, w = finite(2)
    (a,) = positive("a")
    return (1 + a) * sp.log(mean(q, [v ** (1 / (1 + a)) for v in w]))


def _slope(power=2, sign=-1, swapped=False, target="alpha"):
    """dR_α/dα = −KL(q_α ‖ q) / (1 − α)², which is never positive."""
    (t,) = real("t")  # 1 − α
    equal, least, certificates = [], [], []
    for states in (2, 3):
        q, log_w = probabilities("q", states), real(f"l1:{states + 1}")
        tilted = [p * sp.exp(t * a) for p, a in zip(q, log_w, strict=True)]
        path = [p / sum(tilted) for p in tilted]
        renyi = sp.log(sum(tilted)) / t
        a, b = (q, path) if swapped else (path, q)
        if target == "posterior":
            whole = [p * sp.exp(v) for p, v in zip(q, log_w, strict=True)]
            b = [p / sum(whole) for p in whole]
        equal.append((-sp.diff(renyi, t), sign * kl(a, b) / t**power))
        least.append((kl(path, q), sp.Integer(0)))
        certificates.append(
            [Term(p, LOG_TANGENT, r / p) for p, r in zip(path, q, strict=True)]
        )
    return All([Equal(equal), AtLeast(least, certificates)])


def _gaussian(shift="alpha", spread=1, half=HALF):
    """q w^(1−α) is, for every z, a constant times a normal density."""
    z, d = real("z d")
    k, r = positive("k r")  # k = α + (1 − α) r²
    alpha = (k - r**2) / (1 - r**2)
    first = {"alpha": alpha, "1 - alpha": 1 - alpha}[shift]
    excess = -first * d**2 / (2 * k) + spread * sp.log(r)
    excess -= half * sp.log(k) / (1 - alpha)
    q = log_normal(z, d, r)
    ratio = log_normal(z, sp.Integer(0), sp.Integer(1)) - q
    normal = log_normal(z, alpha * d / k, r / sp.sqrt(k))
    f = (1 - alpha) * ratio + q - normal
    return ConstantInZ(f, z, (1 - alpha) * excess)


def _gaussian_value():
    """The excess for orders between 0.2 and 0.8 and widths between 0.5 and 2."""
    d, a, b = *real("d"), *positive("a b")
    alpha, r = (1 + a) / 5, (1 + b) / 2
    k = alpha + (1 - alpha) * r**2
    return -alpha * d**2 / (2 * k) + sp.log(r) - sp.log(k) / (2 * (1 - alpha))


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-renyi-residual",
        statement=r"""\begin{aligned}
& \log p_\theta(x) - \mathcal{R}_\alpha \\
&\quad = \frac{1}{\alpha - 1}
\log \E_{q}\!\left[ \left( \frac{p_\theta(z|x)}{q(z|x)} \right)^{1-\alpha} \right]
\end{aligned}""",
        claim=_residual,
        wrong={
            "guide and posterior exchanged": {"swapped": True},
            "the sign of the divergence": {"sign": -1},
            "the weight to the power α": {"order": "alpha"},
        },
        assumptions="α ≠ 1; q(z|x) > 0 wherever p(x, z) > 0, and the reverse",
        scope="every order; all probabilities and weights on supports of 2 to 4 states",
        computes="bounds.renyi",
        value=_residual_value,
        reference="li2016",
    ),
    Identity(
        label="eq-renyi-slope",
        statement=r"\frac{\mathrm{d} \mathcal{R}_\alpha}{\mathrm{d} \alpha}"
        r" = - \frac{\KL{q_\alpha}{q}}{(1 - \alpha)^2} \le 0",
        claim=_slope,
        wrong={
            "not squared": {"power": 1},
            "rising": {"sign": 1},
            "the divergence the other way round": {"swapped": True},
            "the divergence from the posterior": {"target": "posterior"},
        },
        assumptions="α ≠ 1; q_α ∝ q w^(1−α); finite moments near α",
        scope="all probabilities and log-weights on supports of 2 and 3 states",
        computes="divergences.kl",
        reference="vanerven2014",
    ),
    Identity(
        label="eq-renyi-gaussian",
        statement=r"""\begin{aligned}
\mathcal{R}_\alpha &= \log p_\theta(x) - \frac{\alpha d^2}{2 k} \\
&\quad + \log r - \frac{\log k}{2 (1 - \alpha)}, \\
k &= \alpha + (1 - \alpha)\, r^2 > 0
\end{aligned}""",
        claim=_gaussian,
        wrong={
            "the shift weighed by 1 − α": {"shift": "1 - alpha"},
            "the width twice": {"spread": 2},
            "the last term without its half": {"half": 1},
        },
        assumptions="p(z|x) = N(μ, σ²) and q = N(μ + dσ, r²σ²); α ≠ 1",
        computes="bounds.renyi",
        value=_gaussian_value,
    ),
]
