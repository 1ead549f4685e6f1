"""The identities of the chapter *Posterior collapse*: β, rates and free bits.

One eigenvector of the data at a time. Along it the data have variance λ, the decoder is
w, and the guide is N(v x, s²).
"""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import log_normal, normal_mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, All, AtLeast, Equal, Term

HALF = sp.Rational(1, 2)


def error(value, w, v, s):
    """E[(x − wz)²] for x of variance `value` and z ~ N(vx, s²)."""
    x, z = real("x z")
    return normal_mean(normal_mean((x - w * z) ** 2, z, v * x, s), x, 0, sp.sqrt(value))


def rate(value, v, s):
    """The average of KL(N(vx, s²) ‖ N(0, 1))."""
    x, z = real("x z")
    gain = log_normal(z, v * x, s) - log_normal(z, 0, 1)
    return normal_mean(normal_mean(gain, z, v * x, s), x, 0, sp.sqrt(value))


def _beta_scale(power=1, inside=True):
    """ELBO_β with noise σ² is β times the ELBO with noise βσ², and a constant."""
    beta, sigma, divergence = positive("beta sigma kl")
    cases = []
    for dim in (2, 1, 3):
        pairs = list(zip(real(f"x1:{dim + 1}"), real(f"m1:{dim + 1}"), strict=True))
        left = sum(log_normal(x, m, sigma) for x, m in pairs) - beta * divergence
        wide = sigma * sp.sqrt(beta) ** power
        elbo = sum(log_normal(x, m, wide) for x, m in pairs) - divergence
        two_pi = 2 * sp.pi * sigma**2
        shift = beta * sp.log(beta * two_pi if inside else two_pi) - sp.log(two_pi)
        cases.append((left, beta * elbo + sp.Rational(dim, 2) * shift))
    return Equal(cases)


def _beta_optimum(level="beta", decoder="noise"):
    """The claimed w, v, s against all others, by squares and tangents."""
    beta, s2, e, s = positive("b s2 e s")
    w, v = real("w v")
    tau = {"beta": beta * s2, "one": s2}[level]
    cases, certificates, points = [], [], []
    for active in (True, False):
        value = tau + e if active else sp.Symbol("l", positive=True)
        base = tau if active else value + e  # the level βσ²
        noise = s2 if active else base / beta
        if level == "one" and not active:
            continue
        best_w = {"noise": sp.sqrt(e), "none": sp.sqrt(value)}[decoder] if active else 0

        def objective(w, v, s, value=value, noise=noise):
            reconstruction = error(value, w, v, s) / (2 * noise)
            return -reconstruction - beta * rate(value, v, s)

        m_best = best_w**2 + beta * noise
        top = objective(best_w, best_w / m_best, sp.sqrt(beta * noise / m_best))
        m = w**2 + beta * noise
        terms = [
            Term(value * m / (2 * noise), SQUARE, v - w / m),
            Term(beta / 2, LOG_TANGENT, s**2 * m / (beta * noise)),
        ]
        if active:
            terms.append(Term(beta / 2, LOG_TANGENT, value / m))
        else:
            terms.append(Term(beta / 2, LOG_TANGENT, base / m))
            terms.append(Term(beta * e / (2 * base * m), SQUARE, w))
        cases.append((top, objective(w, v, s)))
        certificates.append(terms)
        points.append({w: sp.sqrt(e), v: 0, s: 1})
    return AtLeast(cases, certificates)


def _water(half=HALF, level="beta", swapped=False):
    """Rate and squared error at the optimum of `eq-beta-optimum`."""
    beta, s2, e = positive("b s2 e")
    tau = beta * s2
    claimed = tau if level == "beta" else s2
    value = tau + e
    w, v, s = sp.sqrt(e), sp.sqrt(e) / value, sp.sqrt(tau / value)
    kept = value if swapped else claimed
    cases = [
        (rate(value, v, s), half * sp.log(value / claimed)),
        (error(value, w, v, s), kept),
    ]
    small = sp.Symbol("l", positive=True)
    cases += [(rate(small, 0, 1), 0), (error(small, 0, 0, 1), small)]
    return Equal(cases)


def _slope(factor=1, sign=-1):
    """d(E/2σ²)/dR = −β along the curve, by the chain rule in β."""
    beta, s2 = positive("b s2")
    cases = []
    for dim, kept in ((2, 1), (3, 2), (3, 3)):
        values = positive(f"l1:{dim + 1}")
        rate = sum(sp.log(x / (beta * s2)) / 2 for x in values[:kept])
        error = sum([beta * s2] * kept + values[kept:])
        nats = sp.Rational(dim, 2) * sp.log(2 * sp.pi * s2) + error / (2 * s2)
        slope = sp.diff(nats, beta) / sp.diff(rate, beta)
        cases.append((slope, sign * beta * factor))
    return Equal(cases)


