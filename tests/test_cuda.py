"""The package on a GPU: all stays on the device, and the numbers are the CPU's."""

from __future__ import annotations

import pytest
import torch

from vaelib import bounds, divergences, evaluation, noise, quadrature
from vaelib.data import digits
from vaelib.guides import Amortized, PriorGuide
from vaelib.models import Binomial, DeepModel, LinearGaussian, mlp

pytestmark = pytest.mark.cuda


@pytest.fixture
def model():
    weight = torch.tensor([[1.0, 0.2], [-0.4, 0.9], [0.3, -1.1]], dtype=torch.float64)
    loc = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    return LinearGaussian(weight, loc, 0.6).requires_grad_(False)


def test_streams_repeat_on_the_device():
    draws = [
        torch.randn(5, generator=noise.stream(0, "a", device="cuda"), device="cuda")
        for _ in range(2)
    ]
    assert draws[0].device.type == "cuda"
    assert torch.equal(*draws)


def test_the_posterior_makes_weights_constant(model):
    x = noise.sample(model.evidence(), 4, noise.stream(0))
    expected = model.log_evidence(x)
    model, x = model.cuda(), x.cuda()
    q = model.posterior(x)
    z = noise.sample(q, 7, noise.stream(1, device="cuda"))
    log_w = bounds.log_weights(model, q, x, z)
    assert log_w.device.type == "cuda"
    torch.testing.assert_close(log_w.cpu(), expected.expand(7, 4), rtol=0, atol=1e-10)


def test_informations_agree_with_the_cpu(model):
    for measure in (divergences.mutual_information, divergences.lautum_information):
        expected, found = measure(model.cpu()), measure(model.cuda())
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-10)


def test_quadrature_follows_the_distribution(model):
    prior = model.cuda().prior()
    second = quadrature.expect(lambda z: z.square().sum(-1), prior, 8)
    assert second.device.type == "cuda"
    assert abs(second.item() - 2) < 1e-10


def test_evidence_by_importance_sampling(model):
    x = noise.sample(model.evidence(), 3, noise.stream(0))
    expected = model.log_evidence(x)
    model, x = model.cuda(), x.cuda()
    exact = evaluation.log_evidence(model, model.posterior, x, samples=10)
    torch.testing.assert_close(exact.value.cpu(), expected, rtol=0, atol=1e-10)
    # From the prior: within six standard errors, a false alarm in 10^8.
    rough = evaluation.log_evidence(model, PriorGuide(model), x, samples=100_000)
    error = (rough.value.cpu() - expected).abs()
    assert bool((error < 6 * rough.standard_error.cpu()).all())


def test_a_deep_model_is_measured_on_the_device():
    model = DeepModel(mlp(2, 16, 64), Binomial(16), 2).cuda()
    guide = Amortized(mlp(64, 16, 4)).cuda()
    x = digits().test_x[:5].cuda()
    assert evaluation.log_evidence(model, guide, x, samples=20).value.is_cuda
    assert evaluation.decoder_spread(model, device="cuda").is_cuda
    information = evaluation.mutual_information(
        model, PriorGuide(model), pairs=50, samples=50, device="cuda"
    )
    assert bool(torch.isfinite(information.value))
