"""What losses optimise, for the chapter *The variational autoencoder*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import log_normal, normal_mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, AtLeast, Equal, Term

HALF = sp.Rational(1, 2)
IMAGES, PIXELS, LATENTS = 2, 3, 2
PICTURES = (((1, 0, 1), (0, 1, 0)), ((0, 1, 0), (1, 0, 1)), ((1, 1, 0), (0, 0, 0)))


def _terms(x, log_variance=1):
    """Cross-entropies and codes' prices as code has them; log-densities and KLs."""
    loc = [real("m1:3"), real("n1:3")]
    scale = [positive("s1:3"), positive("r1:3")]
    odds = [positive("a1:4"), positive("b1:4")]
    crosses, codes, log_liks, kls = [], [], [], []
    for b in range(IMAGES):
        probs = [a / (1 + a) for a in odds[b]]
        for p, bit in zip(probs, x[b], strict=True):
            crosses.append(-bit * sp.log(p) - (1 - bit) * sp.log(1 - p))
        pmf = [{1: p, 0: 1 - p}[bit] for p, bit in zip(probs, x[b], strict=True)]
        log_liks.append(sum(sp.log(mass) for mass in pmf))
        divergence = 0
        for m, s in zip(loc[b], scale[b], strict=True):
            v = log_variance * sp.log(s**2)  # what the encoder is said to return
            codes.append(-HALF * (1 + v - m**2 - sp.exp(v)))
            z = sp.Symbol("z", real=True)
            gain = log_normal(z, m, s) - log_normal(z, 0, 1)
            divergence += normal_mean(gain, z, m, s)
        kls.append(divergence)
    return crosses, codes, log_liks, kls


def _tutorial_loss(bce="mean", code="mean", log_variance=1):
    """The code's line against densities: two images of three pixels, two latents."""
    cases = []
    for x in PICTURES:
        crosses, codes, log_liks, kls = _terms(x, log_variance)
        size = {"mean": IMAGES * PIXELS, "sum": 1}[bce]
        per_image = {"mean": PIXELS, "batch": 1, "all": LATENTS}[code]
        left = sum(crosses) / size + sum(codes) / IMAGES / per_image
        cases.append((left, -(sum(log_liks) - sum(kls)) / IMAGES / PIXELS))
    return Equal(cases)


def _reductions(beta=lambda n1, n2: n1 / n2, outside=lambda n1, n2: n1):
    """A loss with any two divisors, against densities, for the same pictures."""
    n1, n2 = positive("k1 k2")
    cases = []
    for x in PICTURES:
        crosses, codes, log_liks, kls = _terms(x)
        left = sum(crosses) / n1 + sum(codes) / n2
        objective = sum(log_liks) - beta(n1, n2) * sum(kls)
        cases.append((left, -objective / outside(n1, n2)))
    return Equal(cases)


def _scale_slip(reverse=False, log_factor=1, power=2):
    """The price of a code against that with v = log σ where log σ² belongs."""
    cases, certificates = [], []
    for dim in (1, 2):
        price = slip = 0
        terms = []
        for m, s in zip(real(f"m1:{dim + 1}"), positive(f"s1:{dim + 1}"), strict=True):
            price += HALF * (m**2 + s**power - 1 - log_factor * sp.log(s**2))
            slip += HALF * (m**2 + s - 1 - sp.log(s))
            terms += [Term(HALF, SQUARE, s - 1), Term(HALF, LOG_TANGENT, s)]
        cases.append((slip, price) if reverse else (price, slip))
        certificates.append(terms)
    return AtLeast(cases, certificates)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-tutorial-loss",
        statement=r"""\begin{aligned}
& \frac{1}{B P} \sum_{b=1}^{B} \sum_{i=1}^{P}
  \operatorname{BCE}(x_{bi}, \pi_{bi})
  - \frac{1}{2 B P} \sum_{b=1}^{B} \sum_{d=1}^{D}
  \left( 1 + v_{bd} - \mu_{bd}^2 - e^{v_{bd}} \right) \\
& \qquad = -\frac{1}{P} \cdot \frac{1}{B} \sum_{b=1}^{B}
  \Bigl( \log p_\theta(x_b|z_b) - \KL{q_\phi(z|x_b)}{p(z)} \Bigr)
\end{aligned}""",
        claim=_tutorial_loss,
        wrong={
            "the KL averaged over the batch only": {"code": "batch"},
            "the KL averaged over batch and latents": {"code": "all"},
            "the BCE summed": {"bce": "sum"},
            "v = log σ": {"log_variance": HALF},
        },
        assumptions="binary x; v = log σ²; z_b one sample of q(z|x_b)",
        scope="batches of 2 images with 3 pixels, each pixel dark and light; 2 latents",
        computes="bounds.elbo_from_kl",
    ),
    Identity(
        label="eq-reductions",
        statement=r"""\begin{aligned}
& \frac{1}{n_1} \sum_{b=1}^{B} \bigl( -\log p_\theta(x_b|z_b) \bigr)
  + \frac{1}{n_2} \sum_{b=1}^{B} \KL{q_\phi(z|x_b)}{p(z)} \\
& \qquad = -\frac{1}{n_1} \sum_{b=1}^{B} \Bigl( \log p_\theta(x_b|z_b)
  - \frac{n_1}{n_2} \KL{q_\phi(z|x_b)}{p(z)} \Bigr)
\end{aligned}""",
        claim=_reductions,
        wrong={
            "β upside down": {"beta": lambda n1, n2: n2 / n1},
            "β = 1 whatever the divisors": {"beta": lambda n1, n2: sp.Integer(1)},
            "β = 1/n₂": {"beta": lambda n1, n2: 1 / n2},
            "the whole divided by n₂": {"outside": lambda n1, n2: n2},
        },
        assumptions="n₁, n₂ > 0; binary x; z_b one sample of q(z|x_b)",
        scope="batches of 2 images with 3 pixels, each pixel dark and light; 2 latents",
    ),
    Identity(
        label="eq-scale-slip",
        statement=r"""\begin{aligned}
& \frac12 \sum_{d=1}^{D} \left( \mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2 \right) \\
& \qquad \ge \frac12 \sum_{d=1}^{D} \left( \mu_d^2 + \sigma_d - 1
  - \log \sigma_d \right)
\end{aligned}""",
        claim=_scale_slip,
        wrong={
            "the other direction": {"reverse": True},
            "half of the logarithm on the left": {"log_factor": HALF},
            "σ where σ² belongs on the left": {"power": 1},
        },
        assumptions="σ > 0",
        scope="all means and scales in 1 and 2 dimensions",
    ),
]
