#!/usr/bin/env python3
"""extract.py README.md OUT.cpp: writes the README's first C++ program, so that the build compiles it."""
import re
import sys
from pathlib import Path

blocks = re.findall(r"^```cpp\n(.*?)^```", Path(sys.argv[1]).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
programs = [block for block in blocks if "int main(" in block]
if not programs:
    sys.exit(f"{sys.argv[1]}: no ```cpp block with a main function")
Path(sys.argv[2]).write_text(f'#line 1 "{sys.argv[1]}: example"\n{programs[0]}', encoding="utf-8")
