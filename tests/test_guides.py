"""Families are densities that contain the diagonal Gaussian; guides give them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import distributions as td
from torch import nn

from tests.exact import CASES, CLOSE, F64, normal
from vaelib import bounds, estimators, noise
from vaelib.divergences import kl
from vaelib.guides import (
    Amortized,
    CouplingFlow,
    DiagonalGaussian,
    Free,
    FullGaussian,
    PriorGuide,
)
from vaelib.models import Binomial, DeepModel, LinearGaussian, mlp, standard_normal
from vaelib.quadrature import gauss_hermite, gauss_legendre
from vaelib.training import train

FAMILIES = {
    f"{type(f).__name__} D={f.latent_dim}": f
    for f in (
        *(kind(d) for kind in (DiagonalGaussian, FullGaussian) for d in (1, 2, 3)),
        *(CouplingFlow(d, layers=3, hidden=4) for d in (2, 3, 4)),
        CouplingFlow(2, layers=1),
    )
}
PLANE = [name for name, f in FAMILIES.items() if f.latent_dim == 2]
each_family = pytest.mark.parametrize("name", FAMILIES)
LIMIT = {"rtol": 0, "atol": 1e-10}


def parameters(family, n=3, seed=1, spread=0.5):
    """Some parameters, far from those of a diagonal Gaussian."""
    start = family.standard(n).double()
    return start + spread * normal(*start.shape, seed=seed)


def by_samples(q, z):
    """log q(z) with nothing remembered."""
    return q.log_prob(z.clone())


@each_family
def test_a_family_is_a_map_from_parameters_to_distributions(name):
    family = FAMILIES[name]
    q = family(parameters(family))
    assert q.batch_shape == (3,) and q.event_shape == (family.latent_dim,)
    assert q.has_rsample
    z = noise.sample(q, 5, noise.stream(0))
    assert z.shape == (5, 3, family.latent_dim) and z.dtype == F64
    assert q.log_prob(z).shape == (5, 3)
    # a datum's q depends on its own parameters alone
    alone = family(parameters(family)[1:2])
    torch.testing.assert_close(alone.log_prob(z[:, 1:2]), q.log_prob(z)[:, 1:2])
    other = parameters(family)
    other[2] += 1
    torch.testing.assert_close(family(other).log_prob(z)[:, :2], q.log_prob(z)[:, :2])


@each_family
def test_parameters_may_have_more_batch_axes(name):
    family = FAMILIES[name]
    rows, z = parameters(family, n=6), normal(4, 6, family.latent_dim, seed=16)
    q, flat = family(rows.unflatten(0, (2, 3))), family(rows)
    assert q.batch_shape == (2, 3)
    grid = z.unflatten(1, (2, 3))
    expected = flat.log_prob(z).unflatten(1, (2, 3))
    torch.testing.assert_close(q.log_prob(grid), expected, **LIMIT)
    expected = noise.push(flat, z).unflatten(1, (2, 3))
    torch.testing.assert_close(noise.push(q, grid), expected, **LIMIT)
    diagonal = rows[:, : 2 * family.latent_dim]
    start = family.from_diagonal(*diagonal.chunk(2, -1))
    found = family.from_diagonal(*diagonal.unflatten(0, (2, 3)).chunk(2, -1))
    assert torch.equal(found, start.unflatten(0, (2, 3)))
    expected = flat.log_prob(noise.push(flat, z)).unflatten(1, (2, 3))
    torch.testing.assert_close(q.log_prob(noise.push(q, grid)), expected, **LIMIT)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_sizes(d):
    assert DiagonalGaussian(d).size == 2 * d
    assert FullGaussian(d).size == d + d * (d + 1) // 2
    if d > 1:
        a, b = d // 2, d - d // 2
        network = [7 * i + 7 + 2 * o * 7 + 2 * o for i, o in ((a, b), (b, a), (a, b))]
        assert CouplingFlow(d, layers=3, hidden=7).size == 2 * d + sum(network)


@each_family
def test_every_family_contains_the_diagonal_gaussian(name):
    family = FAMILIES[name]
    d = family.latent_dim
    loc, log_scale = normal(3, d, seed=2), normal(3, d, seed=3)
    rows = family.from_diagonal(loc, log_scale)
    assert rows.shape == (3, family.size) and rows.dtype == F64
    expected = DiagonalGaussian(d)(torch.cat([loc, log_scale], -1))
    eps, z = normal(6, 3, d, seed=4), normal(6, 3, d, seed=5)
    for q in (family(rows), family(rows.float().double())):
        torch.testing.assert_close(
            noise.push(q, eps), noise.push(expected, eps), rtol=1e-6, atol=1e-6
        )
    q = family(rows)
    torch.testing.assert_close(noise.push(q, eps), noise.push(expected, eps), **LIMIT)
    torch.testing.assert_close(q.log_prob(z), expected.log_prob(z), **LIMIT)
    standard = family(family.standard(4).double())
    expected = standard_normal(d, z).expand((4,))
    torch.testing.assert_close(
        standard.log_prob(z[:, :1]), expected.log_prob(z[:, :1]), **LIMIT
    )
    assert family.standard(4).dtype == torch.float32


def test_a_flow_starts_with_a_gradient_everywhere_it_can_matter():
    family = CouplingFlow(2, layers=2, hidden=4)
    rows = family.standard(2, seed=5).double()
    assert torch.equal(rows[0], rows[1])  # one draw for all data
    assert not torch.equal(rows, family.standard(2, seed=6).double())
    rows.requires_grad_()
    z = noise.push(family(rows), normal(20, 2, 2, seed=6))
    (slope,) = torch.autograd.grad((z**4).sum() + z.prod(-1).sum(), rows)
    weights = family._networks(slope[0, 4:])
    assert all(w.abs().min() > 0 for network in weights for w in network[2:])
    assert not any(w.any() for network in weights for w in network[:2])
    # hidden units are of the order of one for a standard normal input
    wide = CouplingFlow(9, layers=1, hidden=2000)
    first = wide._networks(wide.standard(1)[0, 18:])[0][0]
    assert first.shape == (2000, 4)
    assert first.std().item() == pytest.approx(0.5, rel=0.05)


@each_family
def test_the_density_of_a_sample_is_that_of_its_noise_over_the_volume(name):
    family = FAMILIES[name]
    q = family(parameters(family))
    eps = normal(4, 3, family.latent_dim, seed=7)
    z = noise.push(q, eps)
    log_eps = -eps.square().sum(-1) / 2 - family.latent_dim * math.log(2 * math.pi) / 2
    for s in range(4):
        jacobian = torch.autograd.functional.jacobian(
            lambda e: noise.push(q, e.unsqueeze(0))[0].sum(0), eps[s]
        )  # (D, B, D): of each datum's sample in its own noise
        expected = log_eps[s] - jacobian.transpose(0, 1).det().abs().log()
        torch.testing.assert_close(by_samples(q, z)[s], expected, **LIMIT)


@pytest.mark.parametrize("name", PLANE)
def test_the_density_integrates_to_one(name):
    family = FAMILIES[name]
    q = family(parameters(family, n=2, spread=0.3))  # with no mass beyond the plane
    nodes, weights = gauss_legendre(400, -16, 16)
    grid = torch.cartesian_prod(nodes, nodes).unsqueeze(1)
    area = torch.outer(weights, weights).flatten()
    mass = area @ q.log_prob(grid).exp()
    torch.testing.assert_close(mass, torch.ones(2, dtype=F64), **LIMIT)


def test_a_full_gaussian_has_the_cholesky_factor_it_says():
    u10, u20, u21 = 0.5, -0.7, 0.9
    rows = torch.tensor([1, 2, 3, 0.1, -0.2, 0.3, u10, u20, u21], dtype=F64)
    q = FullGaussian(3)(rows.unsqueeze(0))
    u = torch.tensor([[1, 0, 0], [u10, 1, 0], [u20, u21, 1]], dtype=F64)
    factor = torch.diag(rows[3:6].exp()) @ u
    torch.testing.assert_close(q.scale_tril[0], factor, **CLOSE)
    torch.testing.assert_close(q.covariance_matrix[0], factor @ factor.T, **CLOSE)
    torch.testing.assert_close(q.mean[0], rows[:3])


def test_one_coupling_is_the_formula_it_says():
    family = CouplingFlow(3, layers=1, hidden=2)
    rows = parameters(family, n=1)
    eps = normal(5, 1, 3, seed=8)
    loc, log_scale = rows[0, :3], rows[0, 3:6]
    w1, b1, w2, b2 = rows[0, 6:].split([2, 2, 8, 4])
    out = torch.tanh(eps[..., :1] * w1 + b1) @ w2.reshape(4, 2).T + b2
    s, t = 2 * torch.tanh(out[..., :2] / 2), out[..., 2:]
    moved = torch.cat([eps[..., :1], eps[..., 1:] * s.exp() + t], -1)
    z = noise.push(family(rows), eps)
    torch.testing.assert_close(z, loc + log_scale.exp() * moved, **CLOSE)
    rows[:, 6:] *= 100  # the log-scales are bounded, whatever the weights
    q = family(rows)
    log_eps = td.Normal(0.0, 1.0).log_prob(eps).sum(-1)
    volume = log_eps - by_samples(q, noise.push(q, eps)) - log_scale.sum()
    assert (volume.abs() <= 4 + 1e-9).all() and volume.abs().max() > 3


@pytest.mark.parametrize("name", [n for n in FAMILIES if n.startswith("Coupling")])
def test_a_remembered_sample_has_the_density_and_gradients_of_any_other(name):
    family = FAMILIES[name]
    rows = parameters(family).requires_grad_()
    eps = normal(5, 3, family.latent_dim, seed=9)
    slopes = []
    for known in (True, False):
        q = family(rows)
        z = noise.push(q, eps)
        log_q = q.log_prob(z) if known else by_samples(q, z)
        slopes.append(torch.autograd.grad((log_q + z.sum(-1).sin()).sum(), rows)[0])
    torch.testing.assert_close(*slopes, **LIMIT)
    # At a given z the density has a gradient in q, however z was made before.
    q = family(rows)
    with torch.no_grad():
        z = noise.push(q, eps)
        first = q.log_prob(z)
    assert not z.requires_grad
    fresh = family(rows).log_prob(z.clone())
    torch.testing.assert_close(q.log_prob(z), fresh, **LIMIT)
    torch.testing.assert_close(first, fresh, **LIMIT)
    found = torch.autograd.grad(q.log_prob(z).sum(), rows)[0]
    expected = torch.autograd.grad(fresh.sum(), rows)[0]
    torch.testing.assert_close(found, expected, **LIMIT)
    assert expected.abs().max() > 0.1


def test_a_sample_that_changes_in_place_has_its_new_density():
    q = CouplingFlow(2)(parameters(CouplingFlow(2)))
    z = noise.sample(q, 4, noise.stream(0))
    q.log_prob(z)
    z += 1
    torch.testing.assert_close(q.log_prob(z), by_samples(q, z), **LIMIT)


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian, CouplingFlow])
def test_bad_sizes_are_named(kind):
    least = 2 if kind is CouplingFlow else 1
    for bad in (least - 1, 2.0):
        match = f"latent_dim: {kind.__name__} expected a whole .* {least}, got {bad}"
        with pytest.raises(ValueError, match=match):
            kind(bad)
    size = kind(3).size
    match = rf"parameters: .*\(3\) expected shape \(B, {size}\), got \(4, {size + 1}\)"
    with pytest.raises(ValueError, match=match):
        kind(3)(torch.zeros(4, size + 1))
    match = rf"parameters: expected shape \(N, {size}\), .*, got \(4, {size - 1}\)"
    with pytest.raises(ValueError, match=match):
        Free(torch.zeros(4, size - 1), kind(3))
    with pytest.raises(ValueError, match="parameters: expected"):
        Free(torch.zeros(size), kind(3))


@pytest.mark.parametrize("bad", [{"layers": 0}, {"hidden": 0}, {"layers": 1.5}])
def test_bad_flows_are_named(bad):
    (name, value), *_ = bad.items()
    match = f"{name}: expected a whole number of at least 1, got {value}"
    with pytest.raises(ValueError, match=match):
        CouplingFlow(2, **bad)


@pytest.mark.cuda
@each_family
def test_a_family_is_the_same_on_the_gpu(name):
    family = FAMILIES[name]
    rows, eps = parameters(family), normal(4, 3, family.latent_dim, seed=17)
    q, on_gpu = family(rows), family(rows.cuda())
    z = noise.push(on_gpu, eps.cuda())
    assert z.is_cuda and on_gpu.log_prob(z).is_cuda
    torch.testing.assert_close(z.cpu(), noise.push(q, eps), **LIMIT)
    torch.testing.assert_close(on_gpu.log_prob(z).cpu(), q.log_prob(z.cpu()), **LIMIT)
    start = family.from_diagonal(*normal(2, 3, family.latent_dim, seed=18).cuda())
    assert start.is_cuda and family(start).log_prob(z).isfinite().all()


PATHS = {
    "pathwise": True,  # whether q's own parameters pass a gradient
    "sticking_the_landing": False,
    "importance_weighted_pathwise": True,
    "doubly_reparameterised": False,
}


@each_family
@pytest.mark.parametrize("estimator", PATHS)
def test_the_estimators_along_the_path_take_every_family(estimator, name):
    family = FAMILIES[name]
    d = family.latent_dim
    model = LinearGaussian(normal(3, d, seed=13), torch.zeros(3, dtype=F64), 0.8)
    x, eps = normal(2, 3, seed=14), normal(4, 2, d, seed=15)
    rows = parameters(family, n=2).requires_grad_()
    value = getattr(estimators, estimator)(
        lambda z, q: bounds.log_weights(model, q, x, z), family(rows), eps
    )
    (found,) = torch.autograd.grad(value.sum(), rows)
    # By hand: z along its path, and q the same or one of constant parameters.
    z = noise.push(family(rows), eps)
    q = family(rows if PATHS[estimator] else rows.detach())
    log_w = bounds.log_weights(model, q, x, z)
    share = log_w.detach().softmax(0)
    expected, weights = {
        "pathwise": (bounds.elbo(log_w), 1 / 4),
        "sticking_the_landing": (bounds.elbo(log_w), 1 / 4),
        "importance_weighted_pathwise": (bounds.importance_weighted(log_w), share),
        "doubly_reparameterised": (bounds.importance_weighted(log_w), share**2),
    }[estimator]
    (slope,) = torch.autograd.grad((weights * log_w).sum(), rows)
    torch.testing.assert_close(value, expected, **LIMIT)
    torch.testing.assert_close(found, slope, **LIMIT)


# What each family reaches


MODEL = LinearGaussian(
    torch.tensor([[1.5, 1.0], [0.2, 1.2], [1.0, 0.9]], dtype=F64),
    normal(3, seed=11),
    0.6,
).requires_grad_(False)
X = MODEL.loc + 1.5 * normal(4, 3, seed=12)


def best(family, steps=60):
    """Parameters of the largest exact ELBO for X, by quadrature: no noise at all."""
    nodes, weights = gauss_hermite(8, 2)
    rows = family.standard(len(X)).double().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [rows], max_iter=steps, tolerance_grad=1e-12, tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure():
        optimizer.zero_grad()
        q = family(rows)
        z = noise.push(q, nodes.unsqueeze(1))
        gap = -bounds.elbo(bounds.log_weights(MODEL, q, X, z), weights).sum()
        gap.backward()
        return gap

    optimizer.step(closure)
    return family(rows.detach())


def diagonal_gap():
    """The least KL of a diagonal Gaussian to the posterior, the same for every x."""
    precision = MODEL.posterior(X[:1]).precision_matrix[0]
    return (precision.diagonal().log().sum() - precision.logdet()) / 2


def test_a_full_gaussian_closes_the_gap_that_a_diagonal_one_leaves():
    posterior = MODEL.posterior(X)
    gap = diagonal_gap()
    assert gap > 0.3  # nats; the posterior is well correlated
    left = kl(best(DiagonalGaussian(2)), posterior)
    torch.testing.assert_close(left, gap.expand(4), rtol=0, atol=1e-8)
    closed = kl(best(FullGaussian(2)), posterior)
    torch.testing.assert_close(closed, torch.zeros(4, dtype=F64), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian, CouplingFlow])
@pytest.mark.parametrize("amortized", [False, True])
def test_every_family_trains(kind, amortized):
    family = kind(2)
    start = family.standard(4).double()
    guide = Free(start, family)
    if amortized:
        encoder = nn.Linear(3, family.size).double()
        nn.init.zeros_(encoder.weight)
        encoder.bias.data.copy_(start[0])
        guide = Amortized(encoder, family)
    x = X - X.mean(0)
    model = LinearGaussian(MODEL.weight, MODEL.loc - X.mean(0), MODEL.scale)
    model.requires_grad_(False)
    for steps, lr in ((300, 0.03), (100, 0.003)):
        train(model, guide, bounds.elbo, x, steps=steps, lr=lr, samples=32,
              device="cpu")
    nodes, weights = gauss_hermite(16, 2)
    with torch.no_grad():
        q = guide(x)
        log_w = bounds.log_weights(model, q, x, noise.push(q, nodes.unsqueeze(1)))
        left = (model.log_evidence(x) - bounds.elbo(log_w, weights)).mean()
    gap = diagonal_gap()
    if kind is DiagonalGaussian:
        assert gap - 1e-9 < left < gap + 0.03
    else:
        assert -1e-3 < left < 0.3 * gap


class Banana:
    """z ~ N(0, I), x|z ~ N(z₂ + z₁², 0.3²): the posterior is a bent ridge."""

    def prior(self):
        return standard_normal(2, torch.zeros((), dtype=F64))

    def likelihood(self, z):
        mean = z[..., 1:] + z[..., :1].square()
        return td.Independent(td.Normal(mean, 0.3), 1)


def test_a_flow_closes_most_of_the_gap_of_a_posterior_that_is_no_gaussian():
    model, x = Banana(), torch.tensor([[0.0], [1.5]], dtype=F64)  # one, and two modes
    nodes, weights = gauss_legendre(300, -7, 7)
    grid = torch.cartesian_prod(nodes, nodes).unsqueeze(1)
    area = torch.outer(weights, weights).flatten().log().unsqueeze(1)
    log_p = bounds.log_joint(model, x, grid)
    log_p = log_p - (log_p + area).logsumexp(0)

    def gap(q):  # KL(q ‖ posterior) over the plane
        log_q = q.log_prob(grid)
        return ((log_q + area).exp() * (log_q - log_p)).sum(0)

    left = {}
    rows = DiagonalGaussian(2).standard(2)
    for family in (DiagonalGaussian(2), FullGaussian(2), CouplingFlow(2)):
        # the richer families start where the diagonal one ended
        start = family.from_diagonal(*rows[:, :4].chunk(2, -1))
        guide = Free(start.double(), family)
        if rows.dtype == F64:
            assert (gap(guide(x)) - left[DiagonalGaussian]).abs().max() < 1e-9
        for steps, lr in ((500, 0.02), (200, 0.003)):
            train(model, guide, bounds.elbo, x, steps=steps, lr=lr, samples=32,
                  device="cpu")
        with torch.no_grad():
            left[type(family)] = gap(guide(x))
        if type(family) is DiagonalGaussian:
            rows = guide.table.detach()
    assert (left[FullGaussian] < left[DiagonalGaussian] + 0.01).all()
    assert (left[CouplingFlow] < 0.2 * left[FullGaussian]).all()
    assert (left[CouplingFlow] > 0).all()


class Divided(nn.Module):
    """An encoder whose output is finite where its input is not zero."""

    def __init__(self, family, column):
        super().__init__()
        self.start = nn.Parameter(family.standard(1))
        self.column = column

    def forward(self, x):
        rows = self.start.expand(len(x), -1).clone()
        rows[:, self.column] = rows[:, self.column] / x[:, 0]
        return rows


@pytest.mark.parametrize(
    "kind, column, what",
    [
        (DiagonalGaussian, 0, "q's loc"),
        (DiagonalGaussian, 2, "q's log scale"),
        (FullGaussian, 2, "q's scale_tril"),
        (CouplingFlow, 1, "q's loc"),
        (CouplingFlow, 3, "q's log scale"),
        (CouplingFlow, -1, "z"),
    ],
)
def test_training_names_the_part_of_q_that_is_not_finite(kind, column, what):
    family = kind(2)
    guide = Amortized(Divided(family, column), family)
    data = torch.cat([torch.ones(4, 3), torch.zeros(1, 3)])
    model = LinearGaussian(torch.ones(3, 2), torch.zeros(3), 1.0)
    with pytest.raises(FloatingPointError, match=rf"step 0: {what} is not .*row 4"):
        train(model, guide, bounds.elbo, data, steps=1, device="cpu")


# Guides


def test_a_free_guide_has_parameters_of_its_own_for_each_datum():
    start = DiagonalGaussian(2).standard(4).double()
    guide, x = Free(start, DiagonalGaussian(2)), normal(4, 7, seed=1)
    q = guide(x)
    assert q.batch_shape == (4,) and q.event_shape == (2,)
    assert torch.equal(q.mean, torch.zeros(4, 2, dtype=F64))
    assert torch.equal(q.stddev, torch.ones(4, 2, dtype=F64))
    with torch.no_grad():
        guide.table[1, 2] = -1.0
        guide.table[2, 1] = 3.0
    assert guide(x).stddev[1, 0].item() == pytest.approx(torch.e**-1)
    assert guide(x).mean[2, 1] == 3 and guide(x).mean.sum() == 3
    assert not start.any()  # what it was made from is left alone


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_a_free_guide_takes_the_whole_data_set(rows):
    match = f"x: expected all 4 data that this guide has parameters for, got {rows}"
    with pytest.raises(ValueError, match=match):
        Free(torch.zeros(4, 4), DiagonalGaussian(2))(torch.zeros(rows, 7))


def test_an_encoder_gives_loc_and_log_scale_in_this_order():
    encoder = nn.Linear(3, 4).double()
    x = normal(5, 3, seed=2)
    for guide in (Amortized(encoder), Amortized(encoder, DiagonalGaussian(2))):
        q = guide(x)
        assert q.batch_shape == (5,) and q.event_shape == (2,)
        torch.testing.assert_close(q.mean, encoder(x)[:, :2])
        torch.testing.assert_close(q.stddev, encoder(x)[:, 2:].exp())


def test_an_encoder_of_the_wrong_width_is_named():
    with pytest.raises(ValueError, match=r"parameters: .* \(B, 5\), got \(5, 4\)"):
        Amortized(nn.Linear(3, 4), FullGaussian(2))(torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"parameters: .* \(B, 2\), got \(5, 3\)"):
        Amortized(nn.Linear(3, 3))(torch.zeros(5, 3))


@pytest.mark.parametrize("name", CASES)
def test_with_the_prior_as_guide_a_log_weight_is_the_log_likelihood(name):
    case = CASES[name]
    guide = PriorGuide(case.model)
    q = guide(case.x)
    assert q.batch_shape == (len(case.x),)
    assert q.event_shape == case.model.prior().event_shape
    log_w = bounds.log_weights(case.model, q, case.x, case.z)
    expected = case.model.likelihood(case.z).log_prob(case.x)
    torch.testing.assert_close(log_w, expected, **CLOSE)


def test_the_prior_guide_owns_no_parameter_and_follows_its_model():
    model = DeepModel(mlp(2, 3, 4), Binomial(16), 2)
    guide = PriorGuide(model)
    assert not list(guide.parameters()) and not guide.state_dict()
    assert guide(torch.zeros(3, 4)).mean.dtype == torch.float32
    model.double()
    assert guide(torch.zeros(3, 4)).mean.dtype == F64


def test_an_exact_posterior_is_a_guide():
    model = LinearGaussian(normal(3, 2, seed=3), normal(3, seed=4), 0.5)
    q = model.posterior(normal(6, 3, seed=5))
    assert isinstance(q, td.Distribution)
    assert q.batch_shape == (6,) and q.event_shape == (2,)
