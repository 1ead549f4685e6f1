"""The identities of *Tighter bounds* on bounds from above."""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic.algebra import kl, mean, positive, probabilities
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, AtLeast, Equal, Term

HALF = sp.Rational(1, 2)
FINITE = "all probabilities on supports of 2, 3 and 4 states"


def finite(states: int):
    """p(x, z) of each state, p(x), the posterior, the guide and the weights."""
    joint, q = positive(f"c1:{states + 1}"), probabilities("q", states)
    posterior = [p / sum(joint) for p in joint]
    return sum(joint), posterior, q, [p / r for p, r in zip(joint, q, strict=True)]


def _chi(half=HALF, swapped=False, one=1):
    """CUBO₂ − log p(x) = ½ log(1 + χ²(p(z|x) ‖ q))."""
    cases = []
    for states in (2, 3, 4):
        evidence, posterior, q, w = finite(states)
        cubo = sp.log(mean(q, [v**2 for v in w])) / 2
        a, b = (q, posterior) if swapped else (posterior, q)
        chi = sum((s - t) ** 2 / t for s, t in zip(a, b, strict=True))
        cases.append((cubo - sp.log(evidence), half * sp.log(one + chi)))
    return Equal(cases)


def _cubo_value():
    evidence, _, q, w = finite(2)
    return sp.log(mean(q, [v**2 for v in w])) / 2


def _estimate(upper="cubo", reverse=False, strict=False):
    """ELBO ≤ E[estimate of CUBO_n from S draws] ≤ CUBO_n."""
    cases, certificates, points = [], [], []
    for states, size, n in ((2, 1, 2), (2, 2, 2), (2, 3, 2), (3, 2, 2), (2, 2, 4)):
        q, w = probabilities("q", states), positive(f"w1:{states + 1}")
        exact = mean(q, [v**n for v in w])
        elbo = mean(q, [sp.log(v) for v in w])
        estimate, above, below = sp.Integer(0), [], []
        share = sp.Rational(1, n)
        for t in product(range(states), repeat=size):
            prob = sp.prod([q[i] for i in t])
            average = sum(w[i] ** n for i in t) / sp.Integer(size)
            estimate += share * prob * sp.log(average)
            above.append(Term(share * prob, LOG_TANGENT, average / exact))
            below += [
                Term(share * prob / size, LOG_TANGENT, w[i] ** n / average) for i in t
            ]
        top = share * sp.log(exact)
        pairs = [(top, estimate), (estimate, elbo)]
        if upper == "evidence":  # "an upper bound's estimate is above, too"
            pairs = [(estimate, sp.log(mean(q, w)))] * 2
        cases += [pair[::-1] if reverse else pair for pair in pairs]
        certificates += [above, below]
        symbols = set(w).union(*(p.free_symbols for p in q))
        points.append(dict.fromkeys(symbols, sp.Integer(1)))  # the weights are equal
    return AtLeast(cases, certificates, strict=strict, points=points)


def _eubo(swapped=False, sign=1, under="posterior"):
    """EUBO − log p(x) = KL(p(z|x) ‖ q)."""
    cases = []
    for states in (2, 3, 4):
        evidence, posterior, q, w = finite(states)
        weights = posterior if under == "posterior" else q
        eubo = mean(weights, [sp.log(v) for v in w])
        right = kl(q, posterior) if swapped else kl(posterior, q)
        cases.append((eubo - sp.log(evidence), sign * right))
    return Equal(cases)


def _eubo_value():
    _, posterior, _, w = finite(2)
    return mean(posterior, [sp.log(v) for v in w])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-cubo-chi",
        statement=r"""\begin{aligned}
& \mathrm{CUBO}_2 - \log p_\theta(x) \\
&\quad = \tfrac12 \log \big( 1 + \chi^2(p_\theta(z|x) \,\|\, q) \big)
\end{aligned}""",
        claim=_chi,
        wrong={
            "the half forgotten": {"half": 1},
            "guide and posterior exchanged": {"swapped": True},
            "the one forgotten": {"one": 0},
        },
        assumptions="q(z|x) > 0 wherever p(x, z) > 0",
        scope=FINITE,
        computes="bounds.cubo",
        value=_cubo_value,
        reference="dieng2017",
    ),
    Identity(
        label="eq-eubo-residual",
        statement=r"\mathrm{EUBO} - \log p_\theta(x) = \KL{p_\theta(z|x)}{q}",
        claim=_eubo,
        wrong={
            "the divergence the other way round": {"swapped": True},
            "a lower bound": {"sign": -1},
            "averaged over the guide": {"under": "guide"},
        },
        assumptions="q(z|x) > 0 wherever p(x, z) > 0",
        scope=FINITE,
        computes="bounds.eubo",
        value=_eubo_value,
    ),
    Identity(
        label="eq-cubo-estimate",
        statement=r"""\begin{aligned}
\ELBO &\le \E\!\left[ \frac1n \log \frac1S \sum_{s=1}^S w_s^n \right] \\
&\le \mathrm{CUBO}_n
\end{aligned}""",
        claim=_estimate,
        wrong={
            "the estimate is above the evidence, as the bound is": {
                "upper": "evidence"
            },
            "the estimate errs upwards": {"reverse": True},
            "strict even where the weight is constant": {"strict": True},
        },
        assumptions="independent draws from the guide; n ≥ 1",
        scope="2 states with S = 1, 2 and 3 and n = 2, S = 2 and n = 4; 3 states with "
        "S = 2 and n = 2",
        reference="dieng2017",
    ),
]
