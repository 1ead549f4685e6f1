"""The identities of the chapter *Living in the latent space*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic import latent_space_uses
from vaelib.symbolic.algebra import (
    kl,
    mean,
    positive,
    probabilities,
    real,
    standard_normal_mean,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import SQUARE, All, AtLeast, Equal, Term

DEFINITIONS: dict[str, str] = {}

HALF = sp.Rational(1, 2)


def _latent_metric(count=1, weight=None, half=1, drift=1):
    """The second derivative of the divergence along a line, at its start.

    Two pixels; each success probability runs along the line as an arbitrary curve
    π + t ∇π·δ + t² b / 2 with π = a / (1 + a).
    """
    n, t = sp.Symbol("n", positive=True), sp.Symbol("t", real=True)
    odds, bends, cases = positive("a1:3"), real("b1:3"), []
    for dim in (1, 2):
        step = real(f"d1:{dim + 1}")
        divergence = right = 0
        for i in range(2):
            start = odds[i] / (1 + odds[i])
            slope = real(f"j{i + 1}_1:{dim + 1}")
            rise = sum(j * d for j, d in zip(slope, step, strict=True))
            end = start + drift * t * rise + t**2 * bends[i] / 2
            divergence += n * (start * (sp.log(start) - sp.log(end)))
            divergence += n * (1 - start) * (sp.log(1 - start) - sp.log(1 - end))
            spread = 1 / (start * (1 - start)) if weight is None else weight(start)
            right += (n if count else 1) * spread * rise**2 * half
        first = sp.diff(divergence, t)
        second = sp.diff(first, t).subs(t, 0)
        cases += [(second, right), (first.subs(t, 0), 0), (divergence.subs(t, 0), 0)]
    return Equal(cases)


def _norm(weights):
    """E‖a z + b z′‖² for independent standard normal z, z′ in one to three dimensions.

    The two coordinates' covariance with each other is checked to be zero as well, so
    that the combination is isotropic.
    """
    a, b, claimed = weights
    cases = []
    for dim in (1, 2, 3):
        z, w = real(f"z1:{dim + 1}"), real(f"w1:{dim + 1}")
        mixed = [a * u + b * v for u, v in zip(z, w, strict=True)]
        square = sum(m**2 for m in mixed)
        cases.append((standard_normal_mean(square, z + w), claimed(dim)))
        if dim > 1:
            cases.append((standard_normal_mean(mixed[0] * mixed[1], z + w), 0))
    return Equal(cases)


def _straight(value=None, ends=1):
    t = sp.Symbol("t", real=True)
    value = value or (lambda t, d: ((1 - t) ** 2 + t**2) * d)
    return _norm((ends - t, t, lambda d: value(t, d)))


def _circular(second=sp.sin, value=None):
    angle = sp.Symbol("alpha", real=True)
    value = value or (lambda d: sp.Integer(d))
    return _norm((sp.cos(angle), second(angle), value))


def _prior_swap(sign=1, exchanged=False, aggregate=True):
    """What another prior r changes in the average ELBO; N guides on K states."""
    cases = []
    for n, states in ((1, 2), (2, 2), (2, 3)):
        guides = [probabilities(f"q{i}_", states) for i in range(n)]
        p, r = probabilities("p", states), probabilities("r", states)
        gain = [sp.log(b) - sp.log(a) for a, b in zip(p, r, strict=True)]
        left = sum(mean(q, gain) for q in guides) / n
        q = [sum(column) / n for column in zip(*guides, strict=True)]
        q = q if aggregate else guides[0]
        to = (lambda a, b: kl(b, a)) if exchanged else kl
        cases.append((left, to(q, p) - sign * to(q, r)))
    return Equal(cases)


def _pca_residual(discarded=True, power=1, reverse=False, strict=False):
    """The error of projecting on a direction u, or on its complement, in 2 and 3 D."""
    gaps = positive("g1:4")
    cases, certificates = [], []
    for dim, keep in ((2, 1), (3, 1), (3, 2)):
        values = [sum(gaps[i:dim]) for i in range(dim)]  # decreasing
        u = [*positive("u1"), *real(f"u2:{dim + 1}")]
        if keep == 2:
            u = u[::-1]
        length = sum(c**2 for c in u)
        eps = real(f"e1:{dim + 1}")
        x = [sp.sqrt(v) * e for v, e in zip(values, eps, strict=True)]
        along = sum(a * b for a, b in zip(u, x, strict=True)) / length
        part = [c * along for c in u]
        rest = [a - b for a, b in zip(x, part, strict=True)]
        lost = sum(c**2 for c in (rest if keep == 1 else part))
        error = standard_normal_mean(lost, eps)
        chosen = values[keep:] if discarded else values[:keep]
        bound = sum(v**power for v in chosen)
        pair = (bound, error) if reverse else (error, bound)
        cases.append(pair)
        if keep == 1:
            terms = [(values[0] - v, c) for v, c in zip(values, u, strict=True)][1:]
        else:
            terms = [(v - values[-1], c) for v, c in zip(values, u, strict=True)][:-1]
        certificates.append([Term(w / length, SQUARE, c) for w, c in terms])
    points = [{u: 0 for u in real("u2:4")} | {c: 1 for c in [*gaps, *positive("u1")]}]
    proof = AtLeast(cases, certificates, strict=strict, points=points)
    if strict or reverse:
        return proof
    best = [(case[0].subs({c: 0 for c in real("u2:4")}), case[1]) for case in cases]
    return All([proof, Equal(best)])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-latent-metric",
        statement=r"""\begin{gathered}
