"""The identities of the chapter *Discrete latents*.

A guide has q_k = a_k / Σ a with a_k = exp φ_k, so that ∂/∂φ_k is a_k ∂/∂a_k.
Expectations over samples are sums over all tuples of states.
"""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic import discrete_gumbel
from vaelib.symbolic.algebra import mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, Equal, Limit

DEFINITIONS: dict[str, str] = {
    "eq-vimco": "the gradient estimator VIMCO of the importance-weighted bound",
    "eq-gumbel-softmax": "a relaxed sample of K states at temperature τ",
}
SIZES = ((2, 2), (2, 3), (3, 2), (3, 3))  # states of the latent, samples


def _guide(states):
    """Weights a, probabilities q, and the scores h(k) = ∂ log q_k / ∂φ_1."""
    a = positive(f"a1:{states + 1}")
    q = [w / sum(a) for w in a]
    return a, q, [(1 if k == 0 else 0) - q[0] for k in range(states)]


def _average(values):
    return sum(values) / sp.Integer(len(values))


def _sigmoid(t):
    return 1 / (1 + sp.exp(-t))


def _slope(f, a):
    """∂f / ∂φ_1."""
    return a[0] * sp.diff(f, a[0])


def _gradient(centred=True, sign=1):
    """∂ E_q[f] / ∂φ_1 = q_1 (f(1) − E_q[f]) = Cov_q[f, h]."""
    cases = []
    for n in (3, 2, 4):
        (a, q, h), f = _guide(n), real(f"f1:{n + 1}")
        m, score = (mean(q, f), mean(q, h)) if centred else (0, 0)
        products = [(u - m) * (v - score) for u, v in zip(f, h, strict=True)]
        left = _slope(mean(q, f), a)
        cases.append((left, sign * q[0] * (f[0] - m)))
        cases.append((left, sign * mean(q, products)))
    return Equal(cases)


def _jump(seen=1, power=2, spread="δ(1 − δ)"):
    """D over the three ranges of u: both bits one, only the second, both zero."""
    (eta,), (phi, zero, one) = positive("eta"), real("phi f0 f1")
    delta = _sigmoid(phi + eta) - _sigmoid(phi)
    probs = [_sigmoid(phi), delta, 1 - _sigmoid(phi) - delta]
    values = [(one - one) / eta, (one - zero) / eta, (zero - zero) / eta]
    first = mean(probs, values)
    second = mean(probs, [(v - first) ** 2 for v in values])
    shape = {"δ(1 − δ)": delta * (1 - delta), "δ": delta}[spread]
    slope = sp.diff(_sigmoid(phi), phi)
    cases = [
        (first, seen * delta / eta * (one - zero)),
        (second, shape / eta**power * (one - zero) ** 2),
    ]
    return All([Equal(cases), Limit(delta / eta, eta, sp.Integer(0), seen * slope)])


def _leave_one_out(f, h, own=False):
    """The leave-one-out estimate from values f and scores h of the samples."""
    n, total = sp.Integer(len(f)), sum(f)
    others = [total / n if own else (total - v) / (n - 1) for v in f]
    return sum((v - b) * w for v, b, w in zip(f, others, h, strict=True)) / n


def _rloo(divisor="S − 1", centred=True):
    """The estimate is the sample covariance of values and scores, for any of them."""
    cases = []
    for n in (2, 3, 4, 5):
        f, h = real(f"f1:{n + 1}"), real(f"h1:{n + 1}")
        m, k = (_average(f), _average(h)) if centred else (0, 0)
        below = {"S − 1": n - 1, "S": n}[divisor]
        right = sum((u - m) * (v - k) for u, v in zip(f, h, strict=True)) / below
        cases.append((_leave_one_out(f, h), right))
    return Equal(cases)


def _tuples(states, samples):
    """Guide, values f, and each tuple of samples: its probability and its estimate."""
    (a, q, h), f = _guide(states), real(f"f1:{states + 1}")
    draws = list(product(range(states), repeat=samples))
    return a, q, h, f, [(sp.prod([q[i] for i in t]), t) for t in draws]


def _rloo_unbiased(own=False, shared=False):
    """E[ĝ] = ∂ E_q[f] / ∂φ_1, by enumerating all tuples of samples."""
    cases = []
    for states, samples in SIZES:
        a, q, h, f, draws = _tuples(states, samples)
        left = sum(
            p * _leave_one_out([f[i] for i in t], [h[i] for i in t], own)
            for p, t in draws
        )
        exact = _slope(mean(q, f), a)
        cases.append((left, samples * exact if shared else exact))
    return Equal(cases)


def _rloo_variance(pairs=True, sign=1, mixed="(S − 2)/(S (S − 1))"):
    """The variance of the estimate, by enumeration, from moments under the guide."""
    cases = []
    for states, samples in ((2, 2), (2, 3), (3, 2), (2, 4)):
        _, q, h, f, draws = _tuples(states, samples)
        n, u, v = sp.Integer(samples), [x - mean(q, f) for x in f], h  # E[h] = 0

        m = {
            (i, j): mean(q, [x**i * y**j for x, y in zip(u, v, strict=True)])
            for i, j in ((1, 1), (2, 2), (2, 0), (0, 2))
        }
        left = sum(
            p * (_leave_one_out([f[i] for i in t], [h[i] for i in t]) - m[1, 1]) ** 2
            for p, t in draws
        )
        share = {"(S − 2)/(S (S − 1))": (n - 2) / (n * (n - 1)), "1/S": 1 / n}[mixed]
        price = sign * m[2, 0] * m[0, 2] / (n * (n - 1)) if pairs else 0
        cases.append((left, m[2, 2] / n - share * m[1, 1] ** 2 + price))
    return Equal(cases)


