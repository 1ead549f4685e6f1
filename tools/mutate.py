"""Mutation test: change one sign of the package at a time, and see which tests notice.

`python tools/mutate.py --results results.jsonl` tries every change in a copy of the
repository and prints which were caught. With `--book`, the chapters' stored outputs are
compared instead of running the tests. Results are appended to the file as they come;
what it holds already is not tried again, so a run that was cut off can go on. Before
anything is changed, everything must pass.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "vaelib"
TARGETS = [
    PACKAGE / "bounds.py",
    PACKAGE / "divergences.py",
    PACKAGE / "normal.py",
    *sorted((PACKAGE / "models").glob("*.py")),
    *sorted((PACKAGE / "estimators").glob("*.py")),
    PACKAGE / "chain.py",
    *sorted((PACKAGE / "guides").glob("*.py")),
    *sorted((PACKAGE / "meanfield").glob("*.py")),
    *sorted((PACKAGE / "evaluation").glob("*.py")),
]
# Fast tests of the numbers; those of the site, the book and the trainer are left out.
TESTS = [
    "tests/test_bounds.py",
    "tests/test_bound_gradients.py",
    "tests/test_estimators.py",
    "tests/test_estimator_slips.py",
    "tests/test_divergences.py",
    "tests/test_models.py",
    "tests/test_guides.py",
    "tests/test_evaluation.py",
    "tests/test_noise.py",
    "tests/test_normal.py",
    "tests/test_models_deep.py",
    "tests/test_models_hierarchy.py",
    "tests/test_linear_vae.py",
    "tests/test_rbm.py",
    "tests/test_meanfield.py",
    "tests/test_latent.py",
    "tests/test_annealing.py",
    "tests/test_gap.py",
    "tests/test_package.py",
    "tests/test_symbolic.py",
]
# The tests that know a file best go first: what they catch needs no other.
OWN = {
    "vaelib/bounds.py": ["tests/test_bounds.py"],
    "vaelib/chain.py": ["tests/test_models_hierarchy.py"],
    "vaelib/divergences.py": ["tests/test_divergences.py"],
    "vaelib/estimators/": ["tests/test_estimators.py"],
    "vaelib/evaluation/annealing.py": ["tests/test_annealing.py"],
    "vaelib/evaluation/evidence.py": ["tests/test_evaluation.py"],
    "vaelib/evaluation/gap.py": ["tests/test_gap.py"],
    "vaelib/evaluation/hamiltonian.py": ["tests/test_annealing.py"],
    "vaelib/evaluation/latent.py": ["tests/test_latent.py"],
    "vaelib/evaluation/weights.py": ["tests/test_annealing.py"],
    "vaelib/guides/": ["tests/test_guides.py"],
    "vaelib/meanfield/": ["tests/test_meanfield.py"],
    "vaelib/normal.py": ["tests/test_normal.py"],
    "vaelib/models/": ["tests/test_models.py", "tests/test_models_deep.py"],
    "vaelib/models/counts.py": ["tests/test_models_counts.py"],
    "vaelib/models/rbm.py": ["tests/test_rbm.py"],
}
DESELECT = "not the_equation_is_proved"  # the proofs do not use what is changed
# The chapters that use a module, the most telling first.
CHAPTERS = {
    "vaelib/bounds.py": ["bounds/jensen", "bounds/decomposition", "bounds/bad-bound"],
    "vaelib/divergences.py": ["bounds/information", "bounds/bad-bound"],
    "vaelib/estimators/common.py": ["gradients/reparameterization"],
    "vaelib/estimators/discrete.py": ["gradients/discrete"],
    "vaelib/estimators/paths.py": [
        "gradients/reparameterization",
        "bounds/tighter-bounds",
    ],
    "vaelib/estimators/scores.py": [
        "gradients/reparameterization",
        "gradients/discrete",
    ],
    "vaelib/models/finite.py": ["bounds/jensen", "bounds/bad-bound"],
    "vaelib/models/linear_gaussian.py": [
        "bounds/why-a-bound",
        "bounds/decomposition",
        "bounds/bad-bound",
    ],
    "vaelib/models/scalar.py": ["bounds/jensen", "bounds/decomposition"],
    "vaelib/models/deep.py": ["autoencoder/vae", "bounds/bad-bound"],
    "vaelib/models/counts.py": ["autoencoder/vae", "bounds/bad-bound"],
    "vaelib/models/conv.py": ["autoencoder/vae"],
    "vaelib/models/rbm.py": ["autoencoder/neighbours"],
    "vaelib/normal.py": ["autoencoder/vae"],
    "vaelib/chain.py": ["autoencoder/gap"],
    "vaelib/guides/families.py": ["autoencoder/gap"],
    "vaelib/guides/flow.py": ["autoencoder/gap", "autoencoder/neighbours"],
    "vaelib/guides/parameters.py": ["autoencoder/gap", "autoencoder/vae"],
    "vaelib/meanfield/ascent.py": ["inference/mean-field"],
    "vaelib/meanfield/exact.py": ["inference/mean-field"],
    "vaelib/meanfield/mixture.py": ["inference/mean-field"],
    "vaelib/evaluation/annealing.py": ["autoencoder/gap"],
    "vaelib/evaluation/evidence.py": ["autoencoder/vae", "bounds/bad-bound"],
    "vaelib/evaluation/gap.py": ["autoencoder/gap"],
    "vaelib/evaluation/hamiltonian.py": ["autoencoder/gap"],
    "vaelib/evaluation/latent.py": ["autoencoder/latent-space"],
    "vaelib/evaluation/weights.py": ["autoencoder/gap"],
}
SWAPS = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.Lt: ("<", ">"),
    ast.Gt: (">", "<"),
    ast.LtE: ("<=", ">="),
    ast.GtE: (">=", "<="),
}


@dataclass(frozen=True)
class Mutant:
    """One change of one token: at this line and column, `old` becomes `new`."""

    file: str
    line: int
    column: int
    old: str
    new: str
    source: str

    @property
    def name(self) -> str:
        return (
            f"{self.file}:{self.line}:{self.column} {self.old} → {self.new or '(no)'}"
        )

    def apply(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        row = lines[self.line - 1]
        assert row[self.column :].startswith(self.old)
        rest = row[self.column + len(self.old) :]
        lines[self.line - 1] = row[: self.column] + self.new + rest
        return "".join(lines)


def mutants(file: Path) -> Iterator[Mutant]:
    """Every change of a sign or an operator in a file, in order."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    hidden = {  # annotations such as `Tensor | None`, and text made for messages
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise | ast.JoinedStr)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SWAPS:
            first = node.left if isinstance(node, ast.BinOp) else node.target
            last = node.right if isinstance(node, ast.BinOp) else node.value
            found.append(_between(text, first, last, *SWAPS[type(node.op)]))
        elif isinstance(node, ast.Compare):
            ends = [node.left, *node.comparators]
            for i, op in enumerate(node.ops):
                if type(op) in SWAPS:
                    pair = (ends[i], ends[i + 1])
                    found.append(_between(text, *pair, *SWAPS[type(op)]))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            line, column = node.lineno, node.col_offset
            found.append((line, _characters(text, line, column), "-", ""))
    relative = file.relative_to(ROOT).as_posix()
    for line, column, old, new in sorted(found):
        source = text.splitlines()[line - 1].strip()
        yield Mutant(relative, line, column, old, new, source)


