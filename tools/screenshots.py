"""Pictures of every page of the built site, for people to look at.

    tools/screenshots.py FOLDER [PAGE ...]   needs `make book` first, and Chromium

Each page is taken at desktop and phone width, in light and in dark.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from book_build import ROOT
from browser import THEMES, WIDTHS, open_browser, ready

LONGEST = 14000  # pixels of a page's height that a picture holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*", help="as in the site: bounds/jensen.html")
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html")
    args = parser.parse_args()
    site = args.site.resolve()
    pages = [site / p for p in args.pages] or sorted(site.rglob("*.html"))
    pages = [p for p in pages if "_static" not in p.parts]
    args.folder.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for theme in THEMES:
            for width, height in WIDTHS.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=theme
                )
                tab = context.new_page()
                for page in pages:
                    tab.goto(page.as_uri())
                    ready(tab)
                    name = "-".join(page.relative_to(site).with_suffix("").parts)
                    full = tab.evaluate("document.documentElement.scrollHeight")
                    tab.screenshot(
                        path=args.folder / f"{name}.{theme}.{width}.png",
                        full_page=True,
                        clip={
                            "x": 0,
                            "y": 0,
                            "width": width,
                            "height": min(full, LONGEST),
                        },
                    )
                context.close()
    print(f"{len(pages) * len(THEMES) * len(WIDTHS)} pictures in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
