"""The identities of the chapter *Variational inference or MCMC?*."""

from __future__ import annotations

from itertools import combinations

import sympy as sp

from vaelib.symbolic import vi_or_mcmc_guides
from vaelib.symbolic.algebra import mean, positive, probabilities, standard_normal_mean
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

DEFINITIONS: dict[str, str] = {
    "eq-metropolis": "the Metropolis–Hastings transition: propose, then accept or stay",
    "eq-ess": "the effective sample size of a chain",
    "eq-rhat": "the potential scale reduction of several chains",
    "eq-tempered": "the tempered distributions between prior and posterior",
}


def _capped(ratio):
    """min(1, ratio), resolved where the symbols' signs decide."""
    excess = sp.factor(sp.together(ratio - 1))
    if excess.is_nonnegative:
        return sp.Integer(1)
    return ratio if excess.is_nonpositive else sp.Min(1, ratio)


def _chains(n, rule, wasted):
    """π and P of Metropolis–Hastings on n states, for each order of the pairs' flows.

    The flow π_i q_ij and its reverse are a and a + d or the other way round; π and one
    flow of each pair are arbitrary, so that the proposal is not symmetric. On three
    states the larger flows form a cycle or they do not: up to a renaming of the states
    that is all.
    """
    pi = positive(f"w1:{n + 1}")
    pairs = list(combinations(range(n), 2))
    orders = (
        [(True,), (False,)] if n == 2 else [(True, True, True), (True, False, True)]
    )
    for order in orders:
        q, accept = sp.zeros(n, n), sp.zeros(n, n)
        for up, (i, j) in zip(order, pairs, strict=True):
            a, d = positive(f"a{i}{j} d{i}{j}")
            there, back = (a, a + d) if up else (a + d, a)
            q[i, j], q[j, i] = there / pi[i], back / pi[j]
        for i, j in [*pairs, *((j, i) for i, j in pairs)]:
            ratio = pi[j] * q[j, i] / (pi[i] * q[i, j])
            if rule == "inverted":
                ratio = 1 / ratio
            elif rule == "metropolis":
                ratio = pi[j] / pi[i]
            accept[i, j] = _capped(sp.cancel(ratio))
        step = q.multiply_elementwise(accept)
        for i in range(n):
            if wasted:
                step[i, i] = 1 - sum(step[i, :])
            else:
                step[i, :] /= sum(step[i, :])
        yield pi, step


def _detailed_balance(rule="hastings", wasted=True):
    return Equal(
        [
            (pi[0] * step[0, 1], pi[1] * step[1, 0])
            for n in (2, 3)
            for pi, step in _chains(n, rule, wasted)
        ]
    )


def _stationary(rule="hastings", wasted=True):
    return Equal(
        [
            (mean(pi, step[:, j]), pi[j])
            for pi, step in _chains(3, rule, wasted)
            for j in range(3)
        ]
    )


def _swap(sign=1, powers=True):
    """The ratio of a swap between two tempered distributions on three states."""
    prior = probabilities("r", 3)
    lik = positive("l1:4")
    betas = positive("b1:3")
    mass = [
        [
            r * x**b / sum(s * y**b for s, y in zip(prior, lik, strict=True))
            for r, x in zip(prior, lik, strict=True)
        ]
        for b in betas
    ]
    (first, second), cases = mass, []
    for i, j in combinations(range(3), 2):
        left = sum(sp.log(m) for m in (first[j], second[i]))
        left -= sum(sp.log(m) for m in (first[i], second[j]))
        change = sp.log(lik[j]) - sp.log(lik[i])
        if not powers:
            change += sp.log(prior[j]) - sp.log(prior[i])
        cases.append((left, sign * (betas[0] - betas[1]) * change))
    return Equal(cases)


def _bias_variance(bias_power=2, spread="variance"):
    """Mean squared error of an estimate with two, three or four possible values."""
    truth, cases = sp.Symbol("theta", real=True), []
    for n in (2, 3, 4):
        probs, values = probabilities("p", n), sp.symbols(f"t1:{n + 1}", real=True)
        centre = mean(probs, values)
        variance = mean(probs, [(v - centre) ** 2 for v in values])
        if spread == "about the truth":
            variance = mean(probs, [(v - truth) ** 2 for v in values])
        error = mean(probs, [(v - truth) ** 2 for v in values])
        cases.append((error, (centre - truth) ** bias_power + variance))
    return Equal(cases)


def _sum_of_correlations(n, rho):
    """n Var(mean) / σ² by the double sum over all pairs of a stationary chain."""
    return sum(rho(abs(i - j)) for i in range(n) for j in range(n)) / sp.Integer(n)


def _chain_variance(factor=2, taper=1):
    cases = []
    for n in range(2, 7):
        lags = [sp.Integer(1), *sp.symbols(f"rho1:{n}", real=True)]
        variance = sp.Symbol("s", positive=True) ** 2
        series = 1 + factor * sum(
            (1 - taper * sp.Rational(k, n)) * lags[k] for k in range(1, n)
        )
        left = variance * _sum_of_correlations(n, lambda k, r=lags: r[k]) / n
        cases.append((left, variance / n * series))
    return Equal(cases)


