"""What a trained model is worth: estimates with their standard errors, in nats."""

from vaelib.evaluation.evidence import (
    decoder_spread,
    log_evidence,
    mutual_information,
)
from vaelib.evaluation.latent import (
    active_units,
    aggregate_kl,
    index_code_information,
)

__all__ = [
    "active_units",
    "aggregate_kl",
    "decoder_spread",
    "index_code_information",
    "log_evidence",
    "mutual_information",
]