def _between(text: str, first: ast.expr, last: ast.expr, old: str, new: str):
    """Where the operator stands between two operands, past any closing bracket."""
    lines = text.splitlines()
    line, column = (
        first.end_lineno,
        _characters(text, first.end_lineno, first.end_col_offset),
    )
    while not lines[line - 1].startswith(old, column):
        column += 1
        if column >= len(lines[line - 1]):
            line, column = line + 1, 0
    assert (line, column) < (
        last.lineno,
        _characters(text, last.lineno, last.col_offset),
    )
    return line, column, old, new


def _characters(text: str, line: int, column: int) -> int:
    """A column in characters; the syntax tree counts bytes."""
    return len(text.splitlines()[line - 1].encode()[:column].decode())


def copy(folder: Path) -> Path:
    """A copy of the repository's files, without what is built from them."""
    target = folder / "repository"
    ignored = shutil.ignore_patterns(
        ".git",
        ".venv",
        "_build",
        "__pycache__",
        ".*_cache",
        ".hypothesis",
        "*.egg-info",
    )
    shutil.copytree(ROOT, target, ignore=ignored, symlinks=True)
    return target


def commands(mutant: Mutant | None, book: bool) -> list[list[str]]:
    """What is run, in order, until something fails."""
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    if not book:
        file = mutant.file if mutant else ""
        own = [tests for part, tests in OWN.items() if file.startswith(part)]
        first = own[-1] if own else []
        rest = [test for test in TESTS if test not in first]
        groups = [group for group in (first, rest) if group]
        return [[*pytest, *group, "-k", DESELECT] for group in groups]
    first = CHAPTERS[mutant.file] if mutant else []
    chapters = [
        path for path in ROOT.glob("book/*/*.ipynb") if path.parts[-2] != "back"
    ]
    chapters.sort(key=lambda path: (_rank(path, first), path))  # back: sympy's pages
    return [
        [*pytest, "--nbval", path.relative_to(ROOT).as_posix()] for path in chapters
    ]


