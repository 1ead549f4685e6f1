"""Limits and optima of the chapter *Information and divergence*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import positive
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, Extremum, Limit

_q, _p, _t = positive("q p t")
_z = sp.Symbol("z", real=True)


def _kl_argmin(solution="p", kind="minimum"):
    """Over densities q, KL(q‖p) is least at q = p; over densities p, at p = q."""
    given = sp.Function("g", positive=True)(_z)
    claimed = {"p": given, "no multiplier": given / sp.E, "flat": sp.sqrt(given)}
    normal = sp.exp(-(_z**2) / 2) / sp.sqrt(2 * sp.pi)
    parts = [
        Extremum(
            integrand=integrand,
            q=_q,
            z=_z,
            solution=claimed[solution],
            densities=[given],
            kind=kind,
            instance={given: normal},
        )
        for integrand in (
            _q * (sp.log(_q) - sp.log(given)),
            given * (sp.log(given) - sp.log(_q)),
        )
    ]
    return All(parts)


def _kl_zeros(first=0, second=sp.oo):
    """The term q log(q/p) as q tends to zero, and as p does."""
    return All(
        [
            Limit(_t * sp.log(_t / _p), _t, sp.Integer(0), sp.sympify(first)),
            Limit(_q * sp.log(_q / _t), _t, sp.Integer(0), sp.sympify(second)),
        ]
    )


CALCULUS: list[Identity] = [
    Identity(
        label="eq-kl-argmin",
        statement=r"\argmin_{q} \KL{q}{p} = \{p\}, "
        r"\qquad \argmin_{p} \KL{q}{p} = \{q\}",
        claim=_kl_argmin,
        wrong={
            "without the Lagrange multiplier": {"solution": "no multiplier"},
            "a flattened density": {"solution": "flat"},
            "a maximum": {"kind": "maximum"},
        },
        assumptions="the minimum is over all positive densities",
    ),
    Identity(
        label="eq-kl-zeros",
        statement=r"\lim_{t \to 0^+} t \log \frac{t}{p} = 0, \qquad "
        r"\lim_{t \to 0^+} q \log \frac{q}{t} = +\infty",
        claim=_kl_zeros,
        wrong={
            "minus infinity where q vanishes": {"first": -sp.oo},
            "nothing where p vanishes": {"second": 0},
            "the two limits exchanged": {"first": sp.oo, "second": 0},
        },
        assumptions="p > 0 in the first limit, q > 0 in the second",
    ),
]
