"""The ledger: every numbered equation of the book, its proof and its wrong variants."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import sympy as sp

from vaelib.symbolic.proofs import Verdict

CHAPTERS = (
    "why_a_bound",
    "information",
    "jensen",
    "decomposition",
    "bad_bound",
    "tighter_bounds",
    "mean_field",
    "vi_or_mcmc",
    "reparameterization",
    "discrete",
    "vae",
    "latent_space",
    "gap",
    "collapse",
    "neighbours",
)


@dataclass(frozen=True)
class Identity:
    """One numbered equation as data.

    Args:
        label: the equation's label in the book.
        statement: the equation in LaTeX, word for word as the book displays it.
        claim: builds the proof. Called without arguments it states the equation; its
            keyword arguments make the wrong variants.
        wrong: what each wrong variant changes, in words, and the arguments that make
            it.
        assumptions: what must hold, in words.
        scope: how general the proof is: "general", or which instances were checked.
        computes: the `vaelib` function whose value the right-hand side is, if any.
        value: builds the expression compared with that function; by default the right
            side of the claim's first case.
        reference: a key of the bibliography.
    """

    label: str
    statement: str
    claim: Callable
    wrong: dict[str, dict]
    assumptions: str
    scope: str = "general"
    computes: str | None = None
    value: Callable[[], sp.Expr] | None = None
    reference: str | None = None

    def __post_init__(self):
        if len(self.wrong) < 2:
            raise ValueError(
                f"wrong: {self.label} needs at least two wrong variants, "
                f"got {len(self.wrong)}"
            )

    @property
    def method(self) -> str:
        """How the claim is proved, in words."""
        return self.claim().method

    def check(self) -> Check:
        """Run the proof and try to refute each wrong variant."""
        start = time.perf_counter()
        verdict = self.claim().verdict()
        variants = {
            name: self.claim(**changes).verdict()
            for name, changes in self.wrong.items()
        }
        return Check(self, verdict, variants, time.perf_counter() - start)

    def right(self) -> sp.Expr:
        """The expression that `computes` must equal in numbers."""
        return self.value() if self.value else self.claim().cases[0][1]


@dataclass(frozen=True)
class Check:
    """The outcome of one identity's check."""

    identity: Identity
    verdict: Verdict
    variants: dict[str, Verdict]
    seconds: float = field(compare=False)

    @property
    def accepted(self) -> bool:
        """Proved, and every wrong variant refuted."""
        return self.verdict is Verdict.PROVED and all(
            v is Verdict.REFUTED for v in self.variants.values()
        )


def ledger(chapter: str | None = None) -> Iterator[Identity]:
    """The identities, of one chapter or of all, in the book's order."""
    for module in _modules(chapter):
        yield from module.IDENTITIES


def definitions(chapter: str | None = None) -> dict[str, str]:
    """Labels of the numbered equations that define something, and what they define."""
    return {k: v for module in _modules(chapter) for k, v in module.DEFINITIONS.items()}


def check(label: str) -> Check:
    """Check the identity with this label.

    Raises:
        KeyError: if the ledger has no such label.
    """
    for identity in ledger():
        if identity.label == label:
            return identity.check()
    raise KeyError(f"label: the ledger has no {label!r}")


def _modules(chapter: str | None):
    if chapter is not None and chapter not in CHAPTERS:
        raise ValueError(f"chapter: expected one of {CHAPTERS}, got {chapter!r}")
    for name in [chapter] if chapter else CHAPTERS:
        yield importlib.import_module(f"vaelib.symbolic.{name}")
