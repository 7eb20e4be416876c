#!/usr/bin/env python3
"""extract.py README.md FOLDER: writes every C++ block of the README to FOLDER/readme_<n>.cpp, n from 1, so that the build
compiles it, and prints their names, a line each. A file is written only if it changes."""
import re
import sys
from pathlib import Path

readme, folder = Path(sys.argv[1]), Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
text = readme.read_text(encoding="utf-8")
blocks = list(re.finditer(r"^```cpp\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
if not blocks:
    sys.exit(f"{readme}: no ```cpp block")
for number, block in enumerate(blocks, 1):
    line = text.count("\n", 0, block.start(1)) + 1
    source = folder / f"readme_{number}.cpp"
    content = f'#line {line} "{readme}"\n{block[1]}'
    if not source.exists() or source.read_text(encoding="utf-8") != content:
        source.write_text(content, encoding="utf-8")
    print(source)
