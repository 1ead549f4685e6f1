"""The restricted Boltzmann machine against enumeration of all joint states."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests.exact import CLOSE, F64, normal
from tests.statistics import assert_mean
from vaelib.models import RBM, bit_states
from vaelib.noise import stream

SHAPES = ((1, 1), (3, 2), (2, 3), (4, 4))  # (P, D)
shapes = pytest.mark.parametrize("p, d", SHAPES)


def machine(p: int, d: int, scale: float = 1.0) -> RBM:
    return RBM(scale * normal(p, d, seed=61), normal(p, seed=62), normal(d, seed=63))


def gradients(value, rbm: RBM) -> torch.Tensor:
    """All gradients in one vector: weights, visible and hidden biases."""
    slopes = torch.autograd.grad(value, list(rbm.parameters()))
    return torch.cat([s.flatten() for s in slopes])


def bits(n: int) -> np.ndarray:
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def joint(rbm: RBM) -> np.ndarray:
    """p(x, z) for all pairs of states, straight from the definition."""
    w, b, c = (p.detach().numpy() for p in rbm.parameters())
    x, z = bits(len(b)), bits(len(c))
    table = np.exp(x @ w @ z.T + (x @ b)[:, None] + (z @ c)[None, :])
    return table


def statistics(x, z) -> torch.Tensor:
    """What the parameters multiply: x zᵀ, x and z in one row for each pair."""
    outer = (x.unsqueeze(-1) * z.unsqueeze(-2)).flatten(-2)
    return torch.cat([outer, x, z], -1)


@shapes
def test_everything_against_the_joint_table(p, d):
    rbm, x = machine(p, d), bit_states(p)
    table = joint(rbm)
    np.testing.assert_array_equal(x, bits(p))
    with torch.no_grad():
        found = (-rbm.free_energy(x)).exp()
        np.testing.assert_allclose(found, table.sum(1), rtol=1e-12)
        assert rbm.log_partition().exp() == pytest.approx(table.sum())
        np.testing.assert_allclose(
            rbm.log_evidence(x).exp(), table.sum(1) / table.sum(), rtol=1e-12
        )
        z = bit_states(d)
        given_x = rbm.posterior(x).log_prob(z.unsqueeze(1)).exp().T
        given_z = rbm.likelihood(z).log_prob(x.unsqueeze(1)).exp()
    np.testing.assert_allclose(given_x, table / table.sum(1, keepdims=True))
    np.testing.assert_allclose(given_z, table / table.sum(0))


@shapes
def test_the_gradient_is_data_minus_model(p, d):
    """∇ log p(x) = E_{p(z|x)}[s(x, z)] − E_{p(x,z)}[s(x, z)], summed by hand."""
    rbm = machine(p, d)
    x, z = bit_states(p), bit_states(d)
    table = torch.from_numpy(joint(rbm))
    pairs_x = x.unsqueeze(1).expand(-1, len(z), -1)
    pairs_z = z.unsqueeze(0).expand(len(x), -1, -1)
    s = statistics(pairs_x, pairs_z)  # (2^P, 2^D, parameters)
    positive = ((table / table.sum(1, keepdim=True)).unsqueeze(-1) * s).sum(1)
    negative = ((table / table.sum()).unsqueeze(-1) * s).sum((0, 1))
    for i in range(len(x)):
        slope = gradients(rbm.log_evidence(x[i : i + 1]).sum(), rbm)
        torch.testing.assert_close(slope, positive[i] - negative, **CLOSE)
        slope = gradients(-rbm.free_energy(x[i : i + 1]).sum(), rbm)
        torch.testing.assert_close(slope, positive[i], **CLOSE)


def test_both_ways_to_enumerate_the_partition_function_agree():
    rbm = machine(3, 5)
    other = RBM(rbm.weight.T, rbm.hidden_bias, rbm.visible_bias)
    torch.testing.assert_close(rbm.log_partition(), other.log_partition(), **CLOSE)


@shapes
def test_the_chain_keeps_the_model_and_is_the_table_of_its_steps(p, d):
    rbm = machine(p, d)
    table = joint(rbm)
    given_x, given_z = table / table.sum(1, keepdims=True), table / table.sum(0)
    with torch.no_grad():
        chain = rbm.transition()
    np.testing.assert_allclose(chain, given_x @ given_z.T, atol=1e-12)
    model = table.sum(1) / table.sum()
    np.testing.assert_allclose(chain.sum(1), 1)
    np.testing.assert_allclose(model @ chain.numpy(), model)
    flow = torch.from_numpy(model)[:, None] * chain
    torch.testing.assert_close(flow, flow.T, **CLOSE)  # detailed balance


@shapes
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_expected_update_by_the_tables(p, d, steps):
    """E[CD-k] = E_{p(z|x)}[s] − E_{T^k(x, ·)} E_{p(z|x_k)}[s]."""
    rbm = machine(p, d)
    x, z = bit_states(p), bit_states(d)
    table = joint(rbm)
    given_x = torch.from_numpy(table / table.sum(1, keepdims=True))
    given_z = torch.from_numpy(table / table.sum(0))
    chain = torch.linalg.matrix_power(given_x @ given_z.T, steps)
    s = statistics(
        x.unsqueeze(1).expand(-1, len(z), -1), z.unsqueeze(0).expand(len(x), -1, -1)
    )
    mean = (given_x.unsqueeze(-1) * s).sum(1)
    for i in range(len(x)):
        value = rbm.expected_contrastive_divergence(x[i : i + 1], steps)
        expected = mean[i] - chain[i] @ mean
        torch.testing.assert_close(gradients(value.sum(), rbm), expected, **CLOSE)
        energies = rbm.free_energy(x)
        wanted = chain[i] @ energies - energies[i]
        torch.testing.assert_close(value[0], wanted, **CLOSE)


DATA = bit_states(3)[[0, 3, 3, 6, 7]]


def test_the_bias_is_the_neglected_gradient_and_dies_out():
    """∇ log p − E[CD-k] = E[∇ log p(x_k)], geometrically in the chain's eigenvalue."""
    rbm, x = machine(3, 2), DATA
    exact = gradients(rbm.log_evidence(x).mean(), rbm)
    with torch.no_grad():
        chain = rbm.transition()
        second = torch.linalg.eigvals(chain).abs().sort().values[-2].item()
        start = (x.unsqueeze(1) == bit_states(3)).all(-1).double().mean(0)
    biases = []
    for k in (0, 1, 2, 8, 9, 200):
        update = gradients(rbm.expected_contrastive_divergence(x, k).mean(), rbm)
        reached = start @ torch.linalg.matrix_power(chain, k)
        neglected = gradients(reached @ rbm.log_evidence(bit_states(3)), rbm)
        torch.testing.assert_close(exact - update, neglected, **CLOSE)
        biases.append((exact - update).norm().item())
    assert biases[0] == pytest.approx(exact.norm().item())  # CD-0 does nothing
    assert biases[1] > 0.05 * exact.norm().item()
    assert biases[4] / biases[3] == pytest.approx(second, rel=0.02)
    assert biases[5] < 1e-10


