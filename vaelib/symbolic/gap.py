"""The identities of the chapter *Measuring the gap*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic import gap_annealing
from vaelib.symbolic.algebra import Joint, kl, mean, positive, probabilities, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

DEFINITIONS: dict[str, str] = {
    "eq-annealing-path": "the densities between the guide and the posterior",
    "eq-annealed-weight": "the weight of an annealed chain",
    "eq-leapfrog": "one leapfrog step",
}


def _split(second="difference", swapped=False, sign=1):
    """log p(x) − ELBO(q) in two parts, for any two guides, on 2 and 3 states."""
    cases = []
    for n in (2, 3):
        model, q, best = Joint(n, 2), probabilities("q", n), probabilities("b", n)
        elbo, best_elbo = (
            mean(g, [sp.log(p / v) for p, v in zip(model.joint(0), g, strict=True)])
            for g in (q, best)
        )
        posterior = model.posterior(0)
        family = kl(posterior, best) if swapped else kl(best, posterior)
        rest = sign * (best_elbo - elbo)
        if second == "divergence":
            rest = kl(q, best)
        cases.append((sp.log(model.evidence[0]) - elbo, family + rest))
    return Equal(cases)


def _effective(own=1, squared=2, biased=0):
    """The squared standard error of a mean weight over that weight squared."""
    cases = []
    for n in (2, 3, 4):
        w = positive(f"w1:{n + 1}")
        average = sum(w) / sp.Integer(n)
        variance = sum((v - average) ** 2 for v in w) / sp.Integer(n - 1 + biased)
        size = sum(w) ** squared / sum(v**2 for v in w)
        right = (n / size - own) / sp.Integer(n - 1)
        cases.append((variance / n / average**2, right))
    return Equal(cases)


def _smooth(inner="variance", noise=1):
    """Var[h] = Var[E[h|z]] + E[Var[h|z]] for a function h of x on finite supports."""
    cases = []
    for latent, observed in ((2, 2), (2, 3)):
        prior, h = probabilities("p", latent), real(f"h1:{observed + 1}")
        lik = [probabilities(f"l{z}_", observed) for z in range(latent)]
        evidence = [mean(prior, column) for column in zip(*lik, strict=True)]
        centre = mean(evidence, h)
        whole = mean(evidence, [(v - centre) ** 2 for v in h])
        means = [mean(row, h) for row in lik]
        between = mean(prior, [(m - centre) ** 2 for m in means])
        spreads = [
            mean(row, [(v - (m if inner == "variance" else centre)) ** 2 for v in h])
            for row, m in zip(lik, means, strict=True)
        ]
        cases.append((whole, between + noise * mean(prior, spreads)))
    return Equal(cases)


def _ppca(kept="excess", shrink=2, noise=1):
    """Along a kept direction: variance of the data, of E[x|z], of reconstructions."""
    t, (excess, sigma) = sp.Symbol("t", real=True), positive("k sigma")
    value = excess + sigma**2  # the eigenvalue λ, above σ²
    u = sp.Matrix([1 - t**2, 2 * t]) / (1 + t**2)
    w = u * sp.sqrt(excess if kept == "excess" else value)
    covariance = w * w.T + noise * sigma**2 * sp.eye(2)
    decoded = w * w.T  # E[x|z] = W z + μ
    encode = (w.T * w + sigma**2 * sp.eye(1)).inv() * w.T
    back = w * encode  # W E[z|x] + μ
    rebuilt = back * (w * w.T + sigma**2 * sp.eye(2)) * back.T
    left = [(u.T * m * u)[0] for m in (covariance, decoded, rebuilt)]
    right = [value, excess, excess**shrink / value ** (shrink - 1)]
    return Equal(list(zip(left, right, strict=True)))


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-gap-split",
        statement=r"""\begin{aligned}
& \log p_\theta(x) - \ELBO(\theta, q; x) \\
& \quad = \underbrace{\KL{q^\star(z)}{p_\theta(z|x)}}_{\text{family gap}}
+ \underbrace{\ELBO(\theta, q^\star; x) - \ELBO(\theta, q; x)}_{\text{amortization gap}}
\end{aligned}""",
        claim=_split,
        wrong={
            "the divergence of the guide from the best one": {"second": "divergence"},
            "the first divergence the other way round": {"swapped": True},
            "the bounds exchanged": {"sign": -1},
        },
        assumptions="q, q* and p(z|x) positive on the support; both bounds finite",
        scope="all probabilities on supports of 2 and 3 states",
        computes="bounds.elbo",
        reference="cremer2018",
    ),
    Identity(
        label="eq-effective-samples",
        statement=r"""\frac{s_w^2}{K\, \bar w^2}
= \frac{1}{K - 1} \left( \frac{K}{\mathrm{ESS}} - 1 \right), \qquad
\mathrm{ESS} = \frac{\left( \sum_k w_k \right)^2}{\sum_k w_k^2}""",
        claim=_effective,
        wrong={
            "without the one": {"own": 0},
            "the sum of the weights not squared": {"squared": 1},
            "the variance divided by K": {"biased": 1},
        },
        assumptions="K ≥ 2 weights, w > 0",
        scope="all weights for K = 2, 3 and 4",
        computes="evaluation.lower_bound",
        value=lambda: _effective().cases[1][1],
    ),
    *gap_annealing.IDENTITIES,
    Identity(
        label="eq-smooth-means",
        statement=r"""\Var[h(x)] = \Var_{p(z)}\bigl[ \E_{p_\theta(x|z)}[h(x)] \bigr]
+ \E_{p(z)}\bigl[ \Var_{p_\theta(x|z)}[h(x)] \bigr]""",
        claim=_smooth,
        wrong={
            "without the pixel noise": {"noise": 0},
            "the inner spread about the common mean": {"inner": "common"},
            "the noise subtracted": {"noise": -1},
        },
        assumptions="h(x) has a variance under the model",
        scope="every h and all probabilities, 2 states of z, 2 and 3 of x",
    ),
    Identity(
        label="eq-ppca-blur",
        statement=r"""\begin{aligned}
\Var[u_j^\top x] &= \lambda_j \\
\Var\bigl[ u_j^\top \E[x|z] \bigr] &= \lambda_j - \sigma^2 \\
\Var[u_j^\top \hat x] &= \frac{(\lambda_j - \sigma^2)^2}{\lambda_j}
\end{aligned}""",
        claim=_ppca,
        wrong={
            "the noise counted as signal": {"kept": "all"},
            "reconstructions not shrunk": {"shrink": 1},
            "pixels without noise": {"noise": 0},
        },
        assumptions="the maximum-likelihood model, λ_j > σ², j ≤ D; x from the model",
        scope="P = 2, D = 1, in every direction",
        computes="models.LinearGaussian.posterior",
        value=lambda: _ppca().cases[2][1],
        reference="tipping1999",
    ),
]
