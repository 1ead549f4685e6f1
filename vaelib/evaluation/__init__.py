"""What a trained model is worth: estimates with their standard errors, in nats."""

from vaelib.evaluation.annealing import (
    Annealed,
    Schedule,
    anneal,
    anneal_back,
    resample,
    temperatures,
    tune,
)
from vaelib.evaluation.evidence import (
    decoder_spread,
    log_evidence,
    mutual_information,
)
from vaelib.evaluation.gap import Gaps, gaps, optimise_guide
from vaelib.evaluation.latent import (
    active_units,
    aggregate_kl,
    index_code_information,
)
from vaelib.evaluation.weights import effective_samples, lower_bound, upper_bound

__all__ = [
    "Annealed",
    "Gaps",
    "Schedule",
    "active_units",
    "aggregate_kl",
    "anneal",
    "anneal_back",
    "decoder_spread",
    "effective_samples",
    "gaps",
    "index_code_information",
    "log_evidence",
    "lower_bound",
    "mutual_information",
    "optimise_guide",
    "resample",
    "temperatures",
    "tune",
    "upper_bound",
]
