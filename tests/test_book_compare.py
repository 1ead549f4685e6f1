"""The comparison of stored with fresh outputs fails and passes where it should."""

from __future__ import annotations

import base64
import importlib.util
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from nbval.plugin import IPyNbCell

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "book_conftest", ROOT / "book" / "conftest.py"
    )
    module = importlib.util.module_from_spec(spec)
    sanitize = IPyNbCell.sanitize
    spec.loader.exec_module(module)
    IPyNbCell.sanitize = sanitize
    return module


@pytest.mark.parametrize(
    "stored, fresh",
    [
        ("bound -98.31", "bound -98.32"),  # one in the last digit
        ("bound  -98.31 nats", "bound -98.31 nats"),  # a column of spaces
        ("p = 0.00", "p = -0.00"),
        ("0.123456789", "0.123456791"),  # a float32 knows no more
        ("largest error 2.2e-16", "largest error 4.4e-16"),
        ("tensor([1., 2.])", "tensor([1., 2.])"),
        ("100.0 and 3", "100.1 and 3"),
    ],
)
def test_same_text(compare: ModuleType, stored: str, fresh: str) -> None:
    assert compare.same_text(stored, fresh)
    assert compare.same_text(fresh, stored)


@pytest.mark.parametrize(
    "stored, fresh",
    [
        ("bound -98.31", "bound -98.33"),
        ("bound -98.31", "bound 98.31"),
        ("bound -98.31", "bound -98.3"),
        ("epochs 200", "epochs 201"),
        ("epochs 1000000", "epochs 1000001"),
        ("p = 0.5", "p = 0.4"),  # one in the last digit, but a fifth of the number
        ("p = 0.05", "p = 0.06"),
        ("p = 0.00", "p = 0.01"),
        ("0.123456789", "0.123457789"),
        ("1.00e-05", "1.02e-05"),
        ("residual 1e-10", "residual 1e-13"),
        ("proved", "refuted"),
        ("float32", "float64"),
        ("x2 = 1.000", "x1 = 1.000"),
        ("a - 1", "a + 1"),
        ("3", "3.0"),
        ("nan", "0.0"),
        ("inf", "1.0"),
        ("1.0 2.0", "1.0 2.0 3.0"),
        ("", "1"),
    ],
)
def test_different_text(compare: ModuleType, stored: str, fresh: str) -> None:
    assert not compare.same_text(stored, fresh)
    assert not compare.same_text(fresh, stored)


@pytest.mark.parametrize(
    "stored, fresh",
    [
        ("bound -97.3 ± 1.1", "bound -99.0 ± 1.6"),
        ("gain 0.01 ± 0.01", "gain -0.05 ± 0.03"),
        ("active 6 7 8", "active 6 8 8"),
    ],
)
def test_roughly_the_same_text(compare: ModuleType, stored: str, fresh: str) -> None:
    assert compare.same_text(stored, fresh, roughly=True)
    assert compare.same_text(fresh, stored, roughly=True)
    assert not compare.same_text(stored, fresh)


@pytest.mark.parametrize(
    "stored, fresh",
    [
        ("bound -97.3", "bound 97.3"),
        ("bound -97.3", "bound -253.9"),
        ("bound -97.3 ± 1.1", "bound -1.5 ± 1.1"),
        ("active 0", "active 8"),
        ("ELBO -97.3", "log p(x) -97.3"),
        ("-97.3 -91.0", "-97.3"),
    ],
)
def test_not_even_roughly(compare: ModuleType, stored: str, fresh: str) -> None:
    assert not compare.same_text(stored, fresh, roughly=True)
    assert not compare.same_text(fresh, stored, roughly=True)


