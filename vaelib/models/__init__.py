"""Latent-variable models: a prior p(z) and a likelihood p(x|z).

Every model has `prior()` and `likelihood(z)`, both `torch.distributions` objects. The
exact models add what can usually not be had, `log_evidence(x)` and `posterior(x)`, so
that every bound can be compared with the quantity it bounds.
"""

from vaelib.chain import Chain
from vaelib.models.conv import conv_decoder, conv_encoder
from vaelib.models.deep import (
    Bernoulli,
    Binomial,
    DeepModel,
    Gaussian,
    GaussianPerPixel,
    factorised_binomial,
    mlp,
    standard_normal,
)
from vaelib.models.finite import FiniteModel
from vaelib.models.hierarchy import TwoLayerModel
from vaelib.models.linear_gaussian import LinearGaussian
from vaelib.models.rbm import RBM, bit_states
from vaelib.models.scalar import ScalarModel, ScalarPosterior

__all__ = [
    "Bernoulli",
    "Binomial",
    "Chain",
    "DeepModel",
    "FiniteModel",
    "Gaussian",
    "GaussianPerPixel",
    "LinearGaussian",
    "RBM",
    "ScalarModel",
    "ScalarPosterior",
    "TwoLayerModel",
    "bit_states",
    "conv_decoder",
    "conv_encoder",
    "factorised_binomial",
    "mlp",
    "standard_normal",
]
