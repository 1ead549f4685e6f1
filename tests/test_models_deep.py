"""A scale for each pixel, and convolutional networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from tests.exact import F64, normal
from vaelib import bounds, noise
from vaelib.data import digits
from vaelib.guides import Amortized, DiagonalGaussian, FullGaussian
from vaelib.models import (
    Binomial,
    DeepModel,
    GaussianPerPixel,
    conv_decoder,
    conv_encoder,
)
from vaelib.training import train

# A scale for each pixel


def test_means_and_scales_are_the_halves_of_the_parameters():
    parameters, x = normal(4, 3, 10, seed=1), normal(3, 5, seed=2)
    q = GaussianPerPixel(0.25)(parameters)
    assert q.batch_shape == (4, 3) and q.event_shape == (5,)
    scale = 0.25 * (1 + parameters[..., 5:].exp() / 0.25)  # exp of the formula
    expected = stats.norm.logpdf(x, parameters[..., :5], scale).sum(-1)
    np.testing.assert_allclose(q.log_prob(x), expected, rtol=1e-12)


def test_no_scale_is_below_the_floor_and_large_ones_are_free():
    r = torch.tensor([-1e4, -30.0, 0.0, 5.0], dtype=F64)
    q = GaussianPerPixel(0.01)(torch.cat([torch.zeros(4, dtype=F64), r]))
    assert (q.stddev >= 0.01 - 1e-15).all()
    torch.testing.assert_close(q.stddev[:2], torch.full((2,), 0.01, dtype=F64))
    torch.testing.assert_close(q.stddev[2:], r[2:].exp() + 0.01)


def test_the_floor_bounds_the_likelihood_of_a_pixel_that_never_changes():
    x, r = torch.zeros(1, dtype=F64), torch.linspace(-20, 2, 50, dtype=F64)
    parameters = torch.stack([torch.zeros_like(r), r], 1)
    bounded = GaussianPerPixel(0.1)(parameters).log_prob(x)
    most = -math.log(0.1) - math.log(2 * math.pi) / 2
    assert (bounded < most).all() and bounded[0] > most - 1e-6
    free = GaussianPerPixel(1e-300)(parameters).log_prob(x)
    assert free[0] > most + 15  # what the floor is for: it grows as −log σ


@pytest.mark.parametrize("floor", [0.0, -1.0, float("nan")])
def test_a_floor_must_be_positive(floor):
    with pytest.raises(ValueError, match="floor: expected a positive number, got"):
        GaussianPerPixel(floor)


# Convolutional networks


@pytest.mark.parametrize("side", [4, 8, 28])
def test_pictures_go_in_flat_and_come_out_flat(side):
    encoder = conv_encoder(side, 7, channels=(3, 5)).double()
    decoder = conv_decoder(2, side, channels=(5, 3), planes=2).double()
    x, z = normal(6, side**2, seed=3), normal(4, 6, 2, seed=4)
    assert encoder(x).shape == (6, 7)
    assert decoder(z).shape == (4, 6, 2 * side**2)
    # over leading axes it does row by row what it does to rows
    torch.testing.assert_close(decoder(z)[2], decoder(z[2]))
    torch.testing.assert_close(decoder(z)[2, 3:4], decoder(z[2, 3:4]))
    torch.testing.assert_close(encoder(x.expand(2, 6, -1))[1], encoder(x))


def test_a_picture_is_read_row_by_row():
    """Near a pixel means near it in the picture, not in the vector."""
    encoder = conv_encoder(8, 1, channels=(1, 1)).double()
    first = encoder[1]
    with torch.no_grad():
        first.weight.zero_()[0, 0, 2, 1] = 1.0  # the pixel below the centre
        first.bias.zero_()
    x = torch.arange(64.0, dtype=F64).unsqueeze(0)
    seen = first(encoder[0](x))[0, 0]
    below = x.reshape(8, 8)[1::2, ::2]  # below rows 0, 2, 4, 6
    torch.testing.assert_close(seen, below)


def test_two_planes_are_the_means_and_the_scales_of_one_picture():
    decoder = conv_decoder(2, 8, channels=(4, 3), planes=2).double()
    with torch.no_grad():
        decoder[-2].weight[:, 1] = 0.0
        decoder[-2].bias[1] = -3.0
    q = GaussianPerPixel(0.01)(decoder(normal(5, 2, seed=5)))
    assert q.event_shape == (64,)
    expected = torch.full((5, 64), math.exp(-3) + 0.01, dtype=F64)
    torch.testing.assert_close(q.stddev, expected)
    assert q.mean.std() > 0


@pytest.mark.parametrize("side", [0, 6, 27, 8.0])
def test_a_side_must_be_a_multiple_of_four(side):
    match = f"side: expected a multiple of 4, got {side}"
    with pytest.raises(ValueError, match=match):
        conv_encoder(side, 2)
    with pytest.raises(ValueError, match=match):
        conv_decoder(2, side)


def fill(module, seed):
    for i, p in enumerate(module.parameters()):
        nn.init.normal_(p, 0, 0.1, generator=noise.stream(seed, i))
    return module


@pytest.mark.parametrize("kind", ["counts", "reals"])
def test_convolutional_models_train_on_digits(kind):
    x = digits().train_x[:200]
    family = FullGaussian(3) if kind == "counts" else DiagonalGaussian(3)
    planes = 1 if kind == "counts" else 2
    likelihood = Binomial(16) if kind == "counts" else GaussianPerPixel(1 / 16)
    decoder = fill(conv_decoder(3, 8, channels=(8, 4), planes=planes), 1)
    guide = Amortized(fill(conv_encoder(8, family.size, channels=(4, 8)), 2), family)
    data = x if kind == "counts" else x / 16
    model = DeepModel(decoder, likelihood, 3)
    run = train(model, guide, bounds.elbo, data, steps=60, batch_size=50, lr=0.01,
                report_every=20, device="cpu")
    assert run.bounds[-1] > run.bounds[0] + 10
    assert model.likelihood(torch.zeros(2, 5, 3)).batch_shape == (2, 5)
