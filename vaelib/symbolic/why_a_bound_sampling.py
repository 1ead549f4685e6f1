"""The identities of *Why a bound?* on evidence estimated by draws from the prior."""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic.algebra import log_normal, mean, positive, probabilities, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import (
    LOG_TANGENT,
    All,
    AtLeast,
    ConstantInZ,
    Equal,
    Limit,
    Term,
)

SIZES = ((2, 1), (2, 2), (3, 2))  # states of the latent, samples


def _draws(states, samples):
    """A finite latent: prior p, likelihood values a, evidence, and all tuples of draws.

    Each tuple comes as its probability and its average of the likelihood.
    """
    p, a = probabilities("p", states), positive(f"a1:{states + 1}")
    tuples = [
        (sp.prod(p[i] for i in t), sum(a[i] for i in t) / sp.Integer(samples))
        for t in product(range(states), repeat=samples)
    ]
    return p, a, mean(p, a), tuples


def _relative_variance(p, a, evidence):
    return mean(p, [(v - evidence) ** 2 for v in a]) / evidence**2


def _prior_variance(power=1, square=1, shift=0):
    """The mean of p̂_S and its variance relative to p(x)², by enumerating the draws."""
    cases = []
    for states, samples in SIZES:
        p, a, evidence, tuples = _draws(states, samples)
        first = sum(pr * v for pr, v in tuples)
        second = sum(pr * (v - evidence) ** 2 for pr, v in tuples) / evidence**2
        c2 = _relative_variance(p, a, evidence)
        cases.append((first, evidence * (1 + shift * c2 / samples)))
        cases.append((second, c2**square / sp.Integer(samples) ** power))
    return Equal(cases)


def _prior_bias(reverse=False, strict=False):
    """log p(x) − E[log p̂_S] = E[r − 1 − log r] with r = p̂_S / p(x)."""
    cases, certificates, points = [], [], []
    for states, samples in SIZES:
        p, a, evidence, tuples = _draws(states, samples)
        sides = (sp.log(evidence), sum(pr * sp.log(v) for pr, v in tuples))
        cases.append(sides[::-1] if reverse else sides)
        certificates.append([Term(pr, LOG_TANGENT, v / evidence) for pr, v in tuples])
        symbols = set(a).union(*(q.free_symbols for q in p))
        points.append(dict.fromkeys(symbols, sp.Integer(1)))  # all likelihoods equal
    return AtLeast(cases, certificates, strict, points=points)


def _prior_delta(share=2, power=1):
    """S (log p(x) − E[log p̂_S]) → c²/2, with the logarithm expanded to fourth order.

    With r = p̂_S / p(x) − 1, the mean of S independent disturbances of mean zero. Their
    moments are checked by enumeration of one and two draws from two states, which is
    enough: S^k E[r^k] is a polynomial in S of degree two at most, and zero at S = 0.
    """
    n = sp.Symbol("S", positive=True)

    def moments(size, m2, m3, m4):
        return [0, m2 / size, m3 / size**2, (m4 + 3 * (size - 1) * m2**2) / size**3]

    p, first = probabilities("p", 2), sp.Symbol("r", real=True)
    r = [first, -first * p[0] / p[1]]
    central = [mean(p, [v**k for v in r]) for k in (2, 3, 4)]
    twice = [[a * b for b in p] for a in p], [[(v + w) / 2 for w in r] for v in r]
    checked = []
    for size, probs, values in ((1, p, r), (2, *(sum(t, []) for t in twice))):
        found = [mean(probs, [v**k for v in values]) for k in (1, 2, 3, 4)]
        checked += zip(found, moments(sp.Integer(size), *central), strict=True)
    m2, m3, m4 = sp.symbols("m2 m3 m4", positive=True)
    signs = (1, -1, 1, -1)  # log(1 + r) = r − r²/2 + r³/3 − r⁴/4 + …
    expansion = sum(
        s * m / k
        for k, (s, m) in enumerate(zip(signs, moments(n, m2, m3, m4), strict=True), 1)
    )
    limit = Limit(sp.expand(-n * expansion), n, sp.oo, m2**power / share)
    return All([Equal(checked), limit])


def _one_coordinate():
    """One latent coordinate in units of σ: p(z) = N(0, 1), p(y|z) = N(s z, 1)."""
    s, y, z = sp.Symbol("s", positive=True), *real("y z")
    return s, y, z, log_normal(y, 0, sp.sqrt(1 + s**2))


