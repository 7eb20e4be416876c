#!/usr/bin/env python3
"""Builds the documentation's site, in mkdocs' strict mode, and checks its pages: every link leads to a file
and an anchor of the site, and nothing comes from elsewhere.

    built_site.py WORK    builds in the folder WORK; exits 77 without mkdocs, mkdocs-material or doxygen"""
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
# What a browser loads by itself; <a> alone may lead out.
LOADED = re.compile(r"<(?:script|img|iframe|source|audio|video|link)\b[^>]*?\b(?:src|href)=[\"']?"
                    r"((?:https?:)?//[^\"'\s>]+)")
TARGET = re.compile(r"<a\b[^>]*?\bhref=(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))")
ANCHOR = re.compile(r"\bid=(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))")
LEAST_PAGES, LEAST_LINKS, LEAST_ENTRIES = 60, 2000, 500  # of the site, and headings of the reference


def missing():
    """The packages that are not there. The Python that runs mkdocs knows its themes."""
    if shutil.which("doxygen") is None:
        yield "doxygen"
    program = shutil.which("mkdocs")
    if program is None:
        yield "mkdocs"
        return
    python = Path(program).read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()
    known = "import sys, mkdocs.utils; sys.exit('material' not in mkdocs.utils.get_theme_names())"
    if subprocess.run([*python, "-c", known], check=False).returncode != 0:
        yield "mkdocs-material"


def first(groups):
    return unescape(next(group for group in groups if group is not None))


def check(site):
    """The number of links and what is wrong."""
    links, mistakes = 0, set()
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    ids = {page: {first(match.groups()) for match in ANCHOR.finditer(text)} for page, text in pages.items()}
    for page, text in pages.items():
        name = page.relative_to(site)
        for match in LOADED.finditer(text):
            mistakes.add(f"{name}: expected nothing from the network, got {match[1]}")
        if name.name == "404.html":
            continue  # its links start at the root of a server
        for match in TARGET.finditer(text):
            path, _, anchor = first(match.groups()).partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            links += 1
            file = (page.parent / unquote(path)).resolve() if path else page
            if file.is_dir():
                file /= "index.html"
            if not file.is_file():
                mistakes.add(f"{name}: expected a file of the site, got {path}")
            elif anchor and file in ids and unquote(anchor) not in ids[file]:
                mistakes.add(f"{name}: expected an anchor of {file.relative_to(site)}, got #{anchor}")
    return links, sorted(mistakes)


def main():
    if absent := list(missing()):
        print(f"skipped: not installed: {', '.join(absent)}")
        return 77
    work = Path(sys.argv[1]).resolve()
    build = [sys.executable, ROOT / "docs/site/build.py", "--work", work / "pages", "--out", work / "site"]
    if subprocess.run(build, check=False).returncode != 0:
        return 1
    site = work / "site"
    links, mistakes = check(site)
    pages = len(list(site.rglob("*.html")))
    entries = sum(page.read_text(encoding="utf-8").count("<h3") for page in (site / "api").glob("*.html"))
    sizes = (("pages", pages, LEAST_PAGES), ("links", links, LEAST_LINKS), ("entries", entries, LEAST_ENTRIES))
    for what, got, least in sizes:
        if got < least:
            mistakes.append(f"expected at least {least} {what}, got {got}")
    counted = f"{pages} pages, {links} links, {entries} entries in api/"
    print("\n".join([*mistakes, f"site: {counted}, {len(mistakes)} mistakes"]))
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
