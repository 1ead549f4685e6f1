"""The package as a whole: who imports whom, what is documented, that examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import vaelib
from vaelib.symbolic import definitions, ledger

ROOT = Path(vaelib.__file__).parent
FILES = {
    ".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    ): p
    for p in sorted(ROOT.rglob("*.py"))
}
MODULES = [m for m in FILES if not m.endswith("__main__")]
NESTED = "models guides estimators meanfield data training evaluation interactive"
PACKAGES = tuple(f"vaelib.{name}." for name in NESTED.split())
PUBLIC = [m for m in MODULES if m.count(".") == 1 or m.startswith(PACKAGES)]
# Each imports only from those before it. `symbolic` stands by itself.
ORDER = (
    "chain normal noise quadrature bounds divergences models guides estimators "
    "meanfield progress data checks checkpoint training evaluation figures interactive"
).split()
LABELS = {i.label for i in ledger()} | set(definitions())
EQUATION = re.compile(r"^\s*Equations?:(.*)$", re.M)
each_module = pytest.mark.parametrize("name", MODULES)


def imported(name: str) -> set[str]:
    """The parts of vaelib, such as `noise`, that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import"
            found |= {f"{node.module}.{a.name}" for a in node.names}
    parts = {n.split(".")[1] for n in found if n.startswith("vaelib.")}
    return {p for p in parts if f"vaelib.{p}" in FILES}


@each_module
def test_imports_go_one_way(name):
    if name == "vaelib":
        assert not imported(name)
        return
    part = name.split(".")[1]
    if part == "symbolic":
        assert imported(name) <= {"symbolic"}
        return
    assert part in ORDER, f"{part} has no place in the order of imports"
    allowed = set(ORDER[: ORDER.index(part)])
    if part == "interactive":
        allowed.add("symbolic")  # it prints the ledger's formulas
    if f"vaelib.{part}." in PACKAGES:
        allowed.add(part)
    assert imported(name) <= allowed


def test_the_ledger_needs_sympy_alone():
    code = (
        "import sys, vaelib.symbolic as s; list(s.ledger()); "
        "print([m for m in ('torch', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


@each_module
def test_no_file_is_longer_than_250_lines(name):
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 250


def test_only_noise_draws_random_numbers():
    drawing = re.compile(
        r"torch\.(rand|bernoulli|multinomial|normal)|\.r?sample\(|Gene"
    )
    for name, file in FILES.items():
        if name != "vaelib.noise" and not name.startswith("vaelib.symbolic"):
            code = ast.unparse(ast.parse(file.read_text(encoding="utf-8")))
            code = code.replace("torch.Generator", "").replace("noise.sample(", "")
            assert not drawing.search(_without_strings(code)), name


def _without_strings(code: str) -> str:
    return re.sub(r'"""[\s\S]*?"""|\'[^\'\n]*\'|"[^"\n]*"', "", code)


def test_a_bound_becomes_a_loss_once():
    lines = [
        line
        for file in FILES.values()
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bloss\b\s*=", line)
    ]
    assert [line.strip() for line in lines] == ["loss = -value"]


def own_members(module: ModuleType):
    """The public functions and classes that a module defines, with their methods."""
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(item):
            yield name, item
        if inspect.isclass(item):
            yield name, item
            for key, method in vars(item).items():
                called = method.fget if isinstance(method, property) else method
                called = getattr(called, "__func__", called)
                if inspect.isfunction(called) and not key.startswith("_"):
                    yield f"{name}.{key}", called


INHERITED = {  # documented where they are declared
    "forward", "log_prob", "mean", "variance", "verdict", "cases", "method",
}  # fmt: skip


@each_module
def test_everything_public_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    for member, item in own_members(module):
        protocol = "Model." in member and module.__name__.endswith(
            ("bounds", "divergences")
        )
        known = member.split(".")[-1] in INHERITED or protocol
        if not item.__doc__ and not known and name in PUBLIC:
            pytest.fail(f"{name}.{member} has no docstring")
        if item.__doc__ and not item.__doc__.startswith(item.__qualname__ + "("):
            first = item.__doc__.strip().splitlines()[0]
            assert first.endswith((".", ":", "ε)`.")), f"{name}.{member}: {first}"


@each_module
def test_equations_that_docstrings_name_are_in_the_ledger(name):
    module = importlib.import_module(name)
    for member, item in own_members(module):
        for line in EQUATION.findall(item.__doc__ or ""):
            labels = re.findall(r"[\w-]+", line)
            assert labels, f"{name}.{member}"
            missing = set(labels) - LABELS
            assert not missing, f"{name}.{member} names {missing}"


@each_module
def test_examples_run_as_printed(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [
        t for m in PUBLIC for t in finder.find(importlib.import_module(m)) if t.examples
    ]
    assert len(found) >= 3
