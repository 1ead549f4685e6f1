"""The functions whose values the identities of *Mean field* give."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelib import meanfield
from vaelib.meanfield import Mixture


def _t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _line(concentration, loc, strength, dof, scatter) -> Mixture:
    """Components in one dimension, from lists of numbers."""
    return Mixture(
        _t(*concentration),
        _t(*loc).unsqueeze(-1),
        _t(*strength),
        _t(*dof),
        _t(*scatter).reshape(-1, 1, 1),
    )


def _prior(a, m, beta, nu, s) -> Mixture:
    return _line(*([v, v] for v in (a, m, beta, nu, s)))


def mixture_normaliser(*, a, b, beta, n, s) -> float:
    scatter = torch.stack([torch.diag(_t(s, s)), torch.diag(_t(s, 1))])
    q = Mixture(_t(a, b), _t(0, 0, 0, 0).reshape(2, 2), _t(beta, b), _t(n + 1, n + 2),
                scatter)  # fmt: skip
    return meanfield.log_normaliser(q).item()


def wishart_log_det(*, n, det) -> float:
    scatter = _t(det, det, det, 2 * det).reshape(1, 2, 2) / det**0.5
    q = Mixture(_t(1), _t(0, 0).unsqueeze(0), _t(1), _t(n + 1), scatter)
    return meanfield.expected_log_det(q).item()


def expected_log_joint(*, x, m, beta, nu, s, a, b) -> float:
    q = _line([a, b], [m, 0], [beta, 1], [nu, 1], [s, 1])
    return meanfield.expected_log_joint(q, _t(x).unsqueeze(0))[0, 0].item()


def responsibilities(*, x, m1, m2, a1, a2, b1, b2, n1, n2, s1, s2) -> float:
    q = _line([a1, a2], [m1, m2], [b1, b2], [n1, n2], [s1, s2])
    return meanfield.responsibilities(q, _t(x).unsqueeze(0))[0, 0].item()


def mixture_update(*, x1, x2, m, r1, r2, beta, s) -> float:
    prior = _line([1], [m], [beta], [1], [s])
    q = meanfield.update(prior, _t(x1, x2).unsqueeze(1), _t(r1, r2).unsqueeze(1))
    return q.scatter.item()


def elbo_normalisers(*, x1, x2, m0, a, beta, nu, s, o1, o2) -> float:
    prior, x = _prior(a, m0, beta, nu, s), _t(x1, x2).unsqueeze(1)
    first = _t(o1 / (1 + o1), o2 / (1 + o2))
    r = torch.stack([first, 1 - first], -1)
    return meanfield.elbo(prior, meanfield.update(prior, x, r), x, r).item()


def mixture_evidence(*, d1, d2, m, a, beta, nu, s) -> float:
    x1 = m + d1
    x = _t(x1, (beta * m + x1) / (beta + 1) + d2).unsqueeze(1)
    return meanfield.log_evidence(_prior(a, m, beta, nu, s), x).item()


def predictive(*, x, m1, m2, a1, a2, b1, b2, n1, n2, s1, s2) -> float:
    q = _line([a1, a2], [m1, m2], [b1, b2], [n1, n2], [s1, s2])
    return meanfield.log_predictive(q, _t(x).unsqueeze(0)).item()


def svi_blend(*, t, b, c, s, g, m, h) -> float:
    q, target = _line([1], [m], [b], [1], [s]), _line([1], [h], [c], [1], [g])
    return meanfield.blend(q, target, t / 4).scatter.item()


TWINS = {
    "eq-mixture-normaliser": mixture_normaliser,
    "eq-wishart-log-det": wishart_log_det,
    "eq-expected-log-joint": expected_log_joint,
    "eq-responsibilities": responsibilities,
    "eq-mixture-update": mixture_update,
    "eq-elbo-normalisers": elbo_normalisers,
    "eq-mixture-evidence": mixture_evidence,
    "eq-predictive": predictive,
    "eq-svi-blend": svi_blend,
}
