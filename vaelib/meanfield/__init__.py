"""Coordinate ascent and stochastic variational inference for a Gaussian mixture."""

from vaelib.meanfield.ascent import Fit, blend, fit, prior_like, starts, svi
from vaelib.meanfield.exact import log_evidence, log_predictive
from vaelib.meanfield.mixture import (
    Mixture,
    elbo,
    expected_log_det,
    expected_log_joint,
    kl_to_prior,
    log_normaliser,
    responsibilities,
    update,
)

__all__ = [
    "Fit",
    "Mixture",
    "blend",
    "elbo",
    "expected_log_det",
    "expected_log_joint",
    "fit",
    "kl_to_prior",
    "log_evidence",
    "log_normaliser",
    "log_predictive",
    "prior_like",
    "responsibilities",
    "starts",
    "svi",
    "update",
]
