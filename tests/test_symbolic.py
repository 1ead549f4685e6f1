"""The ledger: every equation proved, every wrong variant refuted, every twin equal."""

from __future__ import annotations

import importlib
import random
import runpy
import sys
from collections import Counter
from operator import attrgetter

import pytest
import sympy as sp
import torch

import vaelib
from vaelib.symbolic import Identity, Report, Verdict, ledger, verify
from vaelib.symbolic import __main__ as program
from vaelib.symbolic.ledger import CHAPTERS, check
from vaelib.symbolic.points import number, random_point
from vaelib.symbolic.proofs import Equal

LEDGER = list(ledger())
COMPUTED = {i.label: i for i in LEDGER if i.computes}
TWINS = {
    chapter: importlib.import_module(f"tests.twins.{chapter}").TWINS
    for chapter in CHAPTERS
}
TWIN = {label: twin for twins in TWINS.values() for label, twin in twins.items()}
POINTS = 5


@pytest.mark.parametrize("identity", LEDGER, ids=attrgetter("label"))
def test_the_equation_is_proved_and_its_wrong_variants_are_refuted(identity):
    result = identity.check()
    assert result.verdict is Verdict.PROVED
    assert len(result.variants) >= 2
    assert set(result.variants.values()) == {Verdict.REFUTED}, result.variants
    assert result.accepted


@pytest.mark.parametrize("identity", LEDGER, ids=attrgetter("label"))
def test_an_entry_is_complete(identity):
    assert identity.label.startswith("eq-")
    assert identity.statement and identity.assumptions and identity.scope
    assert identity.method
    changes = [tuple(sorted(map(str, c.items()))) for c in identity.wrong.values()]
    assert all(changes) and len(set(changes)) == len(changes), "variants must differ"


def test_labels_are_unique_and_no_definition_is_proved():
    labels = Counter([*(i.label for i in LEDGER), *vaelib.symbolic.definitions()])
    assert [label for label, n in labels.items() if n > 1] == []
    assert LEDGER


def test_twins_and_computed_equations_are_the_same():
    twins = Counter(label for twins in TWINS.values() for label in twins)
    assert twins == Counter(list(COMPUTED))
    for chapter, own in TWINS.items():
        assert set(own) <= {i.label for i in ledger(chapter)}, chapter


@pytest.fixture
def calls(request, monkeypatch):
    """A list that grows whenever the function the equation names is called."""
    *path, name = COMPUTED[request.node.callspec.params["label"]].computes.split(".")
    importlib.import_module(f"vaelib.{path[0]}")
    owner = attrgetter(".".join(path))(vaelib)
    original, seen = getattr(owner, name), []

    def spy(*args, **kwargs):
        seen.append(name)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, spy)
    return seen


@pytest.mark.parametrize("label", COMPUTED)
def test_the_function_that_computes_an_equation_agrees_with_it(label, calls):
    identity, rng = COMPUTED[label], random.Random(label)
    right = sp.sympify(identity.right())
    domain = getattr(identity.claim(), "domain", {})
    for done in range(POINTS):
        point = random_point(right.free_symbols, rng, domain)
        expected = number(right, point)
        assert expected is not None and expected.is_real
        values = {
            s.name: int(v) if s.is_integer else float(v) for s, v in point.items()
        }
        with torch.no_grad():
            twin = TWIN[label](**values)
        assert twin == pytest.approx(float(expected), rel=1e-10, abs=1e-10), point
        assert len(calls) > done, f"the twin never calls vaelib.{identity.computes}"


def _claim(shift=0, unknown=False):
    x = sp.Symbol("x", positive=True)
    left = sp.Function("f")(x) if unknown else x + shift
    return Equal([(left, x)])


def _entry(label="eq-test", claim=_claim, wrong=None, assumptions="x > 0") -> Identity:
    wrong = wrong or {"one more": {"shift": 1}, "one less": {"shift": -1}}
    return Identity(label, "x = x", claim, wrong, assumptions)


