"""The identities about diffusion in the chapter *The neighbours*."""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic.algebra import (
    log_normal,
    mean,
    normal_mean,
    positive,
    probabilities,
    real,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

HALF = sp.Rational(1, 2)


def _marginal(root=True, summed=False, mixed=False):
    """x_t = √α_t x_{t−1} + √(1 − α_t) ε_t, written out for one to four steps."""
    roots, start = positive("r1:5"), sp.Symbol("x", real=True)
    noises = real("e1:5")
    cases, x, total, added = [], start, sp.Integer(1), sp.Integer(0)
    for r, e in zip(roots, noises, strict=True):
        x = sp.expand(r * x + sp.sqrt(1 - r**2) * e)
        total, added = total * r**2, added + 1 - r**2
        loc = sp.sqrt(total) if root else total
        variance = added if summed else 1 - (sp.sqrt(total) if mixed else total)
        cases += [
            (x.coeff(start) * start, loc * start),
            (sum(x.coeff(n) ** 2 for n in noises), variance),
        ]
    return Equal(cases, {r: (0, 1) for r in roots})


def _steps():
    """α_t = 1/(1 + a) and ᾱ_{t−1} = 1/(1 + b), so that all variances are positive."""
    a, b = positive("a b")
    alpha, before = 1 / (1 + a), 1 / (1 + b)
    return alpha, before, alpha * before


def _posterior_mean(x0, xt, alpha, before, now):
    return (sp.sqrt(before) * (1 - alpha) * x0 + sp.sqrt(alpha) * (1 - before) * xt) / (
        1 - now
    )


def _log_normal(x, loc, variance):
    variance = sp.factor(variance)
    return -((x - loc) ** 2) / (2 * variance) - sp.log(2 * sp.pi * variance) / 2


def _posterior(prior_variance=False, exchanged=False, plain=False):
    """Bayes' rule for the step back: log-densities subtracted."""
    x0, x1, x2 = real("x0 x1 x2")  # x_0, x_{t−1}, x_t
    alpha, before, now = _steps()
    left = (
        _log_normal(x2, sp.sqrt(alpha) * x1, 1 - alpha)
        + _log_normal(x1, sp.sqrt(before) * x0, 1 - before)
        - _log_normal(x2, sp.sqrt(now) * x0, 1 - now)
    )
    loc = _posterior_mean(*((x2, x0) if exchanged else (x0, x2)), alpha, before, now)
    if plain:
        loc = x2 / sp.sqrt(alpha)  # the step undone
    variance = (1 - alpha) * (1 if prior_variance else (1 - before) / (1 - now))
    return Equal([(left, _log_normal(x1, loc, variance))])


def _guide(t, i, steps):
    """Any two probabilities; with three steps, those of one symmetric flip."""
    if steps == 2:
        return probabilities(f"q{t}{i}_", 2)
    stay, flip = probabilities("q", 2)
    return (flip, stay) if i else (stay, flip)


def _elbo(exchanged=False, first=2, end=True):
    """Chains of two states and two or three steps; any guide, any model."""
    cases = []
    for steps in (2, 3):
        # the guide's step t from state i to state j; x_0 is in state 0
        odds = {
            (t, i): _guide(t, i, steps) for t in range(1, steps + 1) for i in (0, 1)
        }
        last = positive(f"p{steps}_1:3")
        back = {
            (t, i): positive(f"p{t}{i}_1:{2 if t == 0 else 3}")
            for t in range(steps)
            for i in (0, 1)
        }  # p(x_t = j | x_{t+1} = i); only p(x_0 = 0 | x_1) is needed

        def forward(path, odds=odds):
            pairs = zip((0, *path), path, strict=False)
            return sp.prod([odds[t, i][j] for t, (i, j) in enumerate(pairs, 1)])

        paths = list(product((0, 1), repeat=steps))
        chance = {path: forward(path) for path in paths}
        log_w = []
        for path in paths:
            states = (0, *path)
            value = sp.log(last[path[-1]]) - sp.log(chance[path])
            for t in range(steps):
                value += sp.log(back[t, states[t + 1]][states[t]])
            log_w.append(value)
        left = mean([chance[p] for p in paths], log_w)

        def marginal(t, j, paths=paths, chance=chance):
            return sp.cancel(sum(chance[p] for p in paths if p[t - 1] == j))

        right = sum(marginal(1, j) * sp.log(back[0, j][0]) for j in (0, 1))
        if end:
            pairs = [(marginal(steps, j), last[j]) for j in (0, 1)]
            right -= _divergence(pairs, exchanged)
        for t in range(first, steps + 1):
            for i in (0, 1):
                rows = [
                    sum(
                        chance[p]
                        for p in paths
                        if p[t - 1] == i and (p[t - 2] if t > 1 else 0) == j
                    )
                    for j in (0, 1)
                ]
                rows = [sp.cancel(r / marginal(t, i)) for r in rows]
                models = back[t - 1, i] if t > 1 else [*back[0, i], 1]
                pairs = [
                    pair for pair in zip(rows, models, strict=True) if pair[0] != 0
                ]
                right -= marginal(t, i) * _divergence(pairs, exchanged)
        cases.append((left, right))
    return Equal(cases)


def _divergence(pairs, exchanged):
    if exchanged:
        pairs = [(b, a) for a, b in pairs]
    return sum(a * (sp.log(a) - sp.log(b)) for a, b in pairs)


def _noise(half=HALF, simple=False, sign=1):
    """The divergence of one step in one and two dimensions, from its log-densities."""
    a, b = positive("a b")  # above one: α_t = 1/a², ᾱ_{t−1} = 1/b²
    alpha, before, now = a**-2, b**-2, (a * b) ** -2
    ratio = before / (1 - before), now / (1 - now)  # the signal-to-noise ratios
    variance = sp.factor((1 - alpha) * (1 - before) / (1 - now))
    z, one, other = real("z m n")
    scale = sp.Symbol("s", positive=True)
    gain = log_normal(z, one, scale) - log_normal(z, other, scale)
    divergence = normal_mean(gain, z, one, scale)
    cases = []
    for dim in (1, 2):
        left = by_x = by_noise = sp.Integer(0)
        for x0, e, g in zip(*(real(f"{n}1:{dim + 1}") for n in "xeg"), strict=True):
            xt = sp.sqrt(now) * x0 + sp.sqrt(1 - now) * e
            guess = (xt - sp.sqrt(1 - now) * g) / sp.sqrt(now)
            means = [_posterior_mean(v, xt, alpha, before, now) for v in (x0, guess)]
            left += divergence.subs(
                {one: means[0], other: means[1], scale: sp.sqrt(variance)}
            )
            by_x += sign * half * (ratio[0] - ratio[1]) * (x0 - guess) ** 2
            weight = sp.Integer(1) if simple else half * (ratio[0] / ratio[1] - 1)
            by_noise += weight * (e - g) ** 2
        cases += [(left, by_noise), (left, by_x)]
    return Equal(cases, {a: (1, 3), b: (1, 3)})


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-diffusion-marginal",
        statement=r"""q(x_t \mid x_0) = \N\bigl(x_t; \sqrt{\bar\alpha_t}\, x_0,
  (1 - \bar\alpha_t) I\bigr) , \qquad
  \bar\alpha_t = \alpha_1 \alpha_2 \cdots \alpha_t""",
        claim=_marginal,
        wrong={
            "the mean without the root": {"root": False},
            "the variances of the steps added": {"summed": True},
            "1 − √ᾱ for the variance": {"mixed": True},
        },
        assumptions="0 < α < 1",
        scope="one to four steps, each coordinate by itself",
        reference="ho2020",
    ),
    Identity(
        label="eq-diffusion-posterior",
        statement=r"""\begin{aligned}
& q(x_{t-1} \mid x_t, x_0) = \N\bigl(x_{t-1};
  \tilde\mu_t(x_t, x_0), \tilde\sigma_t^2 I\bigr) , \\
& \tilde\mu_t(x_t, x_0) = \frac{\sqrt{\bar\alpha_{t-1}}\, (1 - \alpha_t)\, x_0
  + \sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})\, x_t}{1 - \bar\alpha_t} , \\
& \tilde\sigma_t^2 = \frac{(1 - \alpha_t)(1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}
\end{aligned}""",
        claim=_posterior,
        wrong={
            "the variance of the step forward": {"prior_variance": True},
            "x_0 and x_t exchanged": {"exchanged": True},
            "the step forward undone": {"plain": True},
        },
        assumptions="0 < α < 1, t ≥ 2",
        scope="each coordinate by itself",
        reference="ho2020",
    ),
    Identity(
        label="eq-diffusion-elbo",
        statement=r"""\begin{aligned}
& \E_{q(x_{1:T}|x_0)}[\log w] = \E_{q(x_1|x_0)}[\log p_\theta(x_0 \mid x_1)]
  - \KL{q(x_T|x_0)}{p(x_T)} \\
& \qquad - \sum_{t=2}^{T} \E_{q(x_t|x_0)}\bigl[
  \KL{q(x_{t-1}|x_t, x_0)}{p_\theta(x_{t-1}|x_t)} \bigr]
\end{aligned}""",
        claim=_elbo,
        wrong={
            "without the last step's divergence": {"end": False},
            "the sum from t = 1": {"first": 1},
            "the arguments exchanged": {"exchanged": True},
        },
        assumptions="q and p_θ Markov chains with positive probabilities",
        scope="2 states: all chains of 2 steps; 3 steps of one symmetric flip, any p_θ",
        computes="bounds.elbo",
        reference="sohldickstein2015",
    ),
    Identity(
        label="eq-diffusion-noise",
        statement=r"""\begin{aligned}
& \KL{q(x_{t-1}|x_t, x_0)}{\N\bigl(\tilde\mu_t(x_t, \hat x_0),
  \tilde\sigma_t^2 I\bigr)} \\
& \qquad = \frac12 \bigl( \rho_{t-1} - \rho_t \bigr) \lVert x_0 - \hat x_0 \rVert^2
  = \frac12 \Bigl( \frac{\rho_{t-1}}{\rho_t} - 1 \Bigr)
  \lVert \varepsilon - \hat\varepsilon \rVert^2
\end{aligned}""",
        claim=_noise,
        wrong={
            "weight one, as in the simple loss": {"simple": True},
            "without the one half": {"half": sp.Integer(1)},
            "the sign of the difference": {"sign": -1},
        },
        assumptions="ρ = ᾱ / (1 − ᾱ); ε and ε̂ belong to x_t and x_0, x̂_0",
        scope="one and two dimensions",
        computes="divergences.kl",
        reference="kingma2021",
    ),
]
