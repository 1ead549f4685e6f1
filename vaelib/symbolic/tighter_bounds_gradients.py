"""The identities of *Tighter bounds* on the gradients of the multi-sample bound."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import log_normal, normal_mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, ConstantInZ, Equal

HALF = sp.Rational(1, 2)


def _encoder(width=1, moment="second", square=2):
    """The limit of K SNR²: leading mean squared over leading variance."""
    z, d = real("z d")
    (k,) = positive("k")  # 2r² − 1
    r2 = (1 + k) / 2
    ratio = log_normal(z, sp.Integer(0), sp.Integer(1)) - log_normal(z, d, sp.sqrt(r2))
    second = r2 / sp.sqrt(k) * sp.exp(d**2 / k)  # 1 + c²
    loc, scale = -d / k, sp.sqrt(r2 / k)
    tilted = 2 * ratio + log_normal(z, d, sp.sqrt(r2)) - log_normal(z, loc, scale)
    mean = -sp.diff(second, d) / 2
    variance = second * normal_mean(z**2, z, loc, scale)
    front = {"second": second, "none": sp.Integer(1), "inverse": 1 / second}[moment]
    claimed = d**square * front / (d**square + width * r2 * k)
    log_second = sp.log(r2) - sp.log(k) / 2 + d**2 / k
    return All(
        [ConstantInZ(tilted, z, log_second), Equal([(mean**2 / variance, claimed)])]
    )


def _gradient(weights="normalised", outer=1):
    """∇ log (1/K) Σ w_k = Σ w̃_k ∇ log w_k, for any weights that depend on t."""
    (t,), cases = real("t"), []
    for size in (1, 2, 3):
        log_w = [sp.Function(f"l{k + 1}", real=True)(t) for k in range(size)]
        if weights != "normalised" or outer != 1:  # concrete ones, to refute
            log_w = [k * t + k**2 for k in range(1, size + 1)]
        w = [sp.exp(a) for a in log_w]
        shares = [v / sum(w) for v in w]
        if weights == "equal":
            shares = [sp.Rational(1, size)] * size
        if weights == "squared":
            shares = [v**2 for v in shares]
        slopes = [sp.diff(a, t) for a in log_w]
        left = sp.diff(sp.log(sum(w) / size), t)
        right = outer * sum(v * g for v, g in zip(shares, slopes, strict=True))
        cases.append((left, right))
    return Equal(cases)


def _dreg(power=2, score=1, weight=None):
    """The two integrands differ by a derivative, that of q w̃ ∂z/∂φ.

    In one latent z of the K, the other weights being fixed: w̃ = W / (W + c). φ is the
    guide's mean, then its scale; inside of W it is held. A concrete W is used only to
    refute.
    """
    z, m = real("z m")
    s, c = positive("s c")
    w = weight(z) if weight else sp.Function("W", positive=True)(z)
    log_q = log_normal(z, m, s)
    q, share = sp.exp(log_q), w / (w + c)
    slope = sp.diff(w, z) / w  # ∂ log w/∂z
    cases = []
    for parameter, velocity in ((m, sp.Integer(1)), (s, (z - m) / s)):
        both = share * slope * velocity - score * share * sp.diff(log_q, parameter)
        claimed = share**power * slope * velocity
        total = sp.diff(share * velocity, z) + share * velocity * sp.diff(log_q, z)
        cases.append((q * (both - claimed), q * total))
    return Equal(cases)


def _two_draws(slope, power):
    """∂/∂m by two draws, for the posterior N(0, 1) and the guide N(m, s²)."""
    m, e1, e2, z = real("m e1 e2 z")
    (s,) = positive("s")
    log_p, log_q = log_normal(z, sp.Integer(0), sp.Integer(1)), log_normal(z, m, s)
    at = [m + s * e for e in (e1, e2)]
    w = [sp.exp((log_p - log_q).subs(z, a)) for a in at]
    slopes = [slope(log_p, log_q, z).subs(z, a) for a in at]
    return sum((v / sum(w)) ** power * g for v, g in zip(w, slopes, strict=True))


def _gradient_value():
    """The density of z = m + s ε at z does not depend on m: only log p(z) moves."""
    return _two_draws(lambda log_p, log_q, z: sp.diff(log_p, z), 1)


def _dreg_value():
    return _two_draws(lambda log_p, log_q, z: sp.diff(log_p - log_q, z), 2)


def _bump(z):
    return sp.exp(z - z**2)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-snr-encoder",
        statement=r"""\sqrt{K}\, \mathrm{SNR}_K \to
|d|\, \sqrt{\frac{1 + c^2}{d^2 + r^2 (2 r^2 - 1)}}""",
        claim=_encoder,
        wrong={
            "without the weights' second moment": {"moment": "none"},
            "divided by the second moment": {"moment": "inverse"},
            "twice the width": {"width": 2},
            "the shift not squared": {"square": 1},
        },
        assumptions="p(z|x) = N(μ, σ²), q = N(μ + dσ, r²σ²), r² > ½; the gradient is "
        "the pathwise one in d",
        scope="the leading terms of mean and variance, squared and divided; that the "
        "others vanish is the delta method, not checked",
        reference="rainforth2018",
    ),
    Identity(
        label="eq-iw-gradient",
        statement=r"""\begin{aligned}
\nabla \log \frac1K \sum_{k=1}^K w_k
&= \sum_{k=1}^K \tilde w_k \nabla \log w_k, \\
\tilde w_k &= \frac{w_k}{\sum_{j=1}^K w_j}
\end{aligned}""",
        claim=_gradient,
        wrong={
            "all weights equal, the gradient of the ELBO": {"weights": "equal"},
            "the weights squared": {"weights": "squared"},
            "the sign": {"outer": -1},
        },
        assumptions="the weights are positive and differentiable",
        scope="any weights, K = 1, 2 and 3",
        computes="estimators.importance_weighted_pathwise",
        value=_gradient_value,
        reference="burda2016",
    ),
    Identity(
        label="eq-dreg",
        statement=r"""\begin{aligned}
& \nabla_\phi \mathcal{L}_K \\
&\quad = \E\!\left[ \sum_{k=1}^K \tilde w_k^2\,
\frac{\partial \log w(z_k)}{\partial z_k}\, \frac{\partial z_k}{\partial \phi} \right]
\end{aligned}""",
        claim=_dreg,
        wrong={
            "the weights not squared": {"power": 1, "weight": _bump},
            "the score's sign": {"score": -1, "weight": _bump},
            "the score forgotten": {"score": 0, "weight": _bump},
        },
        assumptions="z reparameterised; w smooth in z; q w̃ ∂z/∂φ vanishes far out, as "
        "it does for a Gaussian guide",
        scope="any smooth positive weight; mean and scale of a Gaussian guide; one of "
        "the K latents, the others being fixed",
        computes="estimators.doubly_reparameterised",
        value=_dreg_value,
        reference="tucker2019",
    ),
]
