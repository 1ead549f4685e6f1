"""The identities of the chapter *Tighter bounds*."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import factorial

import sympy as sp

from vaelib.symbolic import (
    tighter_bounds_gradients,
    tighter_bounds_renyi,
    tighter_bounds_upper,
)
from vaelib.symbolic.algebra import kl, mean, positive, probabilities
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, AtLeast, Equal, Term

DEFINITIONS: dict[str, str] = {
    "eq-renyi": "the Rényi bound of order α",
    "eq-cubo": "the χ upper bound of order n",
    "eq-eubo": "the evidence upper bound, the posterior's mean of the log-weight",
    "eq-snr": "the signal-to-noise ratio of a gradient estimate",
}
SIZES = ((2, 1), (2, 2), (2, 3), (3, 1), (3, 2))  # states of the latent, K
COPIES = ((2, 2), (2, 1), (3, 2), (2, 3))

Draw = tuple[sp.Expr, list[int], sp.Expr]


def draws(q: Sequence[sp.Expr], w: Sequence[sp.Expr], size: int) -> Iterator[Draw]:
    """All outcomes of K draws, as probability, counts of the states, mean weight."""
    for counts in product(range(size + 1), repeat=len(q)):
        if sum(counts) == size:
            ways = factorial(size)
            for n in counts:
                ways //= factorial(n)
            prob = ways * sp.prod([p**n for p, n in zip(q, counts, strict=True)])
            total = sum(n * v for n, v in zip(counts, w, strict=True))
            yield prob, list(counts), total / sp.Integer(size)


def bound(q: Sequence[sp.Expr], w: Sequence[sp.Expr], size: int) -> sp.Expr:
    """The importance-weighted bound of K draws, by enumerating them."""
    return sum(prob * sp.log(average) for prob, _, average in draws(q, w, size))


def _without_one(q, w, size, kept=None):
    """Each draw of K + 1 with each one left out: probability and ratio of averages."""
    for prob, counts, average in draws(q, w, size + 1):
        for n, v in zip(counts, w, strict=True):
            if n:
                rest = ((size + 1) * average - v) / sp.Integer(kept or size)
                yield prob * sp.Rational(n, size + 1), rest / average


def _gain(kept=None, sign=1, inverse=False, linear=1):
    """L_{K+1} − L_K is the mean tangent height at the leave-one-out averages."""
    cases = []
    for states, size in SIZES:
        q, w = probabilities("q", states), positive(f"w1:{states + 1}")
        right = sp.Integer(0)
        for prob, t in _without_one(q, w, size, kept and size + kept):
            t = 1 / t if inverse else t
            right += prob * (linear * (t - 1) - sp.log(t))
        cases.append((bound(q, w, size + 1) - bound(q, w, size), sign * right))
    return Equal(cases)


def _rise(reverse=False, strict=False, step="one more"):
    """log p(x) ≥ L_{K+1} ≥ L_K, each by log t ≤ t − 1."""
    cases, certificates, points = [], [], []
    for states, size in SIZES:
        q, w = probabilities("q", states), positive(f"w1:{states + 1}")
        evidence, upper = mean(q, w), bound(q, w, size + 1)
        if step == "half":  # near constant weights it closes 1/(K + 1) of the gap
            pairs = [(upper - bound(q, w, size), sp.log(evidence) - upper)]
        else:
            pairs = [(sp.log(evidence), upper), (upper, bound(q, w, size))]
        cases += [pair[::-1] if reverse else pair for pair in pairs]
        certificates.append(
            [Term(p, LOG_TANGENT, a / evidence) for p, _, a in draws(q, w, size + 1)]
        )
        certificates.append(
            [Term(p, LOG_TANGENT, t) for p, t in _without_one(q, w, size)]
        )
        symbols = set(w).union(*(p.free_symbols for p in q))
        points.append(dict.fromkeys(symbols, sp.Integer(1)))  # all weights are equal
    return AtLeast(cases, certificates, strict=strict, points=points)


def _copies(states: int, size: int):
    """The guide's K draws, the density P_K of the same tuples, and what goes with it.

    Returns the evidence, q, w, and for each tuple q^K, P_K and the average weight.
    """
    joint, q = positive(f"c1:{states + 1}"), probabilities("q", states)
    evidence = sum(joint)
    w = [p / r for p, r in zip(joint, q, strict=True)]
    guide, copies, averages = [], [], []
    for t in product(range(states), repeat=size):
        rest = [sp.prod([q[j] for j in t[:k] + t[k + 1 :]]) for k in range(size)]
        each = [joint[i] / evidence * r for i, r in zip(t, rest, strict=True)]
        guide.append(sp.prod([q[i] for i in t]))
        copies.append(sum(each) / sp.Integer(size))
        averages.append(sum(w[i] for i in t) / sp.Integer(size))
    return evidence, q, w, guide, copies, averages


def _gap(swapped=False, whole=False, power=None):
    """log p(x) − L_K = KL(q^K ‖ P_K)."""
    cases = []
    for states, size in COPIES:
        evidence, q, w, guide, copies, _ = _copies(states, size)
        target = copies
        if whole:  # every copy from the posterior
            posterior = [v * p / evidence for v, p in zip(w, q, strict=True)]
            tuples = product(posterior, repeat=size)
            target = [sp.prod(t) for t in tuples]
        right = kl(target, guide) if swapped else kl(guide, target)
        right = right / sp.Integer(size) ** power if power else right
        cases.append((sp.log(evidence) - bound(q, w, size), right))
    return Equal(cases)


def _upper(swapped=False, all_posterior=False, sign=1):
    """U_K − log p(x) = KL(P_K ‖ q^K); U_K has one draw from the posterior."""
    cases = []
    for states, size in COPIES:
        evidence, q, w, guide, copies, _ = _copies(states, size)
        posterior = [v * p / evidence for v, p in zip(w, q, strict=True)]
        upper = sp.Integer(0)
        for t in product(range(states), repeat=size):
            others = posterior if all_posterior else q
            prob = posterior[t[0]] * sp.prod([others[i] for i in t[1:]])
            upper += prob * sp.log(sum(w[i] for i in t) / sp.Integer(size))
        right = kl(guide, copies) if swapped else kl(copies, guide)
        cases.append((upper - sp.log(evidence), sign * right))
    return Equal(cases)


ALL = "all probabilities and weights on supports of 2 states with K = 1, 2 and 3, and "
ALL += "of 3 states with K = 1 and 2"

IDENTITIES: list[Identity] = [
    Identity(
        label="eq-iw-gain",
        statement=r"""\begin{aligned}
