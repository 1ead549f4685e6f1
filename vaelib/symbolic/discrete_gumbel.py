"""The identities of *Discrete latents* on Gumbel noise and the relaxed sample.

Two states are one relaxed number ζ = σ((φ + L)/τ) with logistic noise L. An integral
over L turns into one over ζ. Both integrands are compared point by point; the slope
f′(ζ) there may be any number. The point is ζ = v / (1 + v) with v > 0, and φ = log a.
"""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, ConvexMinimum, Equal, Limit

HALF = sp.Rational(1, 2)


def _gumbel_max(sign=1, scale=1, total="sum"):
    """P(state 1 wins) = e^φ₁ / Σ e^φ, by integration over the winner's noise.

    With t = exp(−g) Gumbel's density is exp(−t) dt. The others, at φ_i + G_i, must stay
    below φ_1 + g: each does so with probability exp(−t a_i / a_1). With the noise's
    sign turned round it is 1 − exp(−t a_i / a_1) for t = exp(g).
    """
    g = sp.Symbol("g", real=True)
    (t,) = positive("t")
    density = sp.diff(sp.exp(-sp.exp(-g)), g)
    cases = [(density.subs(g, -sp.log(t)), sp.exp(-t) * t)]  # dg = −dt / t
    for n in (2, 3, 4):
        a = positive(f"a1:{n + 1}")
        ratios = [w / a[0] for w in a[1:]]
        if sign == 1:
            below = [sp.exp(-t * r) for r in ratios]
        else:
            below = [1 - sp.exp(-t / r) for r in ratios]
        wins = sp.integrate(sp.expand(sp.exp(-t) * sp.prod(below)), (t, 0, sp.oo))
        rest = {"sum": sum(w**scale for w in a), "others": sum(a[1:])}[total]
        cases.append((wins, a[0] ** scale / rest))
    return Equal(cases)


def _logistic(t):
    """λ(t), the logistic density, the derivative of σ."""
    return sp.exp(-t) / (1 + sp.exp(-t)) ** 2


def _relaxed():
    """At the point v: the estimate's factor dζ/dφ, λ(L) dL/dζ, and both λ's."""
    a, tau, v = positive("a tau v")
    phi, noise, u = real("phi L u")
    soft = 1 / (1 + sp.exp(-(phi + noise) / tau))
    place = {noise: tau * sp.log(v) - phi}
    push = sp.simplify(sp.diff(soft, phi).subs(place))  # how φ moves ζ
    dl_dz = tau * (1 + v) ** 2 / v  # L = τ log v − φ, and ζ = v / (1 + v)
    density = _logistic(noise).subs(place)
    here = {phi: sp.log(a)}
    return push.subs(here), dl_dz, density.subs(here), v / (1 + v), tau, v, a


def _here(tau, v, a, shift=-1):
    """λ(τ log(ζ/(1 − ζ)) − φ) at the point."""
    return _logistic(tau * sp.log(v) + shift * sp.log(a))


def _mean(shift=-1, jacobian=True):
    """E[ĝ_τ] as an integral over ζ; and two of these integrals at τ = 1, worked out."""
    push, dl_dz, density, z, tau, v, a = _relaxed()
    slope = sp.Symbol("fprime", real=True)
    inside = _here(tau, v, a, shift) * (1 if jacobian else 1 / (z * (1 - z)))
    found = [
        (sp.diff(integral, v), _here(1, v, a) * z**k / (1 + v) ** 2)
        for k, integral in enumerate(_antiderivatives(v, a))
    ]
    limits = [Limit(f, v, sp.oo, sp.Integer(0)) for f in _antiderivatives(v, a)]
    case = (slope * push * density * dl_dz, slope * inside)
    return All([Equal([case, *found]), *limits])


