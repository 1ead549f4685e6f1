"""The arithmetic of the table: means, differences by seed, and what they decide."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from scipy import stats

# Negative log-likelihood in nats, Burda, Grosse and Salakhutdinov (2016), table 1.
PUBLISHED = {
    "1-VAE-1": 86.76,
    "1-VAE-5": 86.47,
    "1-VAE-50": 86.35,
    "1-IWAE-5": 85.54,
    "1-IWAE-50": 84.78,
    "2-VAE-1": 85.33,
    "2-VAE-5": 85.01,
    "2-VAE-50": 84.78,
    "2-IWAE-5": 83.89,
    "2-IWAE-50": 82.90,
}
# What the table says, as pairs (better, worse) of cells.
CLAIMS = {
    "IWAE: more draws are better": [
        (f"{layers}-IWAE-{more}", f"{layers}-{less}")
        for layers in (1, 2)
        for more, less in ((5, "VAE-1"), (50, "IWAE-5"))
    ],
    "VAE: more draws are better": [
        (f"{layers}-VAE-{more}", f"{layers}-VAE-{less}")
        for layers in (1, 2)
        for more, less in ((5, 1), (50, 5))
    ],
    "IWAE is better than VAE with as many draws": [
        (f"{layers}-IWAE-{k}", f"{layers}-VAE-{k}")
        for layers in (1, 2)
        for k in (5, 50)
    ],
    "two layers are better than one": [
        (f"2-{rest}", f"1-{rest}")
        for rest in ("VAE-1", "VAE-5", "VAE-50", "IWAE-5", "IWAE-50")
    ],
}
MORE_UNITS = "IWAE: more draws, more active units"


def spread(values: Iterable[float], confidence: float = 0.95) -> dict[str, object]:
    """Mean over seeds, its standard error, and Student's interval for it."""
    values = [round(float(value), 4) for value in values]
    mean, n = statistics.fmean(values), len(values)
    found = {"mean": round(mean, 4), "se": None, "interval": None, "by seed": values}
    if n > 1:
        se = statistics.stdev(values) / n**0.5
        half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * se
        found["se"] = round(se, 4)
        found["interval"] = [round(mean - half, 4), round(mean + half, 4)]
    return found


def verdict(difference: Mapping[str, object]) -> str:
    """Whether a difference that should be below zero is."""
    if difference["interval"] is None:
        return "not decided"
    low, high = difference["interval"]
    return "holds" if high < 0 else "reversed" if low > 0 else "not decided"


def table(results: Iterable[Mapping]) -> dict[str, object]:
    """Cells, differences and verdicts from the results of single runs.

    Only seeds count that all cells have, so that every difference is one of pairs.
    """
    runs: dict[str, dict[int, Mapping]] = {name: {} for name in PUBLISHED}
    for result in results:
        runs["{layers}-{objective}-{k}".format(**result["cell"])][result["seed"]] = (
            result
        )
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in runs.values())))
    if not seeds:
        raise ValueError("results: expected at least one seed with all ten cells")

    def nll(name: str) -> list[float]:
        return [runs[name][seed]["NLL"] for seed in seeds]

    def units(name: str) -> list[int]:
        return [sum(runs[name][seed]["active units"]) for seed in seeds]

    def minus(one: list[float], other: list[float]) -> dict[str, object]:
        return spread(a - b for a, b in zip(one, other, strict=True))

    cells = {}
    for name in PUBLISHED:
        base = f"{name[0]}-VAE-1"
        layers = zip(*(runs[name][s]["active units"] for s in seeds), strict=True)
        cells[name] = {
            "NLL": spread(nll(name)),
            "published NLL": PUBLISHED[name],
            "minus VAE 1": minus(nll(name), nll(base)),
            "published minus VAE 1": round(PUBLISHED[name] - PUBLISHED[base], 2),
            "active units": [spread(layer) for layer in layers],
            "NLL too high by about": round(
                statistics.fmean(
                    runs[name][seed]["NLL too high by about"] for seed in seeds
                ),
                3,
            ),
        }
    claims = []
    for claim, pairs in CLAIMS.items():
        for better, worse in pairs:
            difference = minus(nll(better), nll(worse))
            claims.append(
                {
                    "claim": claim,
                    "better": better,
                    "worse": worse,
                    "difference": difference,
                    "published": round(PUBLISHED[better] - PUBLISHED[worse], 2),
                    "verdict": verdict(difference),
                }
            )
    for more, fewer in CLAIMS["IWAE: more draws are better"]:
        difference = minus(units(fewer), units(more))
        claims.append(
            {
                "claim": MORE_UNITS,
                "better": more,
                "worse": fewer,
                "difference": difference,
                "published": None,
                "verdict": verdict(difference),
            }
        )
    return {"seeds": seeds, "cells": cells, "claims": claims}
