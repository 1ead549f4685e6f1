"""What the estimators share: checked samples and values, q with other parameters."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch import distributions as td

from vaelib.chain import Chain
from vaelib.noise import innermost, push
from vaelib.normal import LogScaleNormal

Integrand = Callable[[Tensor, td.Distribution], Tensor]

PARAMETERS = {
    td.Normal: ("loc", "scale"),
    LogScaleNormal: ("loc", "log_scale"),
    td.MultivariateNormal: ("loc", "scale_tril"),
    td.Categorical: ("logits",),
    td.Bernoulli: ("logits",),
}


def name_of(q: td.Distribution) -> str:
    """The type of q in words, such as `Independent(Bernoulli)`."""
    name = type(q).__name__
    return f"{name}({name_of(q.base_dist)})" if isinstance(q, td.Independent) else name


def require_path(q: td.Distribution) -> None:
    """Refuse a q whose samples are no differentiable function of noise."""
    smooth = (td.Normal, td.MultivariateNormal, td.TransformedDistribution, Chain)
    if not (isinstance(innermost(q), smooth) and q.has_rsample):
        raise TypeError(
            f"q: {name_of(q)} has no differentiable path from noise to sample; "
            "expected a Normal, Independent(Normal) or MultivariateNormal, or a flow "
            "or a chain of them. For this guide use score_function_leave_one_out "
            "(vimco for the importance-weighted bound), or enumerate_exact where its "
            "support is finite and small"
        )


def samples(q: td.Distribution, noise: Tensor) -> Tensor:
    """z = push(q, noise), `(S, B, *event)`, with the shapes checked."""
    if len(q.batch_shape) != 1:
        raise ValueError(
            f"q: expected batch shape (B,), one guide per datum, got {q.batch_shape}"
        )
    check_noise(noise, q.batch_shape + q.event_shape)
    return push(q, noise)


def check_noise(noise: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse noise that is not `(S, B, ...)` or `(S, 1, ...)` for a shape (B, ...)."""
    rows = noise.shape[1:2]
    if len(noise) and rows in ((1,), shape[:1]) and noise.shape[2:] == shape[1:]:
        return
    raise ValueError(
        f"noise: expected shape (S, {', '.join(map(str, shape))}) with at least one "
        f"sample, or the same with one row for all data, got {tuple(noise.shape)}"
    )


def values_of(f: Integrand, z: Tensor, q: td.Distribution) -> Tensor:
    """f(z, q), checked to be `(S, B)`."""
    values = f(z, q)
    if values.shape != z.shape[:2]:
        raise ValueError(
            f"f: expected values of shape (S, B) = {tuple(z.shape[:2])}, "
            f"got {tuple(values.shape)}"
        )
    return values


def several(noise: Tensor) -> None:
    """Refuse a single sample where each is compared with the others."""
    if len(noise) < 2:
        raise ValueError(
            f"noise: expected at least 2 samples, to leave one out, got {len(noise)}"
        )


def rebuilt(q: td.Distribution, change: Callable[[Tensor], Tensor]) -> td.Distribution:
    """q with each of its parameters changed."""
    if isinstance(q, td.Independent):
        return td.Independent(rebuilt(q.base_dist, change), q.reinterpreted_batch_ndims)
    parts = getattr(q, "transforms", [None])
    if all(hasattr(part, "rebuilt") for part in parts):  # a flow
        parts = [part.rebuilt(change) for part in parts]
        return td.TransformedDistribution(rebuilt(q.base_dist, change), parts)
    if type(q) not in PARAMETERS:
        known = ", ".join(kind.__name__ for kind in PARAMETERS)
        raise TypeError(f"q: expected one of {known}, got {name_of(q)}")
    names = PARAMETERS[type(q)]
    return type(q)(**{name: change(getattr(q, name)) for name in names})


def detached(q: td.Distribution) -> td.Distribution:
    """q with parameters that are constants."""
    return rebuilt(q, Tensor.detach)


def surrogate(value: Tensor, slope: Tensor) -> Tensor:
    """A tensor with the value of one and the gradient of the other."""
    return value.detach() + (slope - slope.detach())


def constant(weights: Tensor | None) -> Tensor | None:
    """Weights as constants: what depends on q through them is no part of a gradient."""
    return None if weights is None else weights.detach()
