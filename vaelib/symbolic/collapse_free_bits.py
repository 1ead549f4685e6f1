"""The identities of the chapter *Posterior collapse*: free bits.

Notation as in `collapse_rates`.
"""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import positive
from vaelib.symbolic.collapse_rates import error, rate
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, All, AtLeast, Equal, Term

HALF = sp.Rational(1, 2)


def _free_bits(reverse=False, least=False):
    """The ELBO and the objective with two coordinates, above or below the floor."""
    floor, log_lik, above, gap = positive("k r a g")
    cases, certificates = [], []
    for rates in ((floor + above, floor - gap), (floor - gap, floor - gap)):
        paid = [(sp.Min if least else sp.Max)(rate, floor) for rate in rates]
        elbo, objective = log_lik - sum(rates), log_lik - sum(paid)
        cases.append((objective, elbo) if reverse else (elbo, objective))
        short = sum(1 for rate in rates if rate == floor - gap)
        certificates.append([Term(short * gap, SQUARE, sp.Integer(1))])
    return AtLeast(cases, certificates)


def _free_bits_optimum(free=True, half=HALF):
    """No w, v, s does better than the rate r = max(κ, ½ log(λ/σ²)) with its decoder.

    By `eq-rate-distortion` the error is at least λ e^(−2R), so it is enough to compare
    rates R. κ = ½ log(1 + y); κ + ½ log(1 + u) has e^(−2R) = 1 / (1 + y)(1 + u).
    """
    y, u, s2, e = positive("y u s2 e")

    def value(power, paid, data):  # the objective at e^(−2R) = power
        return -data * power / (2 * s2) - paid

    floor = sp.log(1 + y) * half
    equal, cases, certificates = [], [], []
    # The floor decides: λ e^(−2κ) ≤ σ², so that λ = σ² (1 + y) / (1 + e).
    data = s2 * (1 + y) / (1 + e)
    at, decoder = 1 / (1 + y), sp.sqrt(data * y / (1 + y))
    scale = 1 / sp.sqrt(1 + y) if free else 1
    equal.append((rate(data, decoder / data, scale), floor))
    equal.append((error(data, decoder, decoder / data, scale), data * at))
    more, paid = at / (1 + u), sp.log(1 + y) / 2 + sp.log(1 + u) / 2
    cases.append((value(at, floor, data), value(more, paid, data)))
    rest = u * e / (2 * (1 + u) * (1 + e))
    certificates.append(
        [Term(HALF, LOG_TANGENT, 1 / (1 + u)), Term(rest, SQUARE, sp.Integer(1))]
    )
    less = at * (1 + u)  # a smaller rate, and the same to pay
    cases.append((value(at, floor, data), value(less, floor, data)))
    certificates.append([Term(u / (2 * (1 + e)), SQUARE, sp.Integer(1))])
    # The floor does not matter: r = ½ log(λ/σ²), against every rate, paid at least R.
    (data,) = positive("l")
    best = value(s2 / data, half * sp.log(data / s2), data)
    power = 1 / (1 + u)
    cases.append((best, value(power, sp.log(1 + u) / 2, data)))
    certificates.append([Term(HALF, LOG_TANGENT, data * power / s2)])
    return All([Equal(equal), AtLeast(cases, certificates)])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-free-bits-bound",
        statement=r"\ELBO_\kappa \le \ELBO \le \log p_\theta(x)",
        claim=_free_bits,
        wrong={
            "the inequality reversed": {"reverse": True},
            "the smaller of rate and floor": {"least": True},
        },
        assumptions="κ > 0; finite rates",
        scope="two coordinates, one and both of them below the floor; the second "
        "inequality is eq-decomposition",
        reference="kingma2016",
    ),
    Identity(
        label="eq-free-bits-optimum",
        statement=r"r = \max\Bigl( \kappa,\; \frac12 \log \frac{\lambda}{\sigma^2} "
        r"\Bigr), \qquad w^2 = \lambda \bigl( 1 - e^{-2 r} \bigr)",
        claim=_free_bits_optimum,
        wrong={
            "the guide as wide as the prior": {"free": False},
            "a floor of twice the nats": {"half": 1},
        },
        assumptions="one direction with eigenvalue λ; κ > 0, the floor under the rate "
        "r averaged over the data; σ fixed",
        scope="every rate with its least error, which is eq-rate-distortion",
    ),
]
