"""The interactive figures of the book, each with its formulas and its data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import sympy as sp
import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib.interactive.page import Interactive, javascript
from vaelib.noise import sample, stream

KL = javascript("eq-kl-gaussian", ["m1", "s1", "m2", "s2"])
PALETTE = (  # ten colours that are dark enough to read on white
    "#000000 #0072B2 #D55E00 #00755A #A0527F #7A5195 #8C564B #5A5A5A #B5651D #1F4E79"
).split()


def elbo(x: float = 1.2, scale: float = 0.7) -> Interactive:
    """A guide N(μ, σ²) over the exact posterior of z ~ N(0, 1), x|z ~ N(z, scale²).

    Equations: eq-decomposition, eq-eubo-residual
    """
    total = 1 + scale**2
    log_evidence = -(x**2) / (2 * total) - 0.5 * math.log(2 * math.pi * total)
    return Interactive(
        "elbo",
        "Move the guide over the posterior. The evidence stays; bound and divergence "
        "share it.",
        {"kl": KL},
        {
            "prior": [0, 1],
            "posterior": [x / total, scale / math.sqrt(total)],
            "log_evidence": log_evidence,
        },
    )


def correlation() -> Interactive:
    """The residual of the bad bound for standard normal x and z with correlation ρ.

    Equations: eq-lautum-linear-gaussian, eq-information-linear-gaussian
    """
    return Interactive(
        "correlation",
        "Turn the correlation. What the bad bound leaves out grows without limit, "
        "faster than what x and z have to say about one another.",
        {
            "kl": KL,
            "lautum": javascript("eq-lautum-linear-gaussian", ["a", "s"]),
            "mutual": javascript("eq-information-linear-gaussian", ["a", "s"]),
        },
    )


def residual() -> Interactive:
    """A function, and a lower bound of it whose residual the reader shapes.

    Equations: eq-residual, eq-regret
    """
    theta = sp.Symbol("theta", real=True)
    places = 13
    return Interactive(
        "residual",
        "Shape the residual and watch the maximum of the bound: its size does not "
        "matter, its slope does.",
        {"evidence": javascript(-((theta - 1) ** 2) / 4, ["theta"])},
        {
            "range": [-3, 3],
            "start": [0.5 + 0.18 * i for i in range(places)],
            "presets": {
                "none": [0.0] * places,
                "constant": [4.0] * places,
                "tilted": [0.5 + 0.18 * i for i in range(places)],
                "small and wiggly": [0.1 + 0.5 * (i % 2) for i in range(places)],
            },
        },
    )


def gradients(draws: int = 200, seed: int = 0) -> Interactive:
    """Draws of the pathwise and the score-function gradient of E_{N(θ, 1)}[f(z)].

    Equations: eq-pathwise-square, eq-score-square, eq-cos-difference
    """
    theta, omega = sp.symbols("theta omega", real=True)
    mean = -omega * sp.exp(-(omega**2) / 2) * sp.sin(omega * theta)
    square = sp.exp(-2 * omega**2) * sp.cos(2 * omega * theta)  # E[cos 2ωz]
    generator = stream(seed, "interactive gradients")
    noise = sample(td.Normal(torch.zeros(()), torch.ones(())), draws, generator)
    both = ["theta", "omega"]
    return Interactive(
        "gradients",
        "Move θ and ω. The same draws of noise go through both estimators; the line "
        "marks the gradient that both have as their mean.",
        {
            "square_mean": javascript("eq-pathwise-square", ["theta"]),
            "square_pathwise": javascript("eq-pathwise-square", ["theta"], case=1),
            "square_score": javascript("eq-score-square", ["theta"], case=1),
            "cos_mean": javascript(mean, both),
            "cos_pathwise": javascript(omega**2 * (1 - square) / 2 - mean**2, both),
            "cos_difference": javascript("eq-cos-difference", both),
        },
        {"noise": [round(e, 4) for e in noise.tolist()]},
    )


def latent(decoder: nn.Module, codes: Tensor, labels: Sequence[int]) -> Interactive:
    """The plane of a two-dimensional VAE's codes, and the digit under the pointer.

    Args:
        decoder: `models.mlp(2, …, 64)` with tanh or SiLU; its outputs are logits.
        codes: `(N, 2)`, drawn with their labels.
        labels: the digits 0 to 9, N of them.

    Raises:
        ValueError: if the decoder has another form.
    """
    layers = [m for m in decoder if isinstance(m, nn.Linear)]
    between = {type(m) for m in decoder if not isinstance(m, nn.Linear)}
    known = between in ({nn.Tanh}, {nn.SiLU})
    if not known or layers[0].in_features != 2 or layers[-1].out_features != 64:
        raise ValueError(
            "decoder: expected linear layers with tanh or SiLU between them, from 2 "
            f"numbers to 64, got {decoder}"
        )

    def short(values: Tensor) -> list:
        return torch.round(values.detach().cpu().double(), decimals=3).tolist()

    points = zip(short(codes), labels, strict=True)
    return Interactive(
        "latent",
        "Walk through the plane of codes: the decoder's mean for the code under the "
        "circle.",
        data={
            "activation": between.pop().__name__,
            "layers": [[short(m.weight), short(m.bias)] for m in layers],
            "codes": [[*code, int(label)] for code, label in points],
            "palette": PALETTE,
        },
    )
