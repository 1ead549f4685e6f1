"""What must hold before training starts, and what went wrong in a step that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib import noise
from vaelib.bounds import Guide, Model, log_weights
from vaelib.chain import Chain

Bound = Callable[[Tensor], Tensor]


def whole(**values: tuple[int, int]) -> None:
    """Each argument, name = (value, least), is a whole number of at least that."""
    for name, (value, least) in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(
                f"{name}: expected a whole number of at least {least}, got {value!r}"
            )


def module(part: object) -> nn.Module:
    """The module that holds the parameters of a model or guide; empty if none does."""
    owner = getattr(part, "__self__", part)
    if isinstance(owner, nn.Module):
        return owner
    held = getattr(owner, "__dict__", {})
    return nn.ModuleDict({k: v for k, v in held.items() if isinstance(v, nn.Module)})


def trainable(parts: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters to train, by name, each once; there is one, and all are finite."""
    parameters = {k: p for k, p in parts.named_parameters() if p.requires_grad}
    if not parameters:
        raise ValueError("model, guide: expected a parameter to train, found none")
    for name, parameter in parameters.items():
        if not parameter.isfinite().all():
            raise ValueError(f"{name}: expected finite values to start from")
    return parameters


def usable_device(device: str | torch.device) -> torch.device:
    """The device of this name, "auto" being CUDA where there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=device).item()
        return torch.device(device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ValueError(
            'device: expected "auto", "cpu", "cuda" or another device of this machine, '
            f"got {str(device)!r}"
        ) from error


def finite_rows(data: Tensor, dtype: torch.dtype) -> Tensor:
    """The data, `(N, *event)` with N ≥ 1, in this dtype; every number is finite."""
    if not isinstance(data, Tensor):
        raise TypeError(f"data: expected a tensor, got {type(data).__name__}")
    if data.dim() == 0 or data.numel() == 0:
        raise ValueError(
            f"data: expected shape (N, *event) with N ≥ 1, got {tuple(data.shape)}"
        )
    data = data.detach().to(dtype)
    bad = _rows_where(data, torch.isfinite).logical_not()
    if bad.any():
        raise ValueError(
            f"data: expected finite numbers that fit {dtype}; not so in {_rows(bad)}"
        )
    return data


def transformed(
    transform: Callable[[Tensor, torch.Generator], Tensor],
    data: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """All the data, transformed once, to look at: as many rows, all finite."""
    if not callable(transform):
        raise TypeError(
            f"transform: expected a callable, got {type(transform).__name__}"
        )
    seen = transform(data, generator)
    if not isinstance(seen, Tensor) or seen.shape[:1] != data.shape[:1]:
        got = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
        raise ValueError(
            f"transform: expected a tensor of {len(data)} rows, as the data, got {got}"
        )
    return finite_rows(seen, data.dtype)


def fit(
    model: Model, guide: Guide, bound: Bound, data: Tensor, size: int, samples: int
) -> tuple[td.constraints.Constraint, torch.Size]:
    """Model, guide, bound and data go together; tried out on the first rows.

    Returns:
        The support of a datum's numbers, and the shape of q's events.
    """
    for name in ("prior", "likelihood"):
        if not callable(getattr(model, name, None)):
            raise TypeError(f"model: expected a method `{name}`, got {model!r}")
    for name, part in (("guide", guide), ("bound", bound)):
        if not callable(part):
            raise TypeError(f"{name}: expected a callable, got {type(part).__name__}")
    x, generator = data[:size], noise.stream(0, device=data.device)
    with without_validation():  # finite values are each step's own check
        prior = model.prior()
        likelihood = model.likelihood(noise.sample(prior, 1, generator).unsqueeze(1))
        _same("data: rows", x.shape[1:], likelihood.event_shape, "of the likelihood")
        support = likelihood.support
        while isinstance(support, td.constraints.independent):
            support = support.base_constraint
        in_support(data, support)
        try:
            q = guide(x)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(
                f"guide: expected it to take data of shape {tuple(x.shape)}: {error}"
            ) from error
        if not isinstance(q, td.Distribution) or not q.has_rsample:
            raise TypeError(
                f"guide: expected a reparameterisable distribution q(z|x), got {q!r}"
            )
        _same("guide: q's batch", q.batch_shape, x.shape[:1], "one for each datum")
        _same("guide: q's events", q.event_shape, prior.event_shape, "of the prior")
        z = noise.sample(q, samples, generator)
        values = bound(log_weights(model, q, x, z))
    if not isinstance(values, Tensor):
        raise TypeError(f"bound: expected it to return a tensor, got {values!r}")
    _same("bound: values", values.shape, x.shape[:1], "one for each datum")
    if not values.requires_grad:
        raise ValueError("bound: expected it to depend on a parameter to train")
    return support, q.event_shape


def in_support(
    data: Tensor,
    support: td.constraints.Constraint,
    name: str = "data",
    rows: Tensor | None = None,
) -> None:
    """The data, rows `rows` of all, are in the likelihood's support."""
    bad = _rows_where(data, support.check).logical_not()
    if bad.any():
        limits = ", ".join(
            f"{edge} {torch.as_tensor(getattr(support, edge)).max():g}"
            for edge in ("lower_bound", "upper_bound")
            if hasattr(support, edge)
        )
        raise ValueError(
            f"{name}: expected values in the likelihood's support, "
            f"{type(support).__name__.strip('_')}({limits}); not so in "
            f"{_rows(bad, rows)}"
        )


