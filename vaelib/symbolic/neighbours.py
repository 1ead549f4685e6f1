"""The identities of the chapter *The neighbours*: flow, autoregression and GAN."""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic import neighbours_diffusion, neighbours_rbm
from vaelib.symbolic.algebra import kl, positive, probabilities, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, AtLeast, Equal, Term

DEFINITIONS: dict[str, str] = {
    "eq-coupling": "one layer of a flow: a part of x moves the rest",
    "eq-gan-game": "the game: what the discriminator maximises",
    "eq-diffusion-guide": "the guide of a diffusion model: noise, step by step",
    "eq-diffusion-model": "a diffusion model: a Markov chain from noise to data",
    "eq-rbm": "the restricted Boltzmann machine",
    "eq-cd": "the contrastive-divergence update",
}


def _standard(u):
    return sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)


def _change_of_variables(power=1, absolute=True, factor=True):
    """A cubic on the line, rising or falling, by its distribution function; a plane."""
    a, b, d, x, y, c = *positive("a b d"), *real("x y c")
    cases = []
    for sign in (1, -1):
        u = sign * (a * x + b * x**3)
        below = (1 + sp.erf(u / sp.sqrt(2))) / 2
        left = sp.diff(below if sign > 0 else 1 - below, x)
        slope = sp.diff(u, x)
        size = sp.Abs(slope) if absolute else slope
        cases.append((left, _standard(u) * (size**power if factor else 1)))
    # x = A u with A = [[a, 0], [c, −d]]: a normal with covariance A Aᵀ
    map_ = sp.Matrix([[a, 0], [c, -d]])
    point, covariance = sp.Matrix([x, y]), map_ * map_.T
    form = (point.T * covariance.inv() * point)[0]
    left = sp.exp(-form / 2) / (2 * sp.pi * sp.sqrt(sp.factor(covariance.det())))
    noise, slope = map_.inv() * point, map_.inv().det()
    size = sp.Abs(slope) if absolute else slope
    right = sp.exp(-(noise[0] ** 2 + noise[1] ** 2) / 2) / (2 * sp.pi)
    right *= size**power if factor else 1
    return Equal([*cases, (sp.expand_power_exp(sp.expand(left)), sp.expand(right))])


def _coupling_determinant(sign=1, shift=0, mean=False, exponential=False):
    """Fixed and moved parts of one and two coordinates; s and t quadratic in x_A."""
    cases = []
    for fixed, moved in ((1, 1), (1, 2), (2, 1)):
        x, y = real(f"x1:{fixed + 1}"), real(f"y1:{moved + 1}")
        scales, shifts = (
            [
                sum(c * v**k for (k, v), c in zip(powers, coefficients, strict=True))
                for coefficients in [
                    real(f"{name}{i}_:{2 * fixed}") for i in range(moved)
                ]
                for powers in [[(k, v) for v in x for k in (1, 2)]]
            ]
            for name in ("s", "t")
        )
        out = [*x] + [
            v * sp.exp(s) + t for v, s, t in zip(y, scales, shifts, strict=True)
        ]
        jacobian = sp.Matrix(out).jacobian([*x, *y])
        left = sp.log(sp.Abs(sp.powsimp(jacobian.det())))
        terms = [sp.exp(s) for s in scales] if exponential else scales
        right = sign * sum(terms) + shift * sum(shifts)
        cases.append((left, right / moved if mean else right))
    return Equal(cases)


def _chain_mass(sees="before"):
    """Three bits: the sum of the products of conditionals, all odds free."""
    odds: dict[tuple, sp.Symbol] = {}
    total = sp.Integer(0)
    for x in product((0, 1), repeat=3):
        mass = sp.Integer(1)
        for i in range(3):
            seen = {
                "before": x[:i],
                "itself": x[: i + 1],
                "others": x[:i] + x[i + 1 :],
                "after": x[(i + 1) % 3 : (i + 1) % 3 + 1],
            }[sees]
            a = odds.setdefault((i, seen), sp.Symbol(f"a{len(odds)}", positive=True))
            mass *= a / (1 + a) if x[i] else 1 / (1 + a)
        total += mass
    return Equal([(total, sp.Integer(1))])