def curves(
    shift: float = 0.0,
    colour: str = "C0",
    width: float = 1.5,
    nudge: float = 0.0,
    lines: int = 2,
    rows: int = 1,
    size: tuple[float, float] = (6.0, 3.5),
    dpi: float = 100,
) -> str:
    """A figure with curves, one of which is shifted by a part of the vertical axis."""
    figure = Figure(figsize=size, dpi=dpi)
    x = np.linspace(0, 1, 100)
    for axes in np.ravel(figure.subplots(rows, rows)):
        first = shift if axes is figure.axes[0] else 0.0
        axes.plot(x, 0.2 + 0.5 * x**2 + first, color=colour, linewidth=width)
        if lines > 1:
            axes.plot(x, 0.9 - 0.6 * x, color="C1", linestyle="--")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="theta", ylabel="nats")
        axes.set_title("The bound and the evidence")
    figure.subplots_adjust(left=0.12 + nudge, bottom=0.15 + nudge)
    return png(figure)


def scatter(shift: float = 0.0) -> str:
    figure = Figure(figsize=(5, 4))
    x, y = np.random.default_rng(0).normal(size=(2, 100))
    figure.subplots().scatter(x, y + shift * 6, s=9)
    figure.axes[0].set(xlim=(-3, 3), ylim=(-3, 3))
    return png(figure)


def picture(brighter: float = 0.0, noise: float = 0.0) -> str:
    figure = Figure(figsize=(5, 4))
    x = np.linspace(0, 0.8, 40)
    rng = np.random.default_rng(1)
    values = np.outer(x, x) + brighter + noise * rng.normal(size=(40, 40))
    figure.subplots().imshow(values, cmap="gray", vmin=0, vmax=1)
    return png(figure)


def png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def rerendered(draw: Callable[[], str]) -> str:
    """The same figure as another FreeType would draw it."""
    style = {"text.hinting": "none", "path.simplify": False, "agg.path.chunksize": 50}
    with matplotlib.rc_context(style):
        return draw()


def with_noise(stored: str) -> str:
    """The figure after a change of each pixel too small to be seen."""
    pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(stored)))
    noise = np.random.default_rng(2).normal(0, 0.01, pixels.shape)
    pixels = np.clip(pixels + noise, 0, 1)
    pixels[:, :, 3] = 1
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("draw", [curves, scatter, picture])
def test_same_picture(compare: ModuleType, draw: Callable[[], str]) -> None:
    stored = draw()
    assert compare.same_picture(stored, draw())
    assert rerendered(draw) != stored
    assert compare.same_picture(stored, rerendered(draw))
    assert with_noise(stored) != stored
    assert compare.same_picture(stored, with_noise(stored))


def test_same_picture_with_a_trace_of_change(compare: ModuleType) -> None:
    assert compare.same_picture(curves(), curves(shift=0.002))
    assert compare.same_picture(curves(), curves(nudge=0.001))
    assert compare.same_picture(picture(), picture(noise=0.01))


@pytest.mark.parametrize(
    "change",
    [
        {"shift": 0.05},
        {"shift": -0.05},
        {"shift": 0.02},
        {"shift": 0.05, "rows": 2},
        {"shift": 0.05, "dpi": 72},
        {"shift": 0.05, "dpi": 200},
        {"shift": 0.05, "size": (10.0, 6.0)},
        {"colour": "C3"},
        {"lines": 1},
        {"width": 8.0},
        {"rows": 2},
        {"size": (6.0, 3.6)},
        {"nudge": 0.05},
    ],
    ids=str,
)
def test_different_picture(compare: ModuleType, change: dict[str, float]) -> None:
    """A curve moved by 5 % of the axis is seen, and what a reader would see."""
    frame = {k: v for k, v in change.items() if k in ("dpi", "rows", "size")}
    stored = curves(**frame) if "shift" in change else curves()
    assert not compare.same_picture(stored, curves(**change))


def test_different_points_and_shades(compare: ModuleType) -> None:
    assert not compare.same_picture(scatter(), scatter(0.05))
    assert not compare.same_picture(picture(), picture(brighter=0.1))


