"""What `vaelib` computes for the ledger's equations of *Why a bound?*"""

from __future__ import annotations

import torch

from vaelib.models import LinearGaussian


def _linear_gaussian_evidence(
    w1: float, w2: float, x1: float, x2: float, mu1: float, mu2: float, sigma: float
) -> float:
    weight, x, loc = torch.tensor([[w1, w2], [x1, x2], [mu1, mu2]], dtype=torch.float64)
    model = LinearGaussian(weight.unsqueeze(1), loc, sigma)
    return float(model.log_evidence(x.unsqueeze(0)).detach())


TWINS = {"eq-linear-gaussian-evidence": _linear_gaussian_evidence}
