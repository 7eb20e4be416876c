#!/usr/bin/env python3
"""Builds the documentation's site from docs/, the files that its pages link to, and the headers' comments.

    build.py [--work build/docs] [--out build/site]    what the site is made from, and the site

Needs mkdocs, mkdocs-material and doxygen, and no network. A dead link and a warning of mkdocs are errors."""
import argparse
import os
import posixpath
import shutil
import subprocess
import sys
from pathlib import Path

import api
from reading import Mistake, is_local, line_of, links, without_marks

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {".cpp": "cpp", ".hpp": "cpp", ".cu": "cpp", ".py": "python", ".sh": "sh", ".toml": "toml"}


def page_of(path):
    """Where a file stands among the pages: docs/ at the top, all else in files/; code becomes a page."""
    if path.startswith("docs/"):
        return path[len("docs/"):]
    return f"files/{path}" if path.endswith(".md") else f"files/{path}.md"


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


class Pages:
    """The pages, with every file that one of them links to."""

    def __init__(self, folder):
        self.folder, self.done = folder, set()

    def add(self, path):
        """Adds a file of the project and what it links to. Throws Mistake."""
        if path in self.done:
            return
        self.done.add(path)
        source, target = ROOT / path, self.folder / page_of(path)
        if path.endswith(".md"):
            write(target, self.linked(source.read_text(encoding="utf-8"), path))
        elif path.startswith("docs/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            code = without_marks(source.read_text(encoding="utf-8"))
            write(target, f"# `{path}`\n\n````{LANGUAGES.get(source.suffix, 'text')}\n{code}````\n")

    def linked(self, text, path):
        """The page's text with links to pages in place of links to files."""
        for offset, target in reversed(links(text)):
            if not is_local(target) or target.startswith("#"):
                continue
            name, hash_mark, anchor = target.partition("#")
            file = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            if not (ROOT / file).is_file():
                where = f"{path}:{line_of(text, offset)}"
                raise Mistake(f"{where}: expected a link to a file of the project, got {target}")
            self.add(file)
            page = posixpath.relpath(page_of(file), posixpath.dirname(page_of(path)))
            text = text[:offset] + page + hash_mark + anchor + text[offset + len(target):]
        return text


def lay_out(folder):
    """All pages but the reference. Throws Mistake."""
    pages = Pages(folder)
    for file in sorted((ROOT / "docs").rglob("*.md")):
        if file.parent.name != "site":
            pages.add(file.relative_to(ROOT).as_posix())
    for path in ("CHANGELOG.md", "CONTRIBUTING.md", "examples/federate/README.md", "docs/site/extra.css"):
        pages.add(path)


def main():
    arguments = argparse.ArgumentParser(usage="build.py [--work DIR] [--out DIR]")
    arguments.add_argument("--work", type=Path, default=ROOT / "build/docs")
    arguments.add_argument("--out", type=Path, default=ROOT / "build/site")
    options = arguments.parse_args()
    work, out = options.work.resolve(), options.out.resolve()
    pages = work / "pages"
    shutil.rmtree(work, ignore_errors=True)
    try:
        lay_out(pages)
    except Mistake as mistake:
        sys.exit(f"docs: {mistake}")
    api.write_reference(ROOT, work, pages / "api")
    here = ROOT / "docs/site"
    write(work / "mkdocs.yml", f"INHERIT: {os.path.relpath(here / 'mkdocs.yml', work)}\n"
                               f"docs_dir: pages\nsite_dir: {out}\ntheme:\n  custom_dir: {here / 'theme'}\n")
    command = ["mkdocs", "build", "--strict", "--quiet", "--config-file", work / "mkdocs.yml"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