def _autoregressive(edge=True, inverted=False):
    rho = sp.Symbol("rho", real=True)
    cases = []
    for n in range(2, 7):
        right = (1 + rho) / (1 - rho)
        if inverted:
            right = 1 / right
        if edge:
            right -= 2 * rho * (1 - rho**n) / (n * (1 - rho) ** 2)
        cases.append((_sum_of_correlations(n, lambda k: rho**k), right))
    return Equal(cases, {rho: (-1, 1)})


def _sample_variance(lost=1, factor=2):
    """E[(s² − σ²)²] for two, three and four draws of a normal."""
    sigma, cases = sp.Symbol("sigma", positive=True), []
    for n in (2, 3, 4):
        eps = sp.symbols(f"e1:{n + 1}", real=True)
        centre = sum(eps) / n
        estimate = sigma**2 * sum((e - centre) ** 2 for e in eps) / (n - 1)
        left = standard_normal_mean((estimate - sigma**2) ** 2, eps)
        cases.append((left, factor * sigma**4 / (n - lost)))
    return Equal(cases)


HASTINGS = {
    "accepted with the ratio upside down": {"rule": "inverted"},
    "the proposal's ratio left out": {"rule": "metropolis"},
    "a rejected step not counted": {"wasted": False},
}

IDENTITIES: list[Identity] = [
    Identity(
        label="eq-detailed-balance",
        statement=r"\pi_i\, P_{ij} = \pi_j\, P_{ji}",
        claim=_detailed_balance,
        wrong=HASTINGS,
        assumptions="π_i, q_ij > 0 for i ≠ j; P from eq-metropolis",
        scope="all π and q on 2 and 3 states, whichever flow of a pair is larger",
    ),
    Identity(
        label="eq-stationary",
        statement=r"\sum_i \pi_i\, P_{ij} = \pi_j",
        claim=_stationary,
        wrong=HASTINGS,
        assumptions="π_i, q_ij > 0 for i ≠ j; P from eq-metropolis",
        scope="all π and q on 3 states, whichever flow of each pair is larger",
        reference="hastings1970",
    ),
    Identity(
        label="eq-bias-variance",
        statement=r"""\E\bigl[(\hat\theta - \theta)^2\bigr]
  = \bigl(\E[\hat\theta] - \theta\bigr)^2 + \Var[\hat\theta]""",
        claim=_bias_variance,
        wrong={
            "the bias not squared": {"bias_power": 1},
            "the spread about the truth for the variance": {
                "spread": "about the truth"
            },
        },
        assumptions="a finite second moment",
        scope="all estimates with 2, 3 and 4 possible values",
    ),
    Identity(
        label="eq-chain-variance",
        statement=r"""\Var\Bigl[ \frac1n \sum_{t=1}^{n} h_t \Bigr]
  = \frac{\sigma^2}{n} \Bigl[ 1 + 2 \sum_{k=1}^{n-1}
  \Bigl( 1 - \frac kn \Bigr) \rho_k \Bigr]""",
        claim=_chain_variance,
        wrong={
            "each lag counted once": {"factor": 1},
            "all lags as frequent": {"taper": 0},
        },
        assumptions="a stationary chain with variance σ² and autocorrelations ρ_k",
        scope="2 to 6 steps, all autocorrelations",
    ),
    Identity(
        label="eq-autoregressive",
        statement=r"""1 + 2 \sum_{k=1}^{n-1} \Bigl( 1 - \frac kn \Bigr) \rho^k
  = \frac{1 + \rho}{1 - \rho} - \frac{2 \rho\, (1 - \rho^n)}{n\, (1 - \rho)^2}""",
        claim=_autoregressive,
        wrong={
            "the limit for a finite chain": {"edge": False},
            "numerator and denominator exchanged": {"inverted": True},
        },
        assumptions="−1 < ρ < 1",
        scope="2 to 6 steps",
    ),
    Identity(
        label="eq-sample-variance",
        statement=r"\E\bigl[(s^2 - \sigma^2)^2\bigr] = \frac{2 \sigma^4}{n - 1}",
        claim=_sample_variance,
        wrong={"n for n − 1": {"lost": 0}, "the factor two dropped": {"factor": 1}},
        assumptions="n independent draws of a normal; s² divides by n − 1",
        scope="2, 3 and 4 draws",
    ),
    *vi_or_mcmc_guides.IDENTITIES,
    Identity(
        label="eq-swap",
        statement=r"""\log \frac{\pi_\beta(z')\, \pi_{\beta'}(z)}
  {\pi_\beta(z)\, \pi_{\beta'}(z')}
  = (\beta - \beta') \bigl[ \log p(x|z') - \log p(x|z) \bigr]""",
        claim=_swap,
        wrong={
            "the sign": {"sign": -1},
            "the log-joint in place of the log-likelihood": {"powers": False},
        },
        assumptions="p(z), p(x|z) > 0; π_β from eq-tempered",
        scope="all priors, likelihoods and temperatures on 3 states",
    ),
]
