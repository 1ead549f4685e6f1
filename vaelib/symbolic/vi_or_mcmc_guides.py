"""Identities of *Variational inference or MCMC?*: independence, modes, minibatches."""

from __future__ import annotations

from itertools import combinations

import sympy as sp

from vaelib.symbolic.algebra import entropy, kl, mean, positive, probabilities, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, Equal


def _mean_field_variance(power=2, exchanged=False):
    """1/Λ_ii by the regression of z_i on the others, for Σ = LLᵀ in 2 and 3 dims."""
    cases = []
    for d in (2, 3):
        lower = sp.zeros(d, d)
        for i in range(d):
            lower[i, i] = sp.Symbol(f"l{i}{i}", positive=True)
            for j in range(i):
                lower[i, j] = sp.Symbol(f"l{i}{j}", real=True)
        cov = lower * lower.T
        precision = cov.adjugate() / sp.prod(lower.diagonal()) ** 2
        for i in range(d):
            rest = [j for j in range(d) if j != i]
            across, among = cov.extract([i], rest), cov.extract(rest, rest)
            explained = (across * among.inv(method="ADJ") * across.T)[0]
            share = explained / cov[i, i]  # R²
            if exchanged:
                right = cov[i, i] / (1 - share)
            else:
                right = (1 - share ** sp.Rational(power, 2)) * cov[i, i]
            cases.append((1 / precision[i, i], right))
    return Equal(cases)


def _one_mode(sign=-1, complement=False, exchanged=False):
    """q lives on part A of the states, p on all of them."""
    cases = []
    for n, inside in ((2, 1), (4, 2), (4, 3)):
        p, q = probabilities("p", n), probabilities("q", inside)
        weight = sp.cancel(sum(p[:inside]))
        part = [sp.cancel(mass / weight) for mass in p[:inside]]
        if complement:
            weight = 1 - weight
        pair = (part, q) if exchanged else (q, part)
        cases.append((kl(q, p[:inside]), kl(*pair) + sign * sp.log(weight)))
    return Equal(cases)


def _modes_elbo(spread=True, exchanged=False, sign=-1):
    """Guides on disjoint states: the mixture's ELBO, and its distance from the best."""
    joint, w = positive("c1:5"), probabilities("w", 2)
    parts = [probabilities("q", 2), probabilities("r", 2)]
    elbos, mixed = [], []
    for k, q in enumerate(parts):
        log_w = [sp.log(c) - sp.log(a) for c, a in zip(joint[2 * k :], q, strict=False)]
        elbos.append(mean(q, log_w))
        mixed += [w[k] * a for a in q]
    left = mean(mixed, [sp.log(c) for c in joint]) + entropy(mixed)
    half_way = mean(w, elbos) + (entropy(w) if spread else 0)
    cases = [(left, half_way)]
    for n in (2, 3):
        weights, mass = probabilities("w", n), positive(f"t1:{n + 1}")  # t = exp(ELBO)
        best = [t / sum(mass) for t in mass]
        pair = (best, weights) if exchanged else (weights, best)
        left = mean(weights, [sp.log(t) for t in mass]) + entropy(weights)
        cases.append((left, sp.log(sum(mass)) + sign * kl(*pair)))
    return All([Equal(cases)])


def _value_of_modes():
    """log Σ exp ELBO_k − KL(w ‖ best) for two guides on two states each."""
    joint, w = positive("c1:5"), probabilities("w", 2)
    mass = []
    for k, name in enumerate("qr"):
        q = probabilities(name, 2)
        pairs = zip(joint[2 * k : 2 * k + 2], q, strict=True)
        mass.append(sp.exp(mean(q, [sp.log(c) - sp.log(a) for c, a in pairs])))
    best = [t / sum(mass) for t in mass]
    return sp.log(sum(mass)) - kl(w, best)


def _batches(n, size):
    log_lik = real(f"f1:{n + 1}")
    return log_lik, [sum(batch) for batch in combinations(log_lik, size)]


def _minibatch(scale="N/M", prior="once"):
    """The mean over all batches of M of N data."""
    rest, cases = sp.Symbol("g", real=True), []  # log p(z) − log q(z)
    for n in (2, 3, 4):
        for m in range(1, n):
            log_lik, sums = _batches(n, m)
            factor = {"N/M": sp.Rational(n, m), "1/M": sp.Rational(1, m), "1": 1}[scale]
            share = factor if prior == "scaled" else 1
            left = sum(factor * s + share * rest for s in sums) / len(sums)
            cases.append((left, sum(log_lik) + rest))
    return Equal(cases)