def _gan_optimum(exchanged=False, ratio=False, reverse=False):
    """p log D + g log(1 − D) at one x: two tangents of the logarithm."""
    p, g, odds = positive("p g d")
    one = odds / (1 + odds)
    best = g / (p + g) if exchanged else p / (p + g)
    if ratio:
        best = p / (p + 2 * g)
    there, here = (p * sp.log(d) + g * sp.log(1 - sp.together(d)) for d in (best, one))
    terms = [
        Term(p, LOG_TANGENT, one / best),
        Term(g, LOG_TANGENT, sp.cancel((1 - one) / (1 - best))),
    ]
    case = (here, there) if reverse else (there, here)
    return AtLeast([case], [terms])


def _gan_value(constant=None, exchanged=False, weight=1):
    """The game at the best discriminator, on supports of two and three states."""
    constant = -sp.log(4) if constant is None else constant
    cases = []
    for n in (2, 3):
        p, g = probabilities("p", n), probabilities("g", n)
        middle = [(a + b) / 2 for a, b in zip(p, g, strict=True)]
        left = sum(
            a * sp.log(a / (a + b)) + b * sp.log(b / (a + b))
            for a, b in zip(p, g, strict=True)
        )
        pairs = [(middle, p), (middle, g)] if exchanged else [(p, middle), (g, middle)]
        cases.append((left, weight * sum(kl(*pair) for pair in pairs) + constant))
    return Equal(cases)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-change-of-variables",
        statement=r"""p(x) = p_U\bigl(f(x)\bigr)
  \left| \det \frac{\partial f(x)}{\partial x} \right|""",
        claim=_change_of_variables,
        wrong={
            "divided by the determinant": {"power": -1},
            "without the modulus": {"absolute": False},
            "without the determinant": {"factor": False},
        },
        assumptions="u = f(x) invertible and differentiable, u with density p_U",
        scope="standard normal u; on the line f = ±(ax + bx³), in the plane linear f",
        reference="papamakarios2021",
    ),
    Identity(
        label="eq-coupling-determinant",
        statement=r"""\log \left| \det \frac{\partial f(x)}{\partial x} \right|
  = \sum_{i \notin A} s_i(x_A)""",
        claim=_coupling_determinant,
        wrong={
            "the sign of the other direction": {"sign": -1},
            "the shift counted too": {"shift": 1},
            "e^s for s": {"exponential": True},
            "the mean for the sum": {"mean": True},
        },
        assumptions="f as in eq-coupling, s and t differentiable",
        scope="s and t quadratic, parts of one and two coordinates",
        reference="dinh2017",
    ),
    Identity(
        label="eq-chain-mass",
        statement=r"""\sum_{x \in \{0, 1\}^P} \, \prod_{i=1}^{P}
  p(x_i \mid x_1, \dots, x_{i-1}) = 1""",
        claim=_chain_mass,
        wrong={
            "an output that sees its own pixel": {"sees": "itself"},
            "each pixel given all others": {"sees": "others"},
            "pixels given one another in a ring": {"sees": "after"},
        },
        assumptions="each factor is a distribution of x_i for every past",
        scope="three bits, all conditionals",
        reference="larochelle2011",
    ),
    Identity(
        label="eq-gan-optimum",
        statement=r"""V(g, D) \le V(g, D^\star) , \qquad
  D^\star(x) = \frac{p(x)}{p(x) + g(x)}""",
        claim=_gan_optimum,
        wrong={
            "g / (p + g)": {"exchanged": True},
            "another weight for g": {"ratio": True},
            "a minimum": {"reverse": True},
        },
        assumptions="p(x), g(x) > 0; 0 < D(x) < 1",
        scope="pointwise in x",
        reference="goodfellow2014",
    ),
    Identity(
        label="eq-gan-value",
        statement=r"""V(g, D^\star) = \KL{p}{m} + \KL{g}{m} - \log 4 , \qquad
  m = \tfrac12 (p + g)""",
        claim=_gan_value,
        wrong={
            "+ log 4": {"constant": sp.log(4)},
            "half of the divergences": {"weight": sp.Rational(1, 2)},
            "the arguments exchanged": {"exchanged": True},
        },
        assumptions="p, g > 0 on the support",
        scope="all probabilities on supports of 2 and 3 states",
        computes="divergences.kl",
        reference="goodfellow2014",
    ),
    *neighbours_diffusion.IDENTITIES,
    *neighbours_rbm.IDENTITIES,
]
