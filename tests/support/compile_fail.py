#!/usr/bin/env python3
"""Checks that a source file does not compile, and that the compiler says why.

The first line of the file is `// expect: REGEX`; the compiler's output must match it.
"""
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def check(source, command):
    """None when the file fails as it should, else what is wrong."""
    first = source.read_text().split("\n", 1)[0]
    expect = re.fullmatch(r"//\s*expect:\s*(.+?)\s*", first)
    if not expect:
        return "the first line is not '// expect: REGEX'"
    run = subprocess.run([*command, str(source)], capture_output=True, text=True)
    if run.returncode == 0:
        return "it compiles"
    if not re.search(expect[1], run.stderr):
        return f"no message matches '{expect[1]}'; the compiler said:\n{run.stderr[:4000]}"
    return None


def self_test(command):
    cases = [
        ("// expect: three is odd\nstatic_assert(false, \"three is odd\");\n", True),
        ("// expect: three is odd\nint main() {}\n", False),
        ("// expect: three is odd\nstatic_assert(false, \"something else\");\n", False),
        ("static_assert(false, \"three is odd\");\n", False),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for text, good in cases:
            source = Path(folder) / "case.cpp"
            source.write_text(text)
            if (check(source, command) is None) != good:
                sys.exit(f"the check is wrong about:\n{text}")
    print(f"{len(cases)} planted cases told apart")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--system", action="append", default=[], help="include folder without warnings; ';' separates")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("source", nargs="*", type=Path)
    options = parser.parse_args()

    command = [options.compiler, "-std=c++20", "-fsyntax-only", "-fdiagnostics-color=never"]
    command += [f"-I{folder}" for folder in options.include]
    for folder in ";".join(options.system).split(";"):
        command += ["-isystem", folder] if folder else []

    if options.self_test:
        return self_test(command)
    for source in options.source:
        wrong = check(source, command)
        if wrong:
            sys.exit(f"{source}: {wrong}")
        print(f"{source.name}: does not compile, as expected")


if __name__ == "__main__":
    main()