def _rank(path: Path, first: list[str]) -> int:
    name = path.relative_to(ROOT / "book").with_suffix("").as_posix()
    return first.index(name) if name in first else len(first)


def attempt(mutant: Mutant | None, book: bool, limit: float) -> dict:
    """Make one change (or none) in a copy of the repository; run what should notice."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        where = copy(Path(folder))
        if mutant:
            file = where / mutant.file
            file.write_text(mutant.apply(file.read_text(encoding="utf-8")), "utf-8")
        # the copy comes before an installed package, in kernels too
        environment = os.environ | {
            "PYTHONPATH": str(where),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        for command in commands(mutant, book):
            try:
                done = subprocess.run(
                    command, cwd=where, env=environment, capture_output=True,
                    text=True, timeout=limit,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return {"caught": True, "by": "ran out of time"}
            if done.returncode not in (0, 5):  # 5: nothing was collected
                failed = [
                    line.split(" - ")[0]
                    for line in done.stdout.splitlines()
                    if line.startswith(("FAILED", "ERROR"))
                ]
                return {"caught": True, "by": (failed or ["did not start"])[0]}
    return {"caught": False, "by": ""}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="a .jsonl file")
    parser.add_argument("--book", action="store_true", help="compare the chapters")
    parser.add_argument("--only", default="", help="part of a mutant's name")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument(
        "--limit", type=float, default=900, help="seconds for a command"
    )
    parser.add_argument(
        "--list", action="store_true", help="show the changes, run none"
    )
    options = parser.parse_args()

    every = [m for file in TARGETS for m in mutants(file) if options.only in m.name]
    if options.list:
        for mutant in every:
            print(f"{mutant.name:60} {mutant.source}")
        print(f"{len(every)} changes")
        return 0
    known = {}
    if options.results.exists():
        for line in options.results.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["book"] == options.book:
                known[row["name"], row["source"]] = row

    def run(mutant: Mutant) -> dict:
        result = attempt(mutant, options.book, options.limit)
        return {"name": mutant.name, "book": options.book, **asdict(mutant)} | result

    todo = [m for m in every if (m.name, m.source) not in known]
    if todo:
        unchanged = attempt(None, options.book, options.limit)
        if unchanged["caught"]:
            print(f"Without any change: {unchanged['by']}")
            return 2
    with ThreadPoolExecutor(options.parallel) as pool:
        for row in pool.map(run, todo):
            known[row["name"], row["source"]] = row
            with open(options.results, "a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            print(
                f"{'caught' if row['caught'] else 'SURVIVED':9} {row['name']}",
                flush=True,
            )
    rows = [known[m.name, m.source] for m in every]
    caught = sum(row["caught"] for row in rows)
    print(f"\n{caught} of {len(rows)} changes caught")
    for row in rows:
        if not row["caught"]:
            print(f"SURVIVED {row['name']}    {row['source']}")
    return 0 if caught == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