& \mathcal{L}_{K+1} - \mathcal{L}_K = \E\!\left[ \frac{1}{K+1} \sum_{j=1}^{K+1} h_j
\right], \\
& h_j = \frac{A_{-j}}{A} - 1 - \log \frac{A_{-j}}{A}
\end{aligned}""",
        claim=_gain,
        wrong={
            "the leave-one-out sum divided by K + 1": {"kept": 1},
            "the sign of the difference": {"sign": -1},
            "the ratio inverted": {"inverse": True},
        },
        assumptions="independent draws from the guide; L_K finite",
        scope=ALL,
        computes="bounds.importance_weighted",
    ),
    Identity(
        label="eq-iw-rise",
        statement=r"\log p_\theta(x) \ge \mathcal{L}_{K+1} \ge \mathcal{L}_K",
        claim=_rise,
        wrong={
            "the inequalities turned round": {"reverse": True},
            "strict even where the weight is constant": {"strict": True},
            "each step closes at least half of the gap": {"step": "half"},
        },
        assumptions="independent draws from the guide; L_K finite",
        scope=ALL,
        reference="burda2016",
    ),
    Identity(
        label="eq-iw-gap",
        statement=r"\log p_\theta(x) - \mathcal{L}_K = \KL{q^K}{P_K}",
        claim=_gap,
        wrong={
            "the divergence the other way round": {"swapped": True},
            "all copies from the posterior": {"whole": True},
            "divided by K": {"power": 1},
        },
        assumptions="q(z|x) > 0 wherever p(x, z) > 0, and the reverse",
        scope="all probabilities on 2 states with K = 1, 2 and 3; 3 states with K = 2",
        computes="divergences.kl",
        reference="domke2018",
    ),
    Identity(
        label="eq-iw-upper",
        statement=r"\mathcal{U}_K - \log p_\theta(x) = \KL{P_K}{q^K}",
        claim=_upper,
        wrong={
            "the divergence the other way round": {"swapped": True},
            "all copies from the posterior": {"all_posterior": True},
            "a lower bound": {"sign": -1},
        },
        assumptions="q(z|x) > 0 wherever p(x, z) > 0, and the reverse",
        scope="all probabilities on 2 states with K = 1, 2 and 3; 3 states with K = 2",
        computes="divergences.kl",
        reference="grosse2015",
    ),
    *tighter_bounds_renyi.IDENTITIES,
    *tighter_bounds_upper.IDENTITIES,
    *tighter_bounds_gradients.IDENTITIES,
]