def _log_second_moment(s, y, root=2, sign=1):
    """log of (1 + c²) for one coordinate, as the book states it."""
    exponent = sign * s**2 * y**2 / ((1 + s**2) * (1 + 2 * s**2))
    return sp.log(1 + s**2) - sp.log(1 + 2 * s**2) / root + exponent


def _relative_variance_gaussian(root=2, sign=1):
    """p(z) p(y|z)² = (1 + c²) p(y)² N(z; m, v) for every z, with v = 1 / (1 + 2 s²)."""
    s, y, z, evidence = _one_coordinate()
    v = 1 / (1 + 2 * s**2)
    squared = log_normal(z, 0, 1) + 2 * log_normal(y, s * z, 1)
    f = squared - 2 * evidence - log_normal(z, 2 * s * y * v, sp.sqrt(v))
    return ConstantInZ(f, z, _log_second_moment(s, y, root, sign))


def _relative_variance_mean(value="1 + s²"):
    """p(y) (1 + c²(y)) = (1 + s²) N(y; 0, v) for every y."""
    s, y, _, evidence = _one_coordinate()
    v = (1 + s**2) * (1 + 2 * s**2)
    f = evidence + _log_second_moment(s, y) - log_normal(y, 0, sp.sqrt(v))
    values = {"1 + s²": 1 + s**2, "1 + 2s²": 1 + 2 * s**2, "1 + s": 1 + s}
    return ConstantInZ(f, y, sp.log(values[value]))


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-prior-variance",
        statement=r"\E\big[\hat p_S(x)\big] = p_\theta(x), \qquad"
        r" \frac{\Var\big[\hat p_S(x)\big]}{p_\theta(x)^2} = \frac{c^2(x)}{S}",
        claim=_prior_variance,
        wrong={
            "a variance that falls as 1/S²": {"power": 2},
            "c⁴ in place of c²": {"square": 2},
            "an estimate with a bias": {"shift": 1},
        },
        assumptions="independent draws from the prior; p(x|z) has a finite variance",
        scope="2 latent states with S = 1 and 2, and 3 states with S = 2",
    ),
    Identity(
        label="eq-prior-bias",
        statement=r"\E\big[\log \hat p_S(x)\big] \le \log p_\theta(x)",
        claim=_prior_bias,
        wrong={
            "an upward bias": {"reverse": True},
            "never equal": {"strict": True},
        },
        assumptions="p(x|z) > 0; equality if p(x|z) does not depend on z",
        scope="2 latent states with S = 1 and 2, and 3 states with S = 2",
    ),
    Identity(
        label="eq-prior-delta",
        statement=r"\E\big[\log \hat p_S(x)\big]"
        r" = \log p_\theta(x) - \frac{c^2(x)}{2S} + O\!\left(S^{-2}\right)",
        claim=_prior_delta,
        wrong={
            "the half forgotten": {"share": 1},
            "an upward bias": {"share": -2},
            "c⁴ in place of c²": {"power": 2},
        },
        assumptions="p(x|z) bounded, and bounded away from zero",
        scope="the logarithm's expansion to fourth order; its remainder is not checked",
    ),
    Identity(
        label="eq-relative-variance",
        statement=r"1 + c^2(x) = \prod_{d=1}^{D} \frac{1 + s_d^2}{\sqrt{1 + 2 s_d^2}}"
        r" \exp\!\left(\frac{s_d^2\, y_d^2}{(1 + s_d^2)(1 + 2 s_d^2)}\right)",
        claim=_relative_variance_gaussian,
        wrong={
            "the root forgotten": {"root": 1},
            "the exponent's sign": {"sign": -1},
        },
        assumptions="s > 0; after the rotation the coordinates are independent",
        scope="one coordinate, for every s and y; the product is by independence",
    ),
    Identity(
        label="eq-relative-variance-mean",
        statement=r"\E_{p_\theta(x)}\!\left[1 + c^2(x)\right]"
        r" = \prod_{d=1}^{D} \left(1 + s_d^2\right)",
        claim=_relative_variance_mean,
        wrong={
            "twice the ratio": {"value": "1 + 2s²"},
            "the ratio of deviations, not variances": {"value": "1 + s"},
        },
        assumptions="s > 0; x is drawn from the model itself",
        scope="one coordinate, for every s; the product is by independence",
    ),
]
