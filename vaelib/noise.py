"""Seeded streams of noise, and the map from noise to a sample.

The only module of `vaelib` that draws random numbers. A stream is a function of a seed
and a path, never of what ran before; and a sample is a function of a distribution and
its noise. So noise can also be a quadrature grid or an enumeration, and an expectation
that is estimated in training can be computed exactly in a test.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.chain import Chain


def stream(
    seed: int, *path: int | str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator that depends on `(seed, *path)` and on nothing else.

    Two different paths give unrelated streams; the same path gives the same stream
    again, so that step 1,000 of a training run can be repeated without the others.

    Args:
        seed: any integer.
        path: integers or strings that name the use, such as `("noise", step)`.
        device: where the numbers will be drawn. The numbers differ between kinds of
            device.

    Returns:
        A `torch.Generator` on `device`.

    Raises:
        TypeError: if the seed is not an integer, or a part of the path neither an
            integer nor a string.

    Example:
        >>> a, b = stream(0, "noise", 7), stream(0, "noise", 7)
        >>> torch.equal(torch.randn(3, generator=a), torch.randn(3, generator=b))
        True
    """
    for part, kinds in ((seed, (int,)), *((p, (int, str)) for p in path)):
        if not isinstance(part, kinds) or isinstance(part, bool):
            wanted = " or ".join(k.__name__ for k in kinds)
            raise TypeError(f"seed and path: expected {wanted}, got {part!r}")
    digest = hashlib.blake2b(repr((seed, *path)).encode(), digest_size=8).digest()
    generator = torch.Generator(device=device)
    generator.manual_seed(int.from_bytes(digest, "little") >> 1)
    return generator


def permutation(n: int, generator: torch.Generator) -> Tensor:
    """A random order of `n` items, shape `(n,)`, drawn on the generator's device."""
    return torch.randperm(n, generator=generator, device=generator.device)


def standard_normal(
    shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """Standard normal numbers on the generator's device: what all smooth families take.

    For every q that `push` maps noise to smoothly, `standard_normal((n, *q.batch_shape,
    *q.event_shape), …)` is noise as good as `draw(q, n, …)`, and needs no q.
    """
    place = generator.device
    return torch.randn(shape, generator=generator, dtype=dtype, device=place)


def draw(q: td.Distribution, n: int, generator: torch.Generator) -> Tensor:
    """Noise ε for `n` samples of q, such that `push(q, noise)` is distributed as q.

    Standard normal numbers for the Gaussian families; the base's noise for a
    `TransformedDistribution`, such as a flow; that of its parts, one after the other,
    for a `Chain`. For families without a smooth map from noise to sample (categorical,
    Bernoulli, binomial, mixtures) the noise is the sample itself.

    Returns:
        Tensor `(n, *q.batch_shape, *q.event_shape)`, without gradient.
    """
    shape = (n, *q.batch_shape, *q.event_shape)
    base = innermost(q)
    if isinstance(base, td.TransformedDistribution):
        return draw(base.base_dist, n, generator)
    if isinstance(base, Chain):
        with torch.no_grad():
            first = draw(base.first, n, generator)
            then = base.then(push(base.first, first))
            return base.join(first, draw(then, 1, generator)[0])
    if isinstance(base, (td.Normal, td.MultivariateNormal)):
        return standard_normal(shape, generator, base.loc.dtype)
    with torch.no_grad():
        return _draw_values(q, n, generator)


def draw_gumbel(q: td.Distribution, n: int, generator: torch.Generator) -> Tensor:
    """Gumbel noise for `n` samples of a categorical q, one number for each state.

    With such g, argmax(log q + g) is a sample of q; the softmax in its place is the
    relaxed sample of `vaelib.estimators.gumbel_softmax`.

    Returns:
        Tensor `(n, *q.batch_shape, *q.event_shape, K)`, without gradient.

    Raises:
        TypeError: if q is not categorical.
    """
    base = innermost(q)
    if not isinstance(base, td.Categorical):
        raise TypeError(f"q: expected a Categorical, got {type(base).__name__}")
    empty = base.logits.detach().new_empty(n, *base.logits.shape)
    return -empty.exponential_(generator=generator).log()


def push(q: td.Distribution, noise: Tensor) -> Tensor:
    """The sample z = T(ε) of q that belongs to the noise ε, differentiable in q.

    `loc + scale · ε` for (independent) normals, `loc + L ε` with the Cholesky factor L
    for the multivariate normal, the base's sample through the transforms for a
    `TransformedDistribution`, one part after the other for a `Chain`, ε itself for the
    discrete families.

    Args:
        q: the distribution, batch shape `batch`, event shape `event`.
        noise: shape `(S, *batch, *event)`, or one that broadcasts against it.

    Returns:
        z, shape `(S, *batch, *event)`.
    """
    base = innermost(q)
    if isinstance(base, td.Normal):
        return base.loc + base.scale * noise
    if isinstance(base, td.MultivariateNormal):
        return base.loc + (base.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
    if isinstance(base, td.TransformedDistribution):
        z = push(base.base_dist, noise)
        for transform in base.transforms:
            z = transform(z)
        return z
    if isinstance(base, Chain):
        first, then = base.split(noise)
        a = push(base.first, first)
        return base.join(a, push(base.then(a), then.unsqueeze(0))[0])
    return noise.expand(noise.shape[:1] + q.batch_shape + q.event_shape)


def sample(q: td.Distribution, n: int, generator: torch.Generator) -> Tensor:
    """`n` samples of q from a generator: `push(q, draw(q, n, generator))`."""
    return push(q, draw(q, n, generator))


def innermost(q: td.Distribution) -> td.Distribution:
    """The distribution inside any `Independent` wrappers."""
    return innermost(q.base_dist) if isinstance(q, td.Independent) else q


def _draw_values(q: td.Distribution, n: int, generator: torch.Generator) -> Tensor:
    base = innermost(q)
    if isinstance(base, td.Categorical):
        flat = base.probs.reshape(-1, base.probs.shape[-1])
        values = torch.multinomial(flat, n, replacement=True, generator=generator)
        return values.T.reshape(n, *base.batch_shape)
    if isinstance(base, td.Bernoulli):
        probs = base.probs.expand(n, *base.batch_shape)
        return torch.bernoulli(probs, generator=generator)
    if isinstance(base, td.Binomial):
        probs = base.probs.expand(n, *base.batch_shape)
        count = base.total_count.expand(probs.shape).to(probs)
        return torch.binomial(count.contiguous(), probs.contiguous(), generator)
    if isinstance(base, td.MixtureSameFamily):
        which = _draw_values(base.mixture_distribution, n, generator)
        parts = base.component_distribution
        values = sample(parts, n, generator)
        axis = 1 + len(base.batch_shape)
        index = which.reshape(which.shape + (1,) * (values.dim() - which.dim()))
        return torch.take_along_dim(values, index, axis).squeeze(axis)
    raise TypeError(
        f"q: no rule to draw from {type(base).__name__}; expected a normal, "
        "multivariate normal, categorical, Bernoulli, binomial or a mixture of one of "
        "them"
    )