def test_at_the_model_there_is_nothing_to_learn():
    rbm, x = machine(3, 2), bit_states(3)
    with torch.no_grad():
        model = rbm.log_evidence(x).exp()
    for steps in (1, 2):
        value = model @ rbm.expected_contrastive_divergence(x, steps)
        assert gradients(value, rbm).abs().max() < 1e-12


def test_gibbs_sampling_follows_the_table():
    rbm, steps, n = machine(3, 2), 2, 40_000
    start = bit_states(3)[5].expand(n, 3)
    end = rbm.gibbs(start, steps, stream(0, "gibbs"))
    assert not end.requires_grad
    hits = (end.unsqueeze(1) == bit_states(3)).all(-1)
    with torch.no_grad():
        expected = torch.linalg.matrix_power(rbm.transition(), steps)[5]
    assert_mean(hits, expected, error=0.03)
    assert torch.equal(rbm.gibbs(start, 0, stream(0, "gibbs")), start)
    again = rbm.gibbs(start, steps, stream(0, "gibbs"))
    assert torch.equal(again, end)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_sampled_update_is_unbiased_for_the_expected_one(steps):
    rbm, groups = machine(3, 2), 400
    x = DATA.repeat(20, 1)
    expected = gradients(rbm.expected_contrastive_divergence(DATA, steps).mean(), rbm)
    generator = stream(0, "update", steps)
    found = torch.stack(
        [
            gradients(rbm.contrastive_divergence(x, steps, generator).mean(), rbm)
            for _ in range(groups)
        ]
    )
    assert_mean(found, expected, error=0.05)


def test_it_runs_in_single_precision_with_batches_of_any_size():
    rbm = machine(4, 3).float()
    x = bit_states(4, rbm.weight)
    value = rbm.contrastive_divergence(x, 1, stream(0, "single"))
    assert value.dtype == torch.float32 and value.shape == (16,)
    assert rbm.log_evidence(x).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert rbm.free_energy(x.reshape(2, 8, 4)).shape == (2, 8)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: bit_states(21), "n: expected 0 to 20 bits to enumerate, got 21"),
        (
            lambda: RBM(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3)),
            r"expected shapes \(P, D\), \(P,\) and \(D,\), got \(3, 2\), \(2,\)",
        ),
        (
            lambda: machine(2, 2).gibbs(bit_states(2), -1, stream(0)),
            "steps: expected an integer of at least 0, got -1",
        ),
        (
            lambda: machine(2, 2).expected_contrastive_divergence(bit_states(2), 1.0),
            "steps: expected an integer of at least 0, got 1.0",
        ),
        (
            lambda: RBM(
                torch.zeros(22, 23), torch.zeros(22), torch.zeros(23)
            ).log_partition(),
            "n: expected 0 to 20 bits to enumerate, got 22",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_zero_bits_have_one_state():
    assert bit_states(0).shape == (1, 0) and bit_states(3).dtype == F64
