"""A normalizing flow: a richer family, whose density is still exact."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.guides.families import Family
from vaelib.models import standard_normal
from vaelib.noise import sample, stream

BOUND = 2.0  # of |s|, the log-scale of one coupling: a factor of e² ≈ 7


class CouplingFlow(Family):
    """q(z) by a flow of affine couplings, each with a small network *of one datum*.

    z = μ + σ ⊙ T(ε) with T = c_L ∘ … ∘ c₁ and ε ~ N(0, I), so that

        log q(z) = log N(ε; 0, I) − Σ_l Σ_i s_l,i − Σ log σ,   ε = T⁻¹((z − μ) / σ).

    A coupling leaves one half a of its input as it is, and maps the other half b to
    b ⊙ exp(s) + t; the halves change places from one coupling to the next. s and t are
    functions of a: the outputs of a network W₂ tanh(W₁ a + w₁) + w₂, with s bounded
    softly to −2 < s < 2. The weights are parameters of q, so that every datum has a
    flow of its own. Zero W₂ and w₂ make T the identity.

    A sample and a log-density cost the same; the density of its own samples, just made
    by `noise.push`, needs no inversion.

    Args:
        latent_dim: D ≥ 2. With one dimension a coupling has no half to change.
        layers: L ≥ 1, the number of couplings. Two change every dimension.
        hidden: how many hidden units each network has.

    References: rezende2015; dinh2017, eq. 4 to 8.
    """

    def __init__(self, latent_dim: int, layers: int = 4, hidden: int = 16):
        for name, value in (("layers", layers), ("hidden", hidden)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"{name}: expected a whole number of at least 1, got {value!r}"
                )
        n = latent_dim // 2 if isinstance(latent_dim, int) else 0
        self._shapes = [  # of W₁, w₁, W₂, w₂ in each coupling
            ((hidden, a), (hidden,), (2 * b, hidden), (2 * b,))
            for a, b in ((n, latent_dim - n), (latent_dim - n, n)) * layers
        ][:layers]
        sizes = (math.prod(shape) for shapes in self._shapes for shape in shapes)
        super().__init__(latent_dim, 2, sum(sizes))

    def _distribution(
        self, loc: Tensor, log_scale: Tensor, shape: Tensor
    ) -> td.TransformedDistribution:
        zeros = torch.zeros_like(loc)
        base = td.Independent(td.Normal(zeros, torch.ones_like(loc)), 1)
        flow = _Flow(loc, log_scale, self._networks(shape))
        return td.TransformedDistribution(base, flow)

    def _identity(self, like: Tensor, seed: int) -> Tensor:
        size = self.size - 2 * self.latent_dim
        shape = sample(
            standard_normal(size, torch.zeros(())), 1, stream(seed, "coupling")
        )[0]
        for first, _, *last in self._networks(shape):
            first /= math.sqrt(first.shape[-1])
            for weight in last:
                weight.zero_()
        return shape.to(like)

    def _networks(self, shape: Tensor) -> list[list[Tensor]]:
        """Views `(B, *)` of W₁, w₁, W₂, w₂ in each coupling."""
        networks, start = [], 0
        for shapes in self._shapes:
            networks.append([])
            for s in shapes:
                stop = start + math.prod(s)
                networks[-1].append(shape[..., start:stop].unflatten(-1, s))
                start = stop
        return networks


class _Flow(td.Transform):
    """ε → z = μ + σ ⊙ T(ε), and the log-determinant Σ_l Σ_i s_l,i + Σ log σ.

    It remembers the last ε, z and log-determinant; of a z without gradient not the ε
    it came from, which would otherwise pass for a constant when gradients are asked.
    """

    domain = td.constraints.real_vector
    codomain = td.constraints.real_vector
    bijective = True

    def __init__(self, loc: Tensor, log_scale: Tensor, networks: list[list[Tensor]]):
        super().__init__()
        self.loc, self.scale = loc, log_scale.exp()
        self._log_scale, self._networks = log_scale, networks
        self._known: tuple[Tensor | None, ...] = (None, None, None)

    def _call(self, x: Tensor) -> Tensor:
        z, log_det = self._forward(x)
        if z.requires_grad:
            self._known = x, z, log_det
        return z

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = x, self._log_scale.sum(-1)
        for layer, weights in enumerate(self._networks):
            a, b = _halves(z, layer)
            s, t = _network(weights, a)
            z = _whole(a, b * s.exp() + t, layer)
            log_det = log_det + s.sum(-1)
        return self.loc + self.scale * z, log_det

    def _inverse(self, y: Tensor) -> Tensor:
        if y is self._known[1]:
            return self._known[0]
        x, log_det = (y - self.loc) / self.scale, self._log_scale.sum(-1)
        for layer, weights in reversed(list(enumerate(self._networks))):
            a, b = _halves(x, layer)
            s, t = _network(weights, a)
            x = _whole(a, (b - t) * (-s).exp(), layer)
            log_det = log_det + s.sum(-1)
        self._known = x, None, log_det
        return x

    def rebuilt(self, change: Callable[[Tensor], Tensor]) -> _Flow:
        """The same with each of its parameters changed, as the estimators ask for."""
        networks = [[change(w) for w in weights] for weights in self._networks]
        return _Flow(change(self.loc), change(self._log_scale), networks)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._known[2] if x is self._known[0] else self._forward(x)[1]


def _network(weights: list[Tensor], a: Tensor) -> tuple[Tensor, Tensor]:
    """s and t; each datum's samples `(S, B, ·)` go through its own weights `(B, ·)`."""
    w1, b1, w2, b2 = weights
    hidden = torch.tanh(torch.einsum("...hi,...i->...h", w1, a) + b1)
    s, t = (torch.einsum("...oh,...h->...o", w2, hidden) + b2).chunk(2, -1)
    return BOUND * torch.tanh(s / BOUND), t


def _halves(z: Tensor, layer: int) -> tuple[Tensor, Tensor]:
    """The half that stays as it is, and the half that changes."""
    n = z.shape[-1] // 2
    first, second = z[..., :n], z[..., n:]
    return (second, first) if layer % 2 else (first, second)


def _whole(a: Tensor, b: Tensor, layer: int) -> Tensor:
    return torch.cat([b, a] if layer % 2 else [a, b], -1)
