"""The linear-Gaussian identities of the chapter *A bad bound*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import log_normal, normal_mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.ppca import PPCA
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, All, AtLeast, Equal, Term


def _linear_gaussian(p, d):
    x, mu = real(f"x1:{p + 1}"), real(f"m1:{p + 1}")
    weight = sp.Matrix(p, d, lambda i, j: sp.Symbol(f"w{i + 1}{j + 1}", real=True))
    z = real(f"z1:{d + 1}")
    (sigma,) = positive("s")
    loc = weight * sp.Matrix(z)
    log_lik = sum(log_normal(x[i], loc[i] + mu[i], sigma) for i in range(p))
    for latent in z:
        log_lik = normal_mean(log_lik, latent, 0, 1)
    return log_lik, x, mu, weight, sigma


def _bad_linear_gaussian(norm=1, half=2):
    """E_{p(z)}[log N(x; Wz + μ, σ²I)] in closed form."""
    cases = []
    for p, d in ((2, 2), (1, 1), (3, 1), (1, 3)):
        left, x, mu, weight, sigma = _linear_gaussian(p, d)
        square = sum((a - b) ** 2 for a, b in zip(x, mu, strict=True))
        square += norm * sum(w**2 for w in weight)
        right = -sp.Rational(p, 2) * sp.log(2 * sp.pi * sigma**2)
        cases.append((left, right - square / (half * sigma**2)))
    return Equal(cases)


def _collapse(reverse=False, strict=False):
    """B(0, μ, σ) ≥ B(W, μ, σ): the difference is ‖W‖² / 2σ², whatever the datum."""
    cases, certificates = [], []
    for p, d in ((2, 2), (1, 1), (3, 1), (1, 3)):
        bound, _, _, weight, sigma = _linear_gaussian(p, d)
        zero = bound.subs({w: 0 for w in weight})
        cases.append((bound, zero) if reverse else (zero, bound))
        certificates.append([Term(1 / (2 * sigma**2), SQUARE, w) for w in weight])
    nothing = {w: 0 for w in _linear_gaussian(2, 2)[3]} | {positive("s")[0]: 1}
    return AtLeast(cases, certificates, strict=strict, points=[nothing])


def _bad_maximum(divisor=0, about="mean"):
    """With W = 0 the best μ is the mean and the best σ² the mean variance v of a pixel.

    First the average of ‖x − μ‖² splits into P v and ‖mean − μ‖²; then −½P log σ² −
    (P v + ‖mean − μ‖²) / 2σ² is largest at μ = mean and σ² = v.
    """
    split, best, certificates = [], [], []
    for n, p in ((2, 1), (3, 1), (2, 2)):
        x = sp.Matrix(n, p, lambda i, j: sp.Symbol(f"x{i + 1}{j + 1}", real=True))
        mu, (s, v) = sp.Matrix([real(f"m1:{p + 1}")]), positive("s v")
        centre = sp.ones(1, n) * x / n if about == "mean" else x[0, :]
        square = sum((x[i, j] - mu[j]) ** 2 for i in range(n) for j in range(p)) / n
        inner = sum((x[i, j] - centre[j]) ** 2 for i in range(n) for j in range(p))
        shifts = list(centre - mu)
        split.append((square, inner / (n - divisor) + sum(d**2 for d in shifts)))
        top = -sp.Rational(p, 2) * (sp.log(2 * sp.pi * v) + 1)
        spread = (p * v + sum(d**2 for d in shifts)) / (2 * s**2)
        best.append((top, -sp.Rational(p, 2) * sp.log(2 * sp.pi * s**2) - spread))
        terms = [Term(sp.Rational(p, 2), LOG_TANGENT, v / s**2)]
        certificates.append(
            terms + [Term(1 / (2 * s**2), SQUARE, shift) for shift in shifts]
        )
    return All([Equal(split), AtLeast(best, certificates)])


def _scalar_kl(reverse=False):
    """KL(p(x) p(z) ‖ p(x, z)), or the reverse, of x = az + σε: the integrand's mean."""
    a, x, z, e = real("a x z e")
    (sigma,) = positive("s")
    total = sp.sqrt(a**2 + sigma**2)
    log_ratio = log_normal(x, 0, total) - log_normal(x, a * z, sigma)
    if reverse:  # x and z from the joint
        inside = normal_mean(-log_ratio.subs(x, a * z + sigma * e), e, 0, 1)
    else:  # x and z independent
        inside = normal_mean(log_ratio, x, 0, total)
    return normal_mean(sp.expand(inside), z, 0, 1), a**2 / sigma**2


