#!/usr/bin/env python3
"""Checks what Markdown files of the project point at: files, anchors of headings, sections of source files.

    links.py [ROOT]        prints each mistake as `file:line: what` and exits 1 when there is one
    links.py --self-test   mistakes that are planted are found"""
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/site"))
from reading import Mistake, anchors, is_local, line_of, links, pieces, section  # noqa: E402

FOLDERS = ("docs", "examples", "bench", "cuda", "cmake", "tests")


def pages(root):
    yield from sorted(root.glob("*.md"))
    for folder in FOLDERS:
        yield from sorted((root / folder).rglob("*.md"))


def mistakes_of(page, root):
    text, name = page.read_text(encoding="utf-8"), page.relative_to(root).as_posix()
    for match, path, piece in pieces(text):
        where = f"{name}:{line_of(text, match.start())}"
        try:
            if match[3].splitlines() != section(root, path, piece):
                yield f"{where}: expected the lines of {path}, which ./dev format puts there, got others"
        except Mistake as mistake:
            yield f"{where}: {mistake}"
    for offset, target in links(text):
        if not is_local(target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        where = f"{name}:{line_of(text, offset)}"
        if not file.is_relative_to(root) or not file.exists():
            yield f"{where}: expected a file of the project, got {target}"
        elif anchor and (file.suffix != ".md" or anchor not in anchors(file.read_text(encoding="utf-8"))):
            yield f"{where}: expected the anchor of a heading, got {target}"


def check(root):
    return [mistake for page in pages(root) for mistake in mistakes_of(page, root)]


# A page with mistakes in the lines WRONG and no other.
PLANTED = """# A page, the `first`
[good](other.md#two-words--and-a-dash) and [itself](#a-page-the-first) and [away](https://example.org/none)
[no file](none.md) and `[code](none.md)`
[no anchor](other.md#three)
```
[code](none.md)
```
![no picture](none.svg)
[an anchor of code](code.cpp#whole)
<!-- code.cpp: whole -->
```cpp
int x;
```
<!-- code.cpp: whole -->
```cpp
int y;
```
<!-- code.cpp: open -->
```cpp
int y;
```
<!-- code.cpp: none -->
```cpp
```
<!-- none.cpp -->
```cpp
```
"""
WRONG = [3, 4, 8, 9, 14, 18, 22, 25]
CODE = """  // docs: begin whole
  int x;
  // docs: end whole
// docs: begin open
int y;
"""


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        files = {"page.md": PLANTED, "other.md": "## Two words – and a dash\n", "code.cpp": CODE}
        for name, text in files.items():
            (root / name).write_text(text, encoding="utf-8")
        found = check(root)
    lines = sorted(int(mistake.split(":")[1]) for mistake in found)
    print("\n".join([*found, f"links self-test: expected mistakes in lines {WRONG}, got {lines}"]))
    return 0 if lines == WRONG else 1


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    mistakes = check(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
    print("\n".join([*mistakes, f"links: {len(mistakes)} mistakes"]))
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
