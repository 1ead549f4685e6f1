"""The identities of the chapter *The KL decomposition*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import Joint, kl, mean, probabilities
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal, Extremum

DEFINITIONS: dict[str, str] = {}


def _decomposition(sign=1, swapped=False):
    """log p(x) = ELBO + KL(q ‖ p(z|x)) for supports of two, three and four states."""
    cases = []
    for n in (2, 3, 4):
        model, q = Joint(n, 2), probabilities("q", n)
        log_w = [sp.log(p) - sp.log(r) for p, r in zip(model.joint(0), q, strict=True)]
        pair = (q, model.posterior(0))
        gap = kl(*(reversed(pair) if swapped else pair))
        cases.append((sp.log(model.evidence[0]), mean(q, log_w) + sign * gap))
    return Equal(cases)


def _optimal_guide(solution="posterior", kind="maximum"):
    """The q that maximises E_q[log p(x, z) − log q(z)] among densities is p(z|x)."""
    z = sp.Symbol("z", real=True)
    q, evidence = sp.symbols("q evidence", positive=True)
    posterior = sp.Function("r", positive=True)(z)  # p(z|x), an arbitrary density
    joint = evidence * posterior
    normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    claimed = {"posterior": posterior, "joint": joint, "flat": sp.sqrt(posterior)}
    masses = {"posterior": 1, "joint": evidence, "flat": 1}
    return Extremum(
        integrand=q * (sp.log(joint) - sp.log(q)),
        q=q,
        z=z,
        solution=claimed[solution],
        mass=sp.Integer(1) * masses[solution],
        kind=kind,
        instance={posterior: normal},
    )


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-decomposition",
        statement=r"\log p_\theta(x) = \ELBO(\theta, q; x) + \KL{q(z)}{p_\theta(z|x)}",
        claim=_decomposition,
        wrong={
            "the divergence subtracted": {"sign": -1},
            "the arguments of the divergence exchanged": {"swapped": True},
        },
        assumptions="q > 0 and p(x, z) > 0 on the support",
        scope="all probabilities on supports of 2, 3 and 4 states",
        computes="models.FiniteModel.log_evidence",
        value=lambda: _decomposition().cases[0][1],
        reference="jordan1999",
    ),
    Identity(
        label="eq-optimal-guide",
        statement=r"\argmax_{q} \ELBO(\theta, q; x) = p_\theta(z|x)",
        claim=_optimal_guide,
        wrong={
            "the unnormalised joint": {"solution": "joint"},
            "a flattened posterior": {"solution": "flat"},
            "a minimum": {"kind": "minimum"},
        },
        assumptions="p(x, z) > 0; q any density",
        reference="neal1998",
    ),
]