\frac{\dd^2}{\dd t^2}
  \KL{p_\theta(x|z)}{p_\theta(x|z + t \delta)} \Big|_{t = 0}
  = \delta^\top G(z)\, \delta , \\
G(z) = \sum_{i=1}^{P} \frac{n}{\pi_i (1 - \pi_i)}\, \nabla \pi_i \nabla \pi_i^\top
\end{gathered}""",
        claim=_latent_metric,
        wrong={
            "without the count n": {"count": 0},
            "the plain Jacobian, all weights one": {"weight": lambda p: 1},
            "the variance in place of its inverse": {"weight": lambda p: p * (1 - p)},
            "with a factor one half": {"half": HALF},
        },
        assumptions="0 < π < 1, twice differentiable in z; independent binomial pixels",
        scope="two pixels, one and two latents, any count and any such π",
        computes="divergences.kl",
        value=lambda: _latent_metric().cases[3][1],
    ),
    Identity(
        label="eq-straight-norm",
        statement=r"""\E\left[ \lVert (1 - t)\, z + t\, z' \rVert^2 \right]
  = \bigl( (1 - t)^2 + t^2 \bigr) D""",
        claim=_straight,
        wrong={
            "the norm stays that of the ends": {"value": lambda t, d: sp.Integer(d)},
            "weights added, not squared": {"value": lambda t, d: (1 - 2 * t) ** 2 * d},
            "weights 2 − t and t": {"ends": 2},
        },
        assumptions="z, z′ independent, N(0, I) in D dimensions",
        scope="D = 1, 2, 3",
    ),
    Identity(
        label="eq-circular-norm",
        statement=r"""\E\left[
  \lVert \cos \alpha \; z + \sin \alpha \; z' \rVert^2 \right] = D""",
        claim=_circular,
        wrong={
            "1 − cos α for sin α": {"second": lambda a: 1 - sp.cos(a)},
            "D / 2, as on the straight line": {"value": lambda d: sp.Rational(d, 2)},
        },
        assumptions="z, z′ independent, N(0, I) in D dimensions",
        scope="D = 1, 2, 3",
        reference="white2016",
    ),
    Identity(
        label="eq-prior-swap",
        statement=r"""\frac1N \sum_{n=1}^{N}
  \E_{q(z|x_n)}\bigl[ \log r(z) - \log p(z) \bigr]
  = \KL{q(z)}{p(z)} - \KL{q(z)}{r(z)}""",
        claim=_prior_swap,
        wrong={
            "the divergences added": {"sign": -1},
            "arguments exchanged": {"exchanged": True},
            "one datum's guide for the aggregate": {"aggregate": False},
        },
        assumptions="p, q, r > 0 on the support",
        scope="all probabilities: one guide on 2 states, two guides on 2 and 3",
        computes="divergences.kl",
        value=lambda: _prior_swap().cases[1][1],
        reference="hoffman2016",
    ),
    Identity(
        label="eq-pca-residual",
        statement=r"""\E\left[ \lVert x - \mu - U U^\top (x - \mu) \rVert^2 \right]
  \ge \sum_{j=D+1}^{P} \lambda_j ,
  \quad \text{equal for } U = U_D""",
        claim=_pca_residual,
        wrong={
            "the largest eigenvalues in place of the smallest": {"discarded": False},
            "eigenvalues squared": {"power": 2},
            "the other direction": {"reverse": True},
            "never equal": {"strict": True},
        },
        assumptions="U has D orthonormal columns; λ₁ ≥ … ≥ λ_P eigenvalues of Cov[x]",
        scope="P = 2, D = 1; P = 3, D = 1 and 2; any direction, any distinct λ > 0",
        reference="baldi1989",
    ),
    *latent_space_uses.IDENTITIES,
]