def _antiderivatives(v, a):
    """Of ζ^k λ(log v − φ) dζ/dv for k = 0 and 1, both zero at v = ∞."""
    log, b = sp.log((v + 1) / (v + a)), a - 1
    zero = (2 * a + (a + 1) * v) / (b**2 * (v + a) * (v + 1)) + (a + 1) / b**3 * log
    top = 5 * a**2 + a + v * (8 * a**2 + 3 * a + 1) + v**2 * (2 * a**2 + 4 * a)
    one = top / (2 * b**3 * (v + a) * (v + 1) ** 2) + a * (a + 2) / b**4 * log
    return a * zero, a * one


def _unit_temperature(hard=False):
    """The integral of f′(ζ) λ(log(ζ/(1 − ζ)) − φ) for f = c₀ζ + c₁ζ²/2, worked out."""
    (a,), c = positive("a"), real("c0 c1")
    plain, weighted = (-f for f in _antiderivatives(sp.Integer(0), a))
    if hard:  # f′(0) = c₀ up to ζ = ½, where v = 1, and f′(1) = c₀ + c₁ above
        return c[0] * plain - c[1] * _antiderivatives(sp.Integer(1), a)[0]
    return c[0] * plain + c[1] * weighted


def _bias(sign=-1, order="slope"):
    """The exact gradient; and the integrand in τ at zero, to first order."""
    tau, c, phi, slope = real("tau c phi fprime")  # c = log(ζ/(1 − ζ))
    inside = slope * _logistic(tau * c - phi)
    kind = {"slope": sp.diff(_logistic(phi), phi), "density": _logistic(phi)}[order]
    first = sp.diff(inside, tau).subs(tau, 0)
    (a,), (zero, one) = positive("a"), real("f0 f1")
    exact = a * sp.diff(mean([1 / (1 + a), a / (1 + a)], [zero, one]), a)
    return Equal(
        [
            (exact, _logistic(sp.log(a)) * (one - zero)),
            (inside.subs(tau, 0), slope * _logistic(phi)),
            (first, sign * slope * kind * c),
        ]
    )


def _second_moment(power=1, weight="ζ(1 − ζ)"):
    """E[ĝ_τ²] as an integral over ζ, and τ times its integrand as τ → 0."""
    push, dl_dz, density, z, tau, v, a = _relaxed()
    slope = sp.Symbol("fprime", real=True)
    inside = {"ζ(1 − ζ)": z * (1 - z), "one": sp.Integer(1)}[weight]
    right = slope**2 * inside / tau**power * _here(tau, v, a)
    b, c = real("b c")
    limit = Limit(_logistic(tau * c - b), tau, sp.Integer(0), _logistic(b))
    return All([Equal([(slope**2 * push**2 * density * dl_dz, right)]), limit])


def _straight_through(rule="ends"):
    """Below ½ the hard sample is 0, above it 1; as τ → 0 each half weighs λ(φ)/2."""
    push, dl_dz, density, _, tau, v, a = _relaxed()
    low, high, c, b = real("low high c b")  # f′(0), f′(1)
    cases = [(s * push * density * dl_dz, s * _here(tau, v, a)) for s in (low, high)]
    x = sp.Symbol("x", real=True)
    halves = [
        sp.integrate(s * _logistic(b), (x, *ends))
        for s, ends in ((low, (0, HALF)), (high, (HALF, 1)))
    ]
    value = {
        "ends": (low + high) / 2,
        "sum": low + high,
        "integral": sp.integrate(low + (high - low) * x**2, (x, 0, 1)),
    }[rule]
    cases.append((sum(halves), _logistic(b) * value))
    limit = Limit(_logistic(tau * c - b), tau, sp.Integer(0), _logistic(b))
    return All([Equal(cases), limit])