def _minibatch_variance(without=True, lost=1):
    cases = []
    for n in (3, 4):
        for m in range(1, n):
            log_lik, sums = _batches(n, m)
            values = [sp.Rational(n, m) * s for s in sums]
            centre = sum(values) / len(values)
            left = sum((v - centre) ** 2 for v in values) / len(values)
            average = sum(log_lik) / n
            spread = sum((v - average) ** 2 for v in log_lik) / (n - lost)
            factor = 1 - sp.Rational(m, n) if without else 1
            cases.append((left, sp.Rational(n**2, m) * factor * spread))
    return Equal(cases)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-mean-field-variance",
        statement=r"""\frac{1}{\Lambda_{ii}} = (1 - R_i^2)\, \Sigma_{ii}, \qquad
R_i^2 = \frac{\Sigma_{i,-i}\, \Sigma_{-i,-i}^{-1}\, \Sigma_{-i,i}}{\Sigma_{ii}}""",
        claim=_mean_field_variance,
        wrong={
            "R for R²": {"power": 1},
            "the inflation for the shrinkage": {"exchanged": True},
        },
        assumptions="Σ positive definite, Λ = Σ⁻¹; −i are all coordinates but i",
        scope="all Σ in 2 and 3 dimensions",
    ),
    Identity(
        label="eq-one-mode",
        statement=r"""\KL{q}{p} = \KL{q}{p_A} - \log p(A)
  \qquad \text{if } q \text{ vanishes outside } A""",
        claim=_one_mode,
        wrong={
            "the sign of the logarithm": {"sign": 1},
            "the weight of what is missed": {"complement": True},
            "the arguments exchanged": {"exchanged": True},
        },
        assumptions="p > 0; p_A is p restricted to A and divided by p(A)",
        scope="all p on 2 and 4 states, A of 1, 2 and 3 of them",
        computes="divergences.kl",
        value=lambda: _one_mode().cases[1][1],
    ),
    Identity(
        label="eq-modes-elbo",
        statement=r"""\begin{aligned}
\ELBO\Bigl( \sum_k w_k\, q_k \Bigr)
  &= \sum_k w_k \ELBO(q_k) + \mathrm{H}[w] \\
  &= \log \sum_k e^{\ELBO(q_k)} - \KL{w}{\hat w}, \qquad
  \hat w_k = \frac{e^{\ELBO(q_k)}}{\sum_j e^{\ELBO(q_j)}}
\end{aligned}""",
        claim=_modes_elbo,
        wrong={
            "without the entropy of the weights": {"spread": False},
            "the divergence's arguments exchanged": {"exchanged": True},
            "the divergence added": {"sign": 1},
        },
        assumptions="the q_k have disjoint supports; p(x, z), w > 0",
        scope="all guides on two parts of 2 states each; weights of 2 and 3 parts",
        computes="bounds.elbo",
        value=_value_of_modes,
    ),
    Identity(
        label="eq-minibatch",
        statement=r"""\begin{aligned}
& \E_{\mathcal M}\Bigl[ \frac NM \sum_{n \in \mathcal M} \log p(x_n|z)
  + \log p(z) - \log q(z) \Bigr] \\
& \qquad = \sum_{n=1}^{N} \log p(x_n|z) + \log p(z) - \log q(z)
\end{aligned}""",
        claim=_minibatch,
        wrong={
            "the batch's mean for N/M times its sum": {"scale": "1/M"},
            "the batch's sum, not scaled": {"scale": "1"},
            "prior and guide scaled as well": {"prior": "scaled"},
        },
        assumptions="every set of M of the N data is equally likely",
        scope="2, 3 and 4 data, all sizes of the batch",
        reference="hoffman2013",
    ),
    Identity(
        label="eq-minibatch-variance",
        statement=r"""\Var_{\mathcal M}\Bigl[ \frac NM
  \sum_{n \in \mathcal M} f_n \Bigr]
  = \frac{N^2}{M} \Bigl( 1 - \frac MN \Bigr) S^2, \qquad
  S^2 = \frac{1}{N - 1} \sum_{n=1}^{N} \bigl( f_n - \bar f\, \bigr)^2""",
        claim=_minibatch_variance,
        wrong={
            "as if drawn with replacement": {"without": False},
            "N for N − 1": {"lost": 0},
        },
        assumptions="every set of M of the N data is equally likely",
        scope="3 and 4 data, all sizes of the batch",
    ),
]