def _vimco(direct=True, baseline="others", share=False):
    """E[ĝ] = ∂ E[log (1/S) Σ w_s] / ∂φ_1 with w_k = c_k / q_k, by enumeration."""
    cases = []
    for states, samples in SIZES[:3]:
        (a, q, h), c = _guide(states), positive(f"c1:{states + 1}")
        w = [u / v for u, v in zip(c, q, strict=True)]
        left = bound = 0
        for t in product(range(states), repeat=samples):
            p, chosen = sp.prod([q[i] for i in t]), [w[i] for i in t]
            value = sp.log(_average(chosen))
            bound += p * value
            estimate = _slope(value, a) if direct else 0
            for s, i in enumerate(t):
                others = chosen[:s] + chosen[s + 1 :]
                used = others if baseline == "others" else chosen
                middle = sp.exp(_average([sp.log(x) for x in used]))
                rest = sp.log(_average([*others, sp.powdenest(middle, force=True)]))
                estimate += (value - rest) * h[i] / (samples if share else 1)
            left += p * estimate
        cases.append((left, _slope(bound, a)))
    return Equal(cases)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-discrete-jump",
        statement=r"""\begin{aligned}
\E_u[D_\eta] &= \frac{\delta_\eta}{\eta}\, \big( f(1) - f(0) \big) \\
\Var_u[D_\eta] &= \frac{\delta_\eta\, (1 - \delta_\eta)}{\eta^2}\,
\big( f(1) - f(0) \big)^2
\end{aligned}""",
        claim=_jump,
        wrong={
            "the jump never seen, as for the derivative": {"seen": 0},
            "a variance that stays bounded as η falls": {"power": 1},
            "the second moment for the variance": {"spread": "δ"},
        },
        assumptions="one bit z = 1[u < σ(φ)], u uniform; η > 0; δ = σ(φ + η) − σ(φ), "
        "and δ / η → σ′(φ)",
    ),
    Identity(
        label="eq-discrete-exact",
        statement=r"\frac{\partial}{\partial \phi_k}\, \E_q[f(z)]"
        r" = q_k\, \big( f(k) - \E_q[f(z)] \big) = \Cov_q\big[ f(z), h_k(z) \big]",
        claim=_gradient,
        wrong={
            "the mean of f forgotten": {"centred": False},
            "the sign": {"sign": -1},
        },
        assumptions="q_k = exp φ_k / Σ exp φ; f does not depend on φ",
        scope="all logits and all f on 2, 3 and 4 states",
        computes="estimators.enumerate_exact",
    ),
    Identity(
        label="eq-rloo",
        statement=r"""\begin{aligned}
\hat g &= \frac1S \sum_{s=1}^S \Big( f(z_s)
          - \frac{1}{S-1} \sum_{t \ne s} f(z_t) \Big)\, h(z_s) \\
&= \frac{1}{S-1} \sum_{s=1}^S \big( f(z_s) - \bar f \big) \big( h(z_s) - \bar h \big)
\end{aligned}""",
        claim=_rloo,
        wrong={
            "divided by S": {"divisor": "S"},
            "neither of the two centred": {"centred": False},
        },
        assumptions="S ≥ 2; f̄ and h̄ are the averages over the S samples",
        scope="S = 2, 3, 4 and 5; any values and scores",
        reference="kool2019",
    ),
    Identity(
        label="eq-rloo-unbiased",
        statement=r"\E[\hat g] = \nabla_\phi\, \E_q[f(z)]",
        claim=_rloo_unbiased,
        wrong={
            "a baseline that contains the sample itself": {"own": True},
            "the sum over samples for their average": {"shared": True},
        },
        assumptions="S ≥ 2 independent samples of q; f does not depend on φ",
        scope="all logits and all f on 2 and 3 states, S = 2 and 3",
        computes="estimators.score_function_leave_one_out",
        value=lambda: _rloo_unbiased().cases[3][1],
    ),
    Identity(
        label="eq-rloo-variance",
        statement=r"""\Var[\hat g_k] = \frac{\mu_{22}}{S}
- \frac{S - 2}{S (S - 1)}\, \mu_{11}^2 + \frac{\mu_{20}\, \mu_{02}}{S (S - 1)}""",
        claim=_rloo_variance,
        wrong={
            "the price of the estimated mean forgotten": {"pairs": False},
            "that price with the wrong sign": {"sign": -1},
            "the known mean's −μ₁₁²/S": {"mixed": "1/S"},
        },
        assumptions="μ_ij = E_q[(f − E f)^i (h_k − E h_k)^j]; S ≥ 2",
        scope="all logits and all f: 2 states with S = 2, 3 and 4, 3 states with S = 2",
        computes="estimators.score_function_leave_one_out",
        value=lambda: _rloo_variance().cases[2][1],
    ),
    Identity(
        label="eq-vimco-unbiased",
        statement=r"\E\big[ \hat g_{\mathrm{VIMCO}} \big]"
        r" = \nabla_\phi\, \E\Big[ \log \frac1S \sum_{s=1}^S w_s \Big]",
        claim=_vimco,
        wrong={
            "the weights' own gradient dropped": {"direct": False},
            "a baseline that contains the sample itself": {"baseline": "all"},
            "the signals averaged over the samples": {"share": True},
        },
        assumptions="S ≥ 2 independent samples of q; p(x, z) > 0",
        scope="all logits and all p(x, z): 2 states with S = 2 and 3, 3 with S = 2",
        computes="estimators.vimco",
        value=lambda: _vimco().cases[2][1],
        reference="mnih2016",
    ),
    *discrete_gumbel.IDENTITIES,
]
