"""What a trained model is worth: estimates with their standard errors, in nats."""

from vaelib.evaluation.evidence import (
    decoder_spread,
    log_evidence,
    mutual_information,
)

__all__ = ["decoder_spread", "log_evidence", "mutual_information"]
