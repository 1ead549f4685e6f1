"""The identities of the chapter *The KL decomposition*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import (
    Joint,
    entropy,
    kl,
    mean,
    positive,
    probabilities,
)
from vaelib.symbolic.decomposition_gaussian import GAUSSIAN
from vaelib.symbolic.decomposition_surgery import SURGERY
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal, Extremum

DEFINITIONS: dict[str, str] = {
    "eq-aggregate-posterior": "the aggregate posterior, the average of N data's guides",
    "eq-index-code-information": "what a code tells about the index of its datum",
}


def _log_weights(joint, q):
    return [sp.log(p) - sp.log(r) for p, r in zip(joint, q, strict=True)]


def _pointwise(sign=1, swapped=False, guide=True):
    """At one z: p(x, z), p(x) and q(z) are any positive numbers."""
    joint, evidence, q = positive("joint evidence q")
    ratio = sp.log(q) - sp.log(joint / evidence)
    log_w = sp.log(joint) - (sp.log(q) if guide else 0)
    return Equal([(sp.log(evidence), log_w + sign * (-ratio if swapped else ratio))])


def _decomposition(sign=1, swapped=False, dropped=False):
    """log p(x) = ELBO + KL(q ‖ p(z|x)): sums over states, and under the integral."""
    cases = []
    for n in (2, 3, 4):
        model, q = Joint(n, 2), probabilities("q", n)
        pair = (q, model.posterior(0))
        gap = 0 if dropped else kl(*(reversed(pair) if swapped else pair))
        elbo = mean(q, _log_weights(model.joint(0), q))
        cases.append((sp.log(model.evidence[0]), elbo + sign * gap))
    density, (left, right) = sp.Symbol("q", positive=True), _pointwise(sign).cases[0]
    return Equal([*cases, (density * left, density * right)])


def _optimal_guide(solution="posterior", kind="maximum"):
    """The q that maximises E_q[log p(x, z) − log q(z)] among densities is p(z|x)."""
    z = sp.Symbol("z", real=True)
    q, evidence = sp.symbols("q evidence", positive=True)
    posterior = sp.Function("r", positive=True)(z)  # p(z|x), an arbitrary density
    joint = evidence * posterior
    normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    claimed = {"posterior": posterior, "joint": joint, "flat": sp.sqrt(posterior)}
    return Extremum(
        integrand=q * (sp.log(joint) - sp.log(q)),
        q=q,
        z=z,
        solution=claimed[solution],
        densities=[posterior],
        kind=kind,
        instance={posterior: normal},
    )


def _reconstruction(weight=1, swapped=False, to_posterior=False):
    """ELBO = E_q[log p(x|z)] − KL(q ‖ p(z))."""
    cases = []
    for n in (2, 3, 4):
        model, q = Joint(n, 2), probabilities("q", n)
        pair = (q, model.posterior(0) if to_posterior else model.prior)
        rate = kl(*(reversed(pair) if swapped else pair))
        log_lik = mean(q, [sp.log(p) for p in model.likelihood(0)])
        elbo = mean(q, _log_weights(model.joint(0), q))
        cases.append((elbo, log_lik - weight * rate))
    return Equal(cases)


def _free_energy(temperature=1, normaliser=-1):
    """ELBO = H[q] − E_q[U] = log Z − KL(q ‖ exp(−U)/Z), U = −log p(x, z)."""
    cases = []
    for n in (2, 3, 4):
        boltzmann, q = positive(f"b1:{n + 1}"), probabilities("q", n)  # b = exp(−U)
        total = sum(boltzmann)
        free = -mean(q, [sp.log(b) for b in boltzmann]) - temperature * entropy(q)
        gibbs = [b / total for b in boltzmann]
        cases.append((mean(q, _log_weights(boltzmann, q)), -free))
        cases.append((free, kl(q, gibbs) + normaliser * sp.log(total)))
    return Equal(cases)


def _em_step(sign=1, swapped=False, dropped=False):
    """The gain of a step of EM: the bound's, and what the bound does not show."""
    cases = []
    for n in (2, 3):
        old, new = Joint(n, 2, "c"), Joint(n, 2, "d")
        q = old.posterior(0)
        gained = mean(q, _log_weights(new.joint(0), q))
        gained -= mean(q, _log_weights(old.joint(0), q))
        pair = (q, new.posterior(0))
        gap = 0 if dropped else kl(*(reversed(pair) if swapped else pair))
        rise = sp.log(new.evidence[0]) - sp.log(old.evidence[0])
        cases.append((rise, gained + sign * gap))
    return Equal(cases)