def culprit(
    model: Model,
    guide: Guide,
    bound: Bound,
    x: Tensor,
    drawn: Tensor,
    parameters: dict[str, Tensor],
    rows: Tensor,
) -> str | None:
    """The first quantity in a step that is not finite, in words, or None.

    Args:
        model, guide, bound, x, drawn: of the step, with the noise of its samples.
        parameters: those in training, with their gradients.
        rows: where in the data the batch x came from, `(B,)`.
    """
    for name, parameter in parameters.items():
        if not parameter.isfinite().all():
            return f"the parameter {name} is not finite"
    with torch.no_grad(), without_validation():
        try:
            for name, value in _quantities(model, guide, bound, x, drawn):
                bad = ~value.isfinite().reshape(len(x), -1).all(1)
                if bad.any():
                    return f"{name} is not finite for {_rows(bad, rows)} of the data"
        except torch.linalg.LinAlgError as error:
            return f"a matrix has no decomposition: {error}"
    for name, parameter in parameters.items():
        if parameter.grad is not None and not parameter.grad.norm().isfinite():
            return f"the gradient of {name} is not finite"
    return None


def _quantities(
    model: Model,
    guide: Guide,
    bound: Bound,
    x: Tensor,
    drawn: Tensor,
) -> Iterator[tuple[str, Tensor]]:
    """What a step computes, in order: a name, and values with the batch axis first."""
    q = guide(x)
    part = noise.innermost(q)
    while isinstance(part, Chain):
        part = noise.innermost(part.first)  # what follows shows in z
    if isinstance(part, td.TransformedDistribution):
        part = part.transforms[-1]  # a flow's loc and scale; the rest shows in z
    for name in ("loc", "scale", "scale_tril"):
        if isinstance(value := getattr(part, name, None), Tensor):
            log = name == "scale"
            yield f"q's {'log ' * log}{name}", value.log() if log else value
    z = noise.push(q, drawn)
    yield "z", z.transpose(0, 1)
    yield "log p(x|z)", model.likelihood(z).log_prob(x).T
    yield "log p(z)", model.prior().log_prob(z).T
    yield "log q(z|x)", q.log_prob(z).T
    yield "the bound", bound(log_weights(model, q, x, z))


def _rows_where(data: Tensor, holds: Callable[[Tensor], Tensor]) -> Tensor:
    """For each row whether it holds for all its numbers; few at once, for memory."""
    return torch.cat([holds(x).reshape(len(x), -1).all(1) for x in data.split(10_000)])


def _same(what: str, shape: torch.Size, expected: torch.Size, whose: str) -> None:
    if shape != expected:
        raise ValueError(
            f"{what}: expected shape {tuple(expected)}, {whose}, got {tuple(shape)}"
        )


def _rows(bad: Tensor, rows: Tensor | None = None) -> str:
    index = bad.nonzero().flatten() if rows is None else rows[bad]
    shown = ", ".join(str(i) for i in index[:5].tolist())
    more = f" and {len(index) - 5} more" if len(index) > 5 else ""
    return f"{'row' if len(index) == 1 else 'rows'} {shown}{more}"


@contextmanager
def without_validation() -> Iterator[None]:
    """Distributions made in here take any values: to look at bad ones, or for speed."""
    before = td.Distribution._validate_args
    td.Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        td.Distribution.set_default_validate_args(before)
