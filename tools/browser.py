"""A headless Chromium for looking at the built site, without any network."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, sync_playwright

THEMES = ("light", "dark")
WIDTHS = {1280: 900, 360: 740}  # of a desktop and of a phone
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    # No name resolves and no address outside this machine is reached.
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The path of a Chromium on this machine; the variable CHROMIUM goes first."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        raise FileNotFoundError(
            "no Chromium found: install it (Debian: apt-get install chromium) or name "
            "it in the environment variable CHROMIUM"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def ready(page: Page) -> None:
    """Wait until the equations are typeset and nothing moves any more."""
    page.wait_for_load_state("load")
    page.evaluate("window.MathJax?.startup?.promise")
    page.evaluate("Promise.allSettled(document.getAnimations().map((a) => a.finished))")