_SUBTRACTED = {"the divergence subtracted": {"sign": -1}}
_EXCHANGED = {"the arguments of the divergence exchanged": {"swapped": True}}
_DROPPED = {"the divergence dropped": {"dropped": True}}

IDENTITIES: list[Identity] = [
    Identity(
        label="eq-decomposition-pointwise",
        statement=r"\log p_\theta(x) = \log w(z) + \log \frac{q(z)}{p_\theta(z|x)}",
        claim=_pointwise,
        wrong={
            **_SUBTRACTED,
            "the ratio upside down": {"swapped": True},
            "the guide left out of the weight": {"guide": False},
        },
        assumptions="q(z) > 0 and p(x, z) > 0 at this z",
        reference="jordan1999",
    ),
    Identity(
        label="eq-decomposition",
        statement=r"\log p_\theta(x) = \ELBO(\theta, q; x) + \KL{q(z)}{p_\theta(z|x)}",
        claim=_decomposition,
        wrong={**_SUBTRACTED, **_EXCHANGED, **_DROPPED},
        assumptions="p(x, z) > 0 wherever q > 0, and a finite ELBO",
        scope="under the integral for any positive densities; sums over 2, 3, 4 states",
        computes="models.FiniteModel.log_evidence",
        reference="jordan1999",
    ),
    Identity(
        label="eq-optimal-guide",
        statement=r"\argmax_{q} \ELBO(\theta, q; x) = \{ p_\theta(z|x) \}",
        claim=_optimal_guide,
        wrong={
            "the unnormalised joint": {"solution": "joint"},
            "a flattened posterior": {"solution": "flat"},
            "a minimum": {"kind": "minimum"},
        },
        assumptions="p(x, z) > 0; q any density",
        reference="neal1998",
    ),
    Identity(
        label="eq-elbo-reconstruction",
        statement=r"\ELBO(\theta, q; x) = \E_{q}[\log p_\theta(x|z)] - \KL{q(z)}{p(z)}",
        claim=_reconstruction,
        wrong={
            "the divergence added": {"weight": -1},
            "the arguments of the divergence exchanged": {"swapped": True},
            "the divergence to the posterior": {"to_posterior": True},
        },
        assumptions="p(x, z) > 0 wherever q > 0; both terms on the right finite",
        scope="all probabilities on supports of 2, 3 and 4 states",
        computes="bounds.elbo_from_kl",
        reference="kingma2014",
    ),
    Identity(
        label="eq-elbo-free-energy",
        statement=r"""\begin{aligned}
\ELBO(\theta, q; x) &= -\mathcal{F}(q), \\
\mathcal{F}(q) &= \E_{q}[U(z)] - \ent[q] \\
&= \KL{q}{e^{-U}/Z} - \log Z
\end{aligned}""",
        claim=_free_energy,
        wrong={
            "the entropy added to the energy": {"temperature": -1},
            "a temperature of two": {"temperature": 2},
            "the sign of log Z": {"normaliser": 1},
        },
        assumptions="U = −log p(x, z), hence Z = p(x); temperature one; E_q[U] and "
        "H[q] finite",
        scope="all energies on supports of 2, 3 and 4 states",
        computes="bounds.elbo",
        reference="neal1998",
    ),
    *SURGERY,
    Identity(
        label="eq-em-step",
        statement=r"""\begin{aligned}
\log p_{\theta'}(x) - \log p_\theta(x) = {}
& \ELBO(\theta', q; x) - \ELBO(\theta, q; x) \\
& + \KL{q(z)}{p_{\theta'}(z|x)} \\
& \text{with } q(z) = p_\theta(z|x)
\end{aligned}""",
        claim=_em_step,
        wrong={**_SUBTRACTED, **_EXCHANGED, **_DROPPED},
        assumptions="p(x, z) > 0 under both parameters; both ELBOs finite",
        scope="any two joint distributions on 2 and 3 states",
        computes="models.FiniteModel.log_evidence",
        reference="neal1998",
    ),
    *GAUSSIAN,
]