def _lautum_gaussian(sign=-1, half=2, forward=True):
    """L = ρ − ½ log(1 + ρ)."""
    left, rho = _scalar_kl(reverse=not forward)
    return Equal([(left, rho + sign * sp.log(1 + rho) / half)])


def _mutual_gaussian(half=2, squared=False):
    """I = ½ log(1 + ρ)."""
    left, rho = _scalar_kl(reverse=True)
    return Equal([(left, sp.log(1 + (rho**2 if squared else rho)) / half)])


def _sum_gaussian(factor=1, sign=1):
    """L + I = ρ."""
    (lautum, rho), (mutual, _) = _scalar_kl(), _scalar_kl(reverse=True)
    return Equal([(lautum + sign * mutual, factor * rho)])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-bad-linear-gaussian",
        statement=r"\mathcal{B}(W, \mu, \sigma; x) = -\frac{P}{2} \log 2\pi\sigma^2 "
        r"- \frac{\|x - \mu\|^2 + \|W\|_F^2}{2 \sigma^2}",
        claim=_bad_linear_gaussian,
        wrong={
            "the sign of the norm of W": {"norm": -1},
            "the norm of W left out": {"norm": 0},
            "the two left out of the denominator": {"half": 1},
        },
        assumptions="z ~ N(0, I), x|z ~ N(Wz + μ, σ²I)",
        scope="symbolic W, μ, σ and x with (P, D) = (2, 2), (1, 1), (3, 1), (1, 3)",
        computes="bounds.elbo",
    ),
    Identity(
        label="eq-bad-collapse",
        statement=r"\mathcal{B}(0, \mu, \sigma; x) \;\ge\; "
        r"\mathcal{B}(W, \mu, \sigma; x)",
        claim=_collapse,
        wrong={
            "the inequality reversed": {"reverse": True},
            "strictly greater, also at W = 0": {"strict": True},
        },
        assumptions="z ~ N(0, I), x|z ~ N(Wz + μ, σ²I); any x, μ and σ > 0",
        scope="symbolic W, μ, σ and x with (P, D) = (2, 2), (1, 1), (3, 1), (1, 3)",
    ),
    Identity(
        label="eq-bad-maximum",
        statement=r"\begin{aligned} \max_{W, \mu, \sigma} \frac1N \sum_{n=1}^N "
        r"\mathcal{B}(W, \mu, \sigma; x_n) "
        r"&= -\frac{P}{2} \left( \log 2\pi \hat{v} + 1 \right), \\ "
        r"\hat{v} &= \frac{1}{NP} \sum_{n=1}^N \|x_n - \bar{x}\|^2 \end{aligned}",
        claim=_bad_maximum,
        wrong={
            "N − 1 in place of N": {"divisor": 1},
            "spread about the first datum": {"about": "first"},
        },
        assumptions="W = 0, which eq-bad-collapse gives; v̂ > 0",
        scope="symbolic data with (N, P) = (2, 1), (3, 1), (2, 2)",
    ),
    PPCA,
    Identity(
        label="eq-lautum-linear-gaussian",
        statement=r"L(x; z) = \rho - \tfrac12 \log(1 + \rho), "
        r"\qquad \rho = \frac{a^2}{\sigma^2}",
        claim=_lautum_gaussian,
        wrong={
            "a plus before the logarithm": {"sign": 1},
            "the one half left out": {"half": 1},
            "mutual information instead": {"forward": False},
        },
        assumptions="z ~ N(0, 1), x|z ~ N(az, σ²)",
        computes="divergences.lautum_information",
    ),
    Identity(
        label="eq-information-linear-gaussian",
        statement=r"I(x; z) = \tfrac12 \log(1 + \rho)",
        claim=_mutual_gaussian,
        wrong={
            "the one half left out": {"half": 1},
            "ρ squared": {"squared": True},
        },
        assumptions="z ~ N(0, 1), x|z ~ N(az, σ²)",
        computes="divergences.mutual_information",
        reference="cover2006",
    ),
    Identity(
        label="eq-sum-linear-gaussian",
        statement=r"L(x; z) + I(x; z) = \rho",
        claim=_sum_gaussian,
        wrong={
            "the difference of the two": {"sign": -1},
            "half of ρ": {"factor": sp.Rational(1, 2)},
        },
        assumptions="z ~ N(0, 1), x|z ~ N(az, σ²)",
    ),
]
