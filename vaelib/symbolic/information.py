"""The identities of the chapter *Information and divergence*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import Joint, entropy, kl, mean, positive, probabilities
from vaelib.symbolic.information_calculus import CALCULUS
from vaelib.symbolic.information_gaussian import GAUSSIAN
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, All, AtLeast, ConvexMinimum, Equal, Term

DEFINITIONS: dict[str, str] = {
    "eq-information": "the information of an outcome",
    "eq-entropy": "the entropy of a distribution",
    "eq-cross-entropy": "the cross-entropy of one distribution under another",
    "eq-kl": "the Kullback–Leibler divergence",
}

STATES = (2, 3, 4)
FINITE = "all probabilities on supports of 2, 3 and 4 states"
BOTH = f"{FINITE}; the integrand for every pair of positive densities"
_q, _p, _t = positive("q p t")


def _pair(n):
    return probabilities("q", n), probabilities("p", n)


def _equal_weights(n):
    """The point at which q = p on n states."""
    return {symbol: 1 for symbol in positive(f"q1:{n + 1}") + positive(f"p1:{n + 1}")}


def _information_chain(given="z", sign=1):
    """−log p(x, z) = −log p(z) − log p(x|z), for tables of 2 × 2 and 3 × 2 states."""
    cases = []
    for model in (Joint(2, 2), Joint(3, 2)):
        second = {
            "z": model.likelihood(0)[0],
            "nothing": model.evidence[0],
            "x": model.posterior(0)[0],
        }[given]
        left = -sp.log(model.joint(0)[0])
        cases.append((left, -sp.log(model.prior[0]) - sign * sp.log(second)))
    return Equal(cases)


def _kl_excess(subtract="q", sign=1):
    """KL(q‖p) = H[q, p] − H[q]."""
    cases = []
    for n in STATES:
        q, p = _pair(n)
        cross = -mean(q, [sp.log(a) for a in p])
        cases.append((kl(q, p), sign * (cross - entropy({"q": q, "p": p}[subtract]))))
    return Equal(cases)


def _cross_entropy():
    q, p = _pair(3)
    return -mean(q, [sp.log(a) for a in p])


def _log_tangent(reverse=False, strict=False, base=None):
    """log t ≤ t − 1 for t > 0."""
    log = sp.log(_t) / sp.log(base) if base else sp.log(_t)
    if strict:
        return AtLeast([(_t - 1, log)], strict=True, points=[{_t: 1}])
    return ConvexMinimum(
        (log - _t + 1) if reverse else (_t - 1 - log), _t, sp.Integer(1)
    )


def _kl_nonnegative(reverse=False, strict=False, upside_down=False, under_p=False):
    """KL(q‖p) ≥ 0 by log t ≤ t − 1 at t = p/q, for finite supports and integrands."""
    cases, certificates = [], []
    for n in STATES:
        q, p = _pair(n)
        left = -kl(p, q) if under_p else -kl(q, p) if upside_down else kl(q, p)
        cases.append((0, left) if reverse else (left, sp.Integer(0)))
        certificates.append(_tangents(q, p))
    finite = AtLeast(
        cases, certificates, strict=strict, points=[_equal_weights(n) for n in STATES]
    )
    integrand = (_q * sp.log(_q / _p), _q - _p)  # the right side integrates to zero
    return All([finite, AtLeast([integrand], [[Term(_q, LOG_TANGENT, _p / _q)]])])


def _tangents(q, p):
    return [Term(a, LOG_TANGENT, b / a) for a, b in zip(q, p, strict=True)]


def _kl_hellinger(power=2, factor=1, strict=False):
    """KL(q‖p) ≥ Σ (√q − √p)², by log t ≤ t − 1 at t = √(p/q); a = √q and b = √p."""
    cases, certificates = [], []
    for n in (2, 3):
        a, b = positive(f"a1:{n + 1}"), positive(f"b1:{n + 1}")
        a, b = ([v / sp.sqrt(sum(w**2 for w in s)) for v in s] for s in (a, b))
        right = sum(abs(v - w) ** power for v, w in zip(a, b, strict=True))
        cases.append((kl([v**2 for v in a], [w**2 for w in b]), factor * right))
        certificates.append(_roots(a, b))
    points = [{s: 1 for s in case[0].free_symbols} for case in cases]
    a, b = positive("a b")
    left = 2 * a**2 * (sp.log(a) - sp.log(b)) - a**2 + b**2
    integrand = (left, factor * abs(a - b) ** power)
    return All(
        [
            AtLeast(cases, certificates, strict=strict, points=points),
            AtLeast([integrand], [_roots([a], [b])]),
        ]
    )


def _roots(a, b):
    return [Term(2 * v**2, LOG_TANGENT, w / v) for v, w in zip(a, b, strict=True)]


def _kl_support(reverse=False, strict=False, outside=False):
    """KL(q‖p) ≥ −log P for q on k of n states, to which p gives the mass P."""
    cases, certificates, points = [], [], []
    for k, n in ((2, 3), (2, 4), (3, 4)):
        q, p = probabilities("q", k), probabilities("p", n)
        mass = sum(p[:k])
        left, right = kl(q, p[:k]), -sp.log(1 - mass if outside else mass)
        cases.append((right, left) if reverse else (left, right))
        certificates.append(_tangents(q, [b / mass for b in p[:k]]))
        points.append({s: 1 for s in cases[-1][0].free_symbols})
    finite = AtLeast(cases, certificates, strict=strict, points=points)
    mass = sp.Symbol("P", positive=True)
    left = _q * sp.log(_q / _p) - _q + _p / mass  # the last two integrate to zero
    certificate = [Term(_q, LOG_TANGENT, _p / (_q * mass))]
    return All([finite, AtLeast([(left, -_q * sp.log(mass))], [certificate])])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-information-chain",
        statement=r"-\log p(x, z) = -\log p(z) - \log p(x|z)",
        claim=_information_chain,
        wrong={
            "the marginal p(x) in place of p(x|z)": {"given": "nothing"},
            "conditioned the wrong way": {"given": "x"},
            "the second information subtracted": {"sign": -1},
        },
        assumptions="p(x, z) > 0",
        scope="all joint tables of 2 × 2 and 3 × 2 states",
        computes="divergences.information",
        value=lambda: -sp.log(Joint(2, 2).joint(0)[0]),
        reference="shannon1948",
    ),
    Identity(
        label="eq-kl-excess",
        statement=r"\KL{q}{p} = \ent[q, p] - \ent[q]",
        claim=_kl_excess,
        wrong={
            "the entropy of p subtracted": {"subtract": "p"},
            "the difference the other way round": {"sign": -1},
        },
        assumptions="q > 0 and p > 0 on the support; H[q] finite",
        scope=FINITE,
        computes="divergences.cross_entropy",
        value=_cross_entropy,
    ),
    Identity(
        label="eq-log-tangent",
        statement=r"\log t \le t - 1",
        claim=_log_tangent,
        wrong={
            "the other direction": {"reverse": True},
            "strictly less for every t": {"strict": True},
            "the logarithm to base 2": {"base": 2},
        },
        assumptions="t > 0",
    ),
    Identity(
        label="eq-kl-nonnegative",
        statement=r"\KL{q}{p} \ge 0",
        claim=_kl_nonnegative,
        wrong={
            "strictly greater": {"strict": True},
            "never positive": {"reverse": True},
            "the ratio upside down": {"upside_down": True},
            "the expectation under p": {"under_p": True},
        },
        assumptions="q and p probabilities, or densities; both positive",
        scope=BOTH,
        computes="divergences.kl",
        value=lambda: kl(*_pair(3)),
        reference="kullback1951",
    ),
    Identity(
        label="eq-kl-support",
        statement=r"\KL{q}{p} \ge -\log \int_{q(z) > 0} p(z) \dd z",
        claim=_kl_support,
        wrong={
            "strictly greater": {"strict": True},
            "at most": {"reverse": True},
            "the mass that p puts outside": {"outside": True},
        },
        assumptions="p > 0 wherever q > 0; q may vanish where p does not",
        scope="q on 2 of 3, 2 of 4 and 3 of 4 states; the integrand for all densities",
    ),
    Identity(
        label="eq-kl-hellinger",
        statement=r"\KL{q}{p} \ge \int "
        r"\bigl(\sqrt{q(z)} - \sqrt{p(z)}\,\bigr)^2 \dd z",
        claim=_kl_hellinger,
        wrong={
            "strictly greater": {"strict": True},
            "the modulus of the roots' difference, not its square": {"power": 1},
            "twice as much": {"factor": 2},
        },
        assumptions="q and p probabilities, or densities; both positive",
        scope="probabilities of 2 and 3 states; the integrand for all densities",
    ),
    *CALCULUS,
    *GAUSSIAN,
]
