"""Gradients of expectations: surrogates to maximise, one signature for all.

    estimator(f, q, noise, ...) -> (B,)

`f(z, q)` maps samples z `(S, B, *event)` and the distribution q that it is given to
values `(S, B)`. For an expectation E_q[f(z)] it ignores q; for a bound it gives the
log-weights, `lambda z, q: log_weights(model, q, x, z)`. `q` has batch shape `(B,)` and
parameters that carry gradients. `noise` comes from `vaelib.noise.draw`, or is a grid or
an enumeration.

The *value* of what is returned is the estimate of the expectation or bound, the same
number that `vaelib.bounds` gives; its *gradient* is the estimator. What it is unbiased
for is the gradient of its expectation over the noise, in the parameters of q and in
those of f, except where its docstring says otherwise.

Where an estimator takes `weights`, `(S,)` or `(S, B)` and summing to one over S, they
replace 1/S and count as constants: with the nodes and weights of a quadrature, or an
enumeration with its probabilities, value and gradient are their own expectations. An
estimator whose samples depend on one another, such as the leave-one-out ones, takes
none; put the tuples of nodes along the axis of the batch instead.
"""

from __future__ import annotations

from vaelib.estimators.discrete import enumerate_exact, gumbel_softmax
from vaelib.estimators.paths import (
    doubly_reparameterised,
    importance_weighted_pathwise,
    pathwise,
    sticking_the_landing,
)
from vaelib.estimators.scores import (
    optimal_baseline,
    score_function,
    score_function_leave_one_out,
    vimco,
)

__all__ = [
    "doubly_reparameterised",
    "enumerate_exact",
    "gumbel_softmax",
    "importance_weighted_pathwise",
    "optimal_baseline",
    "pathwise",
    "score_function",
    "score_function_leave_one_out",
    "sticking_the_landing",
    "vimco",
]