BROKEN = {
    "false": _entry(claim=lambda shift=0: _claim(shift=1 - abs(shift))),
    "undecided": _entry(claim=lambda shift=0: _claim(shift, unknown=not shift)),
    "a true variant": _entry(wrong={"one": {"shift": 1}, "none": {"shift": 0}}),
    "an undecided variant": _entry(
        wrong={"one": {"shift": 1}, "what": {"unknown": True}}
    ),
}


def test_the_program_prints_the_ledger_and_succeeds(monkeypatch, capsys):
    monkeypatch.setattr(program, "ledger", lambda: iter([_entry()]))
    assert program.main() == 0
    printed = capsys.readouterr().out
    assert "eq-test  proved  2 of 2 wrong variants refuted" in printed
    assert "    refuted: one more" in printed
    assert "1 identities, 2 wrong variants, 0 not accepted" in printed


@pytest.mark.parametrize("kind", BROKEN)
def test_the_program_fails_when_an_identity_is_broken(kind, monkeypatch, capsys):
    entries = [_entry("eq-fine"), BROKEN[kind]]
    monkeypatch.setattr(program, "ledger", lambda: iter(entries))
    assert program.main() == 1
    printed = capsys.readouterr().out
    assert "NOT ACCEPTED: eq-test" in printed and "ACCEPTED: eq-fine" not in printed


@pytest.mark.parametrize("kind, code", [("false", 1), (None, 0)])
def test_the_command_exits_with_the_outcome(kind, code, monkeypatch):
    entries = [BROKEN[kind]] if kind else [_entry()]
    module = sys.modules["vaelib.symbolic.ledger"]
    monkeypatch.setattr(module, "ledger", lambda: iter(entries))
    monkeypatch.delitem(sys.modules, "vaelib.symbolic.__main__")
    with pytest.raises(SystemExit) as exit_:
        runpy.run_module("vaelib.symbolic", run_name="__main__")
    assert exit_.value.code == code


def test_an_empty_ledger_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(program, "ledger", lambda: iter([]))
    assert program.main() == 1
    assert not Report([]).accepted and repr(Report([])) == ""


def test_words_of_an_entry_have_indices_and_powers():
    one = _entry(assumptions="x_0 < m_2 and q_α ∝ q w^(1−α); (h_k)^j")
    table = Report([one.check()])._repr_html_()
    assert "x<sub>0</sub> &lt; m<sub>2</sub> and q<sub>α</sub> ∝ q" in table
    assert "q w<sup>1−α</sup>; (h<sub>k</sub>)<sup>j</sup>" in table


def test_verify_reports_what_it_checked(monkeypatch):
    monkeypatch.setattr(
        "vaelib.symbolic.report.ledger",
        lambda chapter: iter([_entry("eq-a"), _entry("eq-b")]),
    )
    assert len(verify().checks) == 2
    report = verify("eq-b")
    assert repr(report).startswith("eq-b") and len(report.checks) == 1
    table = report._repr_html_()
    for text in ("eq-b", "x = x", "proved", "one more", "one less", "refuted"):
        assert text in table
    with pytest.raises(KeyError, match="the ledger has no eq-c"):
        verify("eq-a", "eq-c")


@pytest.mark.parametrize("kind", BROKEN)
def test_verify_raises_when_an_identity_is_broken(kind, monkeypatch):
    monkeypatch.setattr(
        "vaelib.symbolic.report.ledger", lambda chapter: iter([BROKEN[kind]])
    )
    with pytest.raises(AssertionError, match="the ledger does not hold"):
        verify()


def test_an_identity_needs_two_wrong_variants():
    with pytest.raises(ValueError, match="wrong: eq-test needs at least two"):
        _entry(wrong={"one more": {"shift": 1}})


def test_names_that_are_not_there():
    with pytest.raises(KeyError, match="the ledger has no 'eq-nothing'"):
        check("eq-nothing")
    with pytest.raises(ValueError, match="chapter: expected one of .* got 'nothing'"):
        next(ledger("nothing"))
