#!/usr/bin/env python3
"""extract.py FOLDER PAGE.md...: writes every C++ block of the pages to FOLDER/<page>_<n>.cpp, n from 1, so
that the build compiles it, and prints their names, a line each. A block that is a piece of a
file, as docs/site/reading.py says, is compiled there. A file is written only if it changes."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/site"))
from reading import pieces  # noqa: E402

folder, pages = Path(sys.argv[1]), [Path(page) for page in sys.argv[2:]]
folder.mkdir(parents=True, exist_ok=True)
written = 0
for page in pages:
    text = page.read_text(encoding="utf-8")
    elsewhere = {match.start(3) for match, _, _ in pieces(text)}
    blocks = re.finditer(r"^```cpp\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for number, block in enumerate((block for block in blocks if block.start(1) not in elsewhere), 1):
        line = text.count("\n", 0, block.start(1)) + 1
        source = folder / f"{page.stem}_{number}.cpp"
        content = f'#line {line} "{page}"\n{block[1]}'
        if not source.exists() or source.read_text(encoding="utf-8") != content:
            source.write_text(content, encoding="utf-8")
        print(source)
        written += 1
if written == 0:
    sys.exit("expected a ```cpp block, got none")
