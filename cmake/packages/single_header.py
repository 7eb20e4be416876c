#!/usr/bin/env python3
"""Writes room core of loru as one header that needs the standard library alone, for Compiler Explorer.

    single_header.py OUT    OUT takes the place of <loru/version.hpp> and <loru/core/core.hpp>

Each header of loru stands where it is first included. Other includes stay as they are.
"""
import re
import sys
from pathlib import Path

INCLUDE_DIR = Path(__file__).resolve().parents[2] / "include"
HEADERS = ["loru/version.hpp", "loru/core/core.hpp"]
INCLUDE = re.compile(r"\s*#\s*include\s*<(loru/[^>]+)>")
ANY_QUOTED = re.compile(r'\s*#\s*include\s*"')
OPENS, CLOSES = re.compile(r"\s*#\s*if"), re.compile(r"\s*#\s*endif")


def expand(name, seen):
    """The lines of a header with loru's own includes in their places; none if it has been `seen`."""
    if name in seen:
        return
    seen.add(name)
    yield f"// ---- {name} ----\n"
    depth = 0  # of #if
    for number, line in enumerate((INCLUDE_DIR / name).read_text(encoding="utf-8").splitlines(keepends=True), 1):
        depth += bool(OPENS.match(line)) - bool(CLOSES.match(line))
        include = INCLUDE.match(line)
        if ANY_QUOTED.match(line) or (include and depth):
            sys.exit(f"single_header.py: {name}:{number}: expected '#include <loru/...>' outside of #if, "
                     f"got '{line.strip()}'")
        if include:
            yield from expand(include[1], seen)
        elif line.strip() != "#pragma once":
            yield line


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    seen = set()
    lines = [line for name in HEADERS for line in expand(name, seen)]
    numbers = re.findall(r"#define LORU_VERSION_\w+ (\d+)", "".join(lines))
    Path(sys.argv[1]).write_text("".join([
        "#pragma once\n",
        f"// Room core of loru {'.'.join(numbers)}, Apache-2.0. Written by cmake/packages/single_header.py.\n\n",
        *lines]), encoding="utf-8")


if __name__ == "__main__":
    main()
