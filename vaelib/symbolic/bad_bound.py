"""The identities of the chapter *A bad bound*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic import bad_bound_gaussian
from vaelib.symbolic.algebra import (
    Joint,
    kl,
    mean,
    positive,
    probabilities,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, AtLeast, Equal, Term

DEFINITIONS: dict[str, str] = {
    "eq-mutual-information": "the mutual information I(x; z) of a joint distribution",
    "eq-lautum": "the lautum information L(x; z) of a joint distribution",
    "eq-importance-weighted": "the bound with K samples inside the logarithm",
}
FINITE = "all probabilities on supports of 2, 3 and 4 states"
TABLES = "all joint tables of 2×2, 2×3 and 3×2 states"
SHAPES = ((2, 2), (2, 3), (3, 2))


def _logs(values):
    return [sp.log(v) for v in values]


def _bad_bound(reverse=False, strict=False, flat=False):
    """log E_{p(z)}[p(x|z)] ≥ E_{p(z)}[log p(x|z)]: log t ≤ t − 1 at p(x|z) / p(x)."""
    cases, certificates, points = [], [], []
    for n in (2, 3, 4):
        prior, like = probabilities("p", n), positive(f"f1:{n + 1}")
        evidence = mean(prior, like)
        left, right = sp.log(evidence), mean(prior, _logs(like))
        if flat:
            right = sum(_logs(like)) / n
        cases.append((right, left) if reverse else (left, right))
        certificates.append(
            [
                Term(p, LOG_TANGENT, f / evidence)
                for p, f in zip(prior, like, strict=True)
            ]
        )
        points.append({s: sp.Integer(1) for s in (left - right).free_symbols})
    return AtLeast(cases, certificates, strict=strict, points=points)


def _bad_residual(swapped=False, sign=1):
    """log p(x) − E_{p(z)}[log p(x|z)] = KL(p(z) ‖ p(z|x))."""
    cases = []
    for n in (2, 3, 4):
        m = Joint(n, 2)
        pair = (m.posterior(0), m.prior) if swapped else (m.prior, m.posterior(0))
        left = sp.log(m.evidence[0]) - mean(m.prior, _logs(m.likelihood(0)))
        cases.append((left, sign * kl(*pair)))
    return Equal(cases)


def _bad_is_elbo(forget=None):
    """At q(z|x) = p(z) the ELBO is E_{p(z)}[log p(x|z)]: weight by weight, at any z."""
    likelihood, prior = positive("f p")
    guide = prior
    left = sp.log(likelihood) + sp.log(prior) - sp.log(guide)
    if forget == "prior":
        left -= sp.log(prior)
    if forget == "guide":
        left += sp.log(guide)
    return Equal([(left, sp.log(likelihood))])


def _averaged(residual="bad", information="lautum", uniform=False):
    """E_{p(x)} KL(p(z) ‖ p(z|x)) is lautum, E_{p(x)} KL(p(z|x) ‖ p(z)) mutual."""
    cases = []
    for latent, observed in SHAPES:
        m = Joint(latent, observed)
        joint = [p for row in m.table for p in row]
        product = [p * e for p in m.prior for e in m.evidence]
        order = (product, joint) if information == "lautum" else (joint, product)
        average = 0
        for x, evidence in enumerate(m.evidence):
            pair = (m.prior, m.posterior(x))
            gap = kl(*pair) if residual == "bad" else kl(*reversed(pair))
            average += (sp.Rational(1, observed) if uniform else evidence) * gap
        cases.append((average, kl(*order)))
    return Equal(cases)


def _lautum_terms(flipped=False, dropped=False):
    """L = Σ p(x) p(z) (r − 1 − log r) with r = p(x, z) / p(x) p(z): each term ≥ 0."""
    cases = []
    for latent, observed in SHAPES:
        m = Joint(latent, observed)
        joint = [p for row in m.table for p in row]
        product = [p * e for p in m.prior for e in m.evidence]
        ratios = [a / b for a, b in zip(joint, product, strict=True)]
        if flipped:
            ratios = [1 / r for r in ratios]
        one = 0 if dropped else 1
        cases.append(
            (kl(product, joint), mean(product, [r - one - sp.log(r) for r in ratios]))
        )
    return Equal(cases)


def _factorised(reverse=False, uniform=False):
    """Averaged over data, a pixel's binomial is best at the mean, whatever z says.

    m is the pixel's mean divided by its largest count n; the decoder gives state k of
    the latent the probability e_k. log C(n, x) is the same on both sides.
    """
    cases, certificates = [], []
    for states in (1, 2, 3):
        n, odds = positive("n u")
        m, rest = odds / (1 + odds), 1 / (1 + odds)
        prior = probabilities("p", states)
        decoded = [(t / (1 + t), 1 / (1 + t)) for t in positive(f"t1:{states + 1}")]
        best = (sp.Rational(1, 2),) * 2 if uniform else (m, rest)
        left = n * mean((m, rest), _logs(best))
        right = mean(prior, [n * mean((m, rest), _logs(e)) for e in decoded])
        cases.append((right, left) if reverse else (left, right))
        certificates.append(
            [
                Term(p * n * share, LOG_TANGENT, e / share)
                for p, pair in zip(prior, decoded, strict=True)
                for share, e in zip((m, rest), pair, strict=True)
            ]
        )
    return AtLeast(cases, certificates)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-bad-bound",
        statement=r"\log p_\theta(x) = \log \E_{p(z)}[p_\theta(x|z)] "
        r"\;\ge\; \E_{p(z)}[\log p_\theta(x|z)] =: \mathcal{B}(\theta; x)",
        claim=_bad_bound,
        wrong={
            "the inequality reversed": {"reverse": True},
            "strictly greater": {"strict": True},
            "an unweighted mean over the states of z": {"flat": True},
        },
        assumptions="p(z) > 0 and p(x|z) > 0 on the support",
        scope=FINITE,
        computes="bounds.elbo",
        reference="jensen1906",
    ),
    Identity(
        label="eq-bad-residual",
        statement=r"\log p_\theta(x) - \mathcal{B}(\theta; x) "
        r"= \KL{p(z)}{p_\theta(z|x)}",
        claim=_bad_residual,
        wrong={
            "the ELBO's order of arguments": {"swapped": True},
            "the sign of the divergence": {"sign": -1},
        },
        assumptions="p(z) > 0 and p(x|z) > 0 on the support",
        scope=FINITE,
        computes="divergences.kl",
    ),
    Identity(
        label="eq-bad-elbo",
        statement=r"\begin{aligned} q(z|x) = p(z) \quad\Longrightarrow\quad "
        r"\log w &= \log p_\theta(x|z), \\ "
        r"\ELBO(\theta, q; x) &= \mathcal{B}(\theta; x) \end{aligned}",
        claim=_bad_is_elbo,
        wrong={
            "the prior left out of the log-weight": {"forget": "prior"},
            "the guide left out of the log-weight": {"forget": "guide"},
        },
        assumptions="p(z) > 0 and p(x|z) > 0",
        computes="bounds.log_weights",
    ),
    Identity(
        label="eq-bad-averaged",
        statement=r"\E_{p_\theta(x)}\left[\KL{p(z)}{p_\theta(z|x)}\right] "
        r"= L(x; z)",
        claim=_averaged,
        wrong={
            "mutual information instead": {"information": "mutual"},
            "the ELBO's order of arguments": {"residual": "elbo"},
            "all x counted alike": {"uniform": True},
        },
        assumptions="p(x, z) > 0",
        scope=TABLES,
        computes="divergences.lautum_information",
        reference="palomar2008",
    ),
    Identity(
        label="eq-mutual-averaged",
        statement=r"\E_{p_\theta(x)}\left[\KL{p_\theta(z|x)}{p(z)}\right] "
        r"= I(x; z)",
        claim=lambda residual="elbo", information="mutual", uniform=False: _averaged(
            residual, information, uniform
        ),
        wrong={
            "lautum information instead": {"information": "lautum"},
            "the bad bound's order of arguments": {"residual": "bad"},
            "all x counted alike": {"uniform": True},
        },
        assumptions="p(x, z) > 0",
        scope=TABLES,
        computes="divergences.mutual_information",
        value=lambda: _averaged("elbo", "mutual").cases[0][1],
        reference="cover2006",
    ),
    Identity(
        label="eq-lautum-terms",
        statement=r"L(x; z) = \E_{p_\theta(x)\,p(z)}\left[ r - 1 - \log r \right], "
        r"\qquad r = \frac{p_\theta(x, z)}{p_\theta(x)\, p(z)}",
        claim=_lautum_terms,
        wrong={
            "the ratio upside down": {"flipped": True},
            "the one left out": {"dropped": True},
        },
        assumptions="p(x, z) > 0",
        scope=TABLES,
        computes="divergences.lautum_information",
    ),
    Identity(
        label="eq-bad-factorised",
        statement=r"\begin{aligned} \frac1N \sum_{n=1}^N \E_{p(z)} & \left[ "
        r"\log p(x_n | \eta(z)) \right] \\ & \le "
        r"\max_{\eta} \frac1N \sum_{n=1}^N \log p(x_n | \eta) \end{aligned}",
        claim=_factorised,
        wrong={
            "the inequality reversed": {"reverse": True},
            "every pixel at one half": {"uniform": True},
        },
        assumptions="independent pixels given z; here binomial, each mean between "
        "0 and the largest count",
        scope="symbolic means, decoders and priors of 1, 2 and 3 states",
    ),
    *bad_bound_gaussian.IDENTITIES,
]
