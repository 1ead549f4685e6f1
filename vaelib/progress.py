"""A bar that shows how far a long task has come, only where a human can see it."""

from __future__ import annotations

import sys

from tqdm import tqdm


def bar(show: bool | None, total: int, initial: int = 0, **settings: object) -> tqdm:
    """A progress bar on stderr from `initial` to `total`.

    Args:
        show: whether to show it. None shows it at a terminal and in a notebook that a
            human runs: a notebook's front end lets the kernel ask its user for input, a
            program that executes the notebook (nbclient, nbval, Jupyter Book) does not.
        total: what is done at the end.
        initial: what is done already.
        settings: of `tqdm`, such as `unit`.
    """
    if show is None:
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        kernel = getattr(shell, "kernel", None)
        show = sys.stderr.isatty() or getattr(kernel, "_allow_stdin", False)
    return tqdm(total=total, initial=initial, disable=not show, **settings)