def draws(seed: int = 0, rows: int = 7, empty: int = -1, inverted: bool = False) -> str:
    """Rows of random pictures, each dark in its middle, as draws of digits are."""
    figure = Figure(figsize=(6.6, 4.6))
    rng = np.random.default_rng(seed)
    middle = np.outer(*2 * [np.sin(np.linspace(0.2, np.pi - 0.2, 8))])
    for row, axes in enumerate(figure.subplots(rows, 1)):
        values = np.hstack(list(rng.uniform(size=(12, 8, 8)) * middle))
        values = 0 * values if row == empty else values if inverted else 1 - values
        axes.imshow(values, cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
    return png(figure)


def test_roughly_the_same_picture(compare: ModuleType) -> None:
    """Other draws of the same kind pass; a row gone black or other shades do not."""
    stored = draws()
    assert not compare.same_picture(stored, draws(seed=1))
    assert compare.same_picture(stored, draws(seed=1), roughly=True)
    changes = ({"empty": 3}, {"empty": 6}, {"inverted": True})
    for change in changes:
        assert not compare.same_picture(stored, draws(1, **change), roughly=True)
    assert not compare.same_picture(curves(), curves(size=(6.0, 3.6)), roughly=True)


def output(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", name=name, text=text)


def display(data: dict[str, str]) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", data=data)


SHOW = """\
import base64
picture = base64.b64encode(open({!r}, "rb").read()).decode()
display({{"image/png": picture, "text/plain": "a figure"}}, raw=True)"""

# What the cell does now, what is stored of it, and whether that must pass.
CELLS = {
    "same text": ("print('log 2 = 0.6931')", [output("log 2 = 0.6931\n")], True),
    "last digit": ("print('log 2 = 0.6932')", [output("log 2 = 0.6931\n")], True),
    "other number": ("print('log 2 = 0.6951')", [output("log 2 = 0.6931\n")], False),
    "other text": ("print('proved')", [output("refuted\n")], False),
    "output lost": ("pass", [output("proved\n")], False),
    "output cleared": ("print('proved')", [], False),
    "one of two": ("print(1)", [output("1\n2\n")], False),
    "progress bar": ("import sys; print('50 %', file=sys.stderr)", [], True),
    "other error": ("assert False", [], False),
    "roughly the same": ("print('ELBO -99.0')", [output("ELBO -97.3\n")], True),
    "roughly, other sign": ("print('ELBO 99.0')", [output("ELBO -97.3\n")], False),
    "value": (
        "1 + 1",
        [nbformat.v4.new_output("execute_result", data={"text/plain": "3"})],
        False,
    ),
}


def test_whole_notebooks(tmp_path: Path) -> None:
    """The rules hold where they are used: in `pytest --nbval`."""
    cells = dict(CELLS)
    stored = display({"image/png": curves(), "text/plain": "a figure"})
    for name, fresh, passes in [
        ("same figure", curves(), True),
        ("figure drawn elsewhere", rerendered(curves), True),
        ("moved curve", curves(shift=0.05), False),
    ]:
        (tmp_path / f"{name}.png").write_bytes(base64.b64decode(fresh))
        cells[name] = (SHOW.format(f"{name}.png"), [stored], passes)
    cells["figure lost"] = ("pass", [stored], False)
    notebook = nbformat.v4.new_notebook()
    for number, (name, (source, outputs, _)) in enumerate(cells.items(), 1):
        cell = nbformat.v4.new_code_cell(
            source, outputs=outputs, execution_count=number
        )
        if name.startswith("roughly"):
            cell.metadata["tags"] = ["compare-roughly"]
        notebook.cells.append(cell)
    never_run = nbformat.v4.new_code_cell("print('proved')")
    notebook.cells.append(never_run)
    nbformat.write(notebook, tmp_path / "chapter.ipynb")
    shutil.copy(ROOT / "book" / "conftest.py", tmp_path)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q"]
    command += ["-p", "no:cacheprovider", f"--junit-xml={report}", "chapter.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [any(c.tag in ("failure", "error") for c in case) for case in cases]
    expected = [not passes for *_, passes in cells.values()] + [True]
    got = dict(zip([*cells, "never run"], failed, strict=True))
    want = dict(zip([*cells, "never run"], expected, strict=True))
    assert got == want, done.stdout