def _temperature(root=3, least=3):
    """B²τ² + V/(Sτ) is least at τ*; with V = 2 B² S r³, so that τ* = r."""
    b, r, s, t = positive("B r S t")
    v = 2 * b**2 * s * r**3
    best = sp.root(v / (2 * b**2 * s), root) if root == 3 else r ** sp.Rational(3, root)
    error = b**2 * t**2 + v / (s * t)
    return All(
        [
            Equal(
                [
                    (sp.diff(error, t).subs(t, best), sp.Integer(0)),
                    (error.subs(t, best), least * b**2 * best**2),
                ]
            ),
            ConvexMinimum(error - 3 * b**2 * r**2, t, r),
        ]
    )


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-gumbel-max",
        statement=r"P\big( \phi_k + G_k > \phi_i + G_i \text{ for all } i \ne k \big)"
        r" = \frac{e^{\phi_k}}{\sum_i e^{\phi_i}}",
        claim=_gumbel_max,
        wrong={
            "the noise with the opposite sign": {"sign": -1},
            "the logits halved": {"scale": HALF},
            "the odds for the probability": {"total": "others"},
        },
        assumptions="G_1, …, G_K independent with P(G ≤ g) = exp(−exp(−g))",
        scope="all logits of 2, 3 and 4 states",
        reference="maddison2014",
    ),
    Identity(
        label="eq-gumbel-mean",
        statement=r"\E[\hat g_\tau] = \int_0^1 f'(\zeta)\,"
        r" \lambda\Big( \tau \log\frac{\zeta}{1 - \zeta} - \phi \Big) \dd\zeta",
        claim=_mean,
        wrong={
            "the logit's sign in the noise": {"shift": 1},
            "without the change of variable": {"jacobian": False},
        },
        assumptions="two states, φ = φ_1 − φ_0; f differentiable on [0, 1]; τ > 0",
        scope="the integrands, point by point, for any f",
        computes="estimators.gumbel_softmax",
        value=_unit_temperature,
        reference="jang2017",
    ),
    Identity(
        label="eq-gumbel-bias",
        statement=r"""\begin{aligned}
\E[\hat g_\tau] = \lambda(\phi)\, \big( f(1) - f(0) \big)
&- \tau\, \lambda'(\phi) \int_0^1 f'(\zeta) \log\frac{\zeta}{1 - \zeta} \dd\zeta \\
&+ O(\tau^2)
\end{aligned}""",
        claim=_bias,
        wrong={
            "the first order with the wrong sign": {"sign": 1},
            "the density for its slope": {"order": "density"},
        },
        assumptions="two states; f′ bounded on [0, 1]",
        scope="the integrand's expansion, point by point; its remainder is not checked",
    ),
    Identity(
        label="eq-gumbel-variance",
        statement=r"\E\big[\hat g_\tau^2\big] = \frac1\tau \int_0^1"
        r" f'(\zeta)^2\, \zeta (1 - \zeta)\,"
        r" \lambda\Big( \tau \log\frac{\zeta}{1 - \zeta} - \phi \Big) \dd\zeta",
        claim=_second_moment,
        wrong={
            "growing as 1/τ²": {"power": 2},
            "the slope of the sigmoid forgotten": {"weight": "one"},
        },
        assumptions="two states; f differentiable on [0, 1]; τ > 0",
        scope="the integrands, point by point, for any f",
    ),
    Identity(
        label="eq-gumbel-straight-through",
        statement=r"\lim_{\tau \to 0}\, \E\big[\hat g_{\mathrm{ST}}\big]"
        r" = \lambda(\phi)\, \frac{f'(0) + f'(1)}{2}",
        claim=_straight_through,
        wrong={
            "the difference of f, which is right, for a cubic f": {"rule": "integral"},
            "the slopes added, not averaged": {"rule": "sum"},
        },
        assumptions="two states; the limit may be taken under the integral, λ ≤ 1/4",
        scope="the integrands, point by point, for any slopes f′(0) and f′(1)",
        computes="estimators.gumbel_softmax",
        value=lambda: _unit_temperature(hard=True),
        reference="bengio2013",
    ),
    Identity(
        label="eq-gumbel-temperature",
        statement=r"\tau^\star = \Big( \frac{V}{2 B^2 S} \Big)^{1/3}, \qquad"
        r" \min_\tau \Big( B^2 \tau^2 + \frac{V}{S \tau} \Big) = 3 B^2 (\tau^\star)^2",
        claim=_temperature,
        wrong={
            "a square root for the cube root": {"root": 2},
            "both errors equal at the best temperature": {"least": 2},
        },
        assumptions="B, V, S > 0",
    ),
]