def _shannon(half=HALF, reverse=False):
    """Average rate ≥ ½ log(λ / error), for every decoder and encoder."""
    value, s = positive("l s")
    w, v = real("w v")
    nats, total = rate(value, v, s), v**2 * value + s**2  # and the variance of z
    least = value * s**2 / total  # the error of the best w, which is λv / total
    missed = least + total * (w - value * v / total) ** 2
    ratio = least / missed
    terms = [
        Term(HALF, LOG_TANGENT, total),
        Term(HALF, LOG_TANGENT, ratio),
        Term(total / (2 * missed), SQUARE, w - value * v / total),
    ]
    right = half * sp.log(value / missed)
    bound = AtLeast([(right, nats) if reverse else (nats, right)], [terms])
    return All([bound, Equal([(error(value, w, v, s), missed)])])


def _learned_scale(beta_counts=True, divided=True):
    """The best noise while k directions are kept: one tangent term for any other."""
    cases, certificates, (e, s2) = [], [], positive("e s2")
    for pixels, kept in ((2, 1), (3, 1), (3, 2)):
        beta = (pixels - e) / kept  # so that P − kβ = e > 0
        values = positive(f"l1:{pixels + 1}")
        rest = sum(values[kept:])
        divisor = e if beta_counts else pixels - kept
        best = rest / divisor if divided else rest

        def objective(noise, values=values, kept=kept, beta=beta):
            value = -sp.Rational(len(values), 2) * sp.log(2 * sp.pi * noise)
            for x in values[:kept]:  # error and rate by eq-water-filling
                value -= beta / 2 + beta * sp.log(x / noise) / 2
                value += beta * sp.log(beta) / 2
            return value - sum(values[kept:]) / (2 * noise)

        cases.append((objective(best), objective(s2)))
        certificates.append([Term(e / 2, LOG_TANGENT, rest / (e * s2))])
    return AtLeast(cases, certificates, domain={e: (0, 2)})


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-beta-scale",
        statement=r"\ELBO_\beta(\theta, q; x) \big|_{\sigma^2} = "
        r"\beta \ELBO(\theta, q; x) \big|_{\beta \sigma^2} + \frac P2 "
        r"\bigl( \beta \log 2 \pi \beta \sigma^2 - \log 2 \pi \sigma^2 \bigr)",
        claim=_beta_scale,
        wrong={
            "the noise divided by β": {"power": -1},
            "β left out of the constant": {"inside": False},
        },
        assumptions="p(x|z) = N(x; m(z), σ²I) for any decoder m; β > 0",
        scope="P = 1, 2, 3, pointwise in z",
        computes="bounds.elbo_from_kl",
    ),
    Identity(
        label="eq-beta-optimum",
        statement=r"w^2 = \max(\lambda - \beta \sigma^2, 0), \qquad "
        r"v = \frac{w}{w^2 + \beta \sigma^2}, \qquad "
        r"s^2 = \frac{\beta \sigma^2}{w^2 + \beta \sigma^2}",
        claim=_beta_optimum,
        wrong={
            "β left out of the threshold": {"level": "one"},
            "the noise not taken off": {"decoder": "none"},
        },
        assumptions="one direction with eigenvalue λ > 0; β, σ > 0",
        reference="lucas2019",
    ),
    Identity(
        label="eq-water-filling",
        statement=r"R_j = \frac12 \max\Bigl( \log \frac{\lambda_j}{\beta \sigma^2}, "
        r"0 \Bigr), \qquad E_j = \min( \lambda_j, \beta \sigma^2 )",
        claim=_water,
        wrong={
            "without the one half": {"half": 1},
            "σ² for βσ²": {"level": "one"},
            "the eigenvalue for its noise": {"swapped": True},
        },
        assumptions="at the optimum of eq-beta-optimum",
        computes="divergences.kl",
        reference="cover2006",
    ),
    Identity(
        label="eq-rate-slope",
        statement=r"\frac{\dd\, (E / 2 \sigma^2)}{\dd R} = -\beta",
        claim=_slope,
        wrong={
            "the sign": {"sign": 1},
            "one half of β": {"factor": HALF},
        },
        assumptions="σ fixed, β between two thresholds, so that the same directions "
        "are active",
        scope="(P, D) = (2, 1), (3, 2), (3, 3)",
        reference="alemi2018",
    ),
    Identity(
        label="eq-rate-distortion",
        statement=r"R \ge \frac12 \log \frac{\lambda}{E}",
        claim=_shannon,
        wrong={
            "without the one half": {"half": 1},
            "the inequality reversed": {"reverse": True},
        },
        assumptions="one direction with variance λ; any w, v and s > 0",
        reference="cover2006",
    ),
    Identity(
        label="eq-beta-learned-scale",
        statement=r"\hat\sigma^2 = \frac{1}{P - k \beta} \sum_{j > k} \lambda_j",
        claim=_learned_scale,
        wrong={
            "as if β were one": {"beta_counts": False},
            "not divided": {"divided": False},
        },
        assumptions="the k directions above βσ² are active; kβ < P",
        scope="(P, k) = (2, 1), (3, 1), (3, 2)",
    ),
]
