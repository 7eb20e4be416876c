#!/usr/bin/env python3
"""Compiles every public header alone, without warnings.

    check.py --compiler g++ --compiler clang++-19 [--jobs N] [--tally FILE] [PATTERN...]

Prints one line for each header and compiler. PATTERN limits the headers to names that contain it.
"""
import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=c++20", "-fsyntax-only", "-x", "c++", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SYSTEM = ["/usr/include/eigen3", "/usr/local/include/eigen3", "/opt/homebrew/include/eigen3"]
CUDA = [os.environ.get("CUDA_PATH", ""), os.environ.get("CUDA_HOME", ""), "/usr/local/cuda", "/usr"]


def cuda_include():
    for folder in CUDA:
        if folder and Path(folder, "include", "cuda_runtime.h").exists():
            return Path(folder, "include")
    return None


def headers():
    """(name as users write it, further flags)"""
    for file in sorted((ROOT / "include").rglob("*.hpp")):
        yield file.relative_to(ROOT / "include").as_posix(), []
    cuda = cuda_include()
    if cuda:
        for file in sorted((ROOT / "cuda").rglob("*.hpp")):
            yield file.relative_to(ROOT / "cuda").as_posix(), [f"-I{ROOT / 'cuda'}", "-isystem", str(cuda)]


def compile_alone(compiler, name, flags):
    """The compiler's complaint, empty when there is none. Included twice, to see that the guard works."""
    command = [compiler, *FLAGS, f"-I{ROOT / 'include'}", *flags]
    for folder in SYSTEM:
        command += ["-isystem", folder] if Path(folder).is_dir() else []
    source = f"#include <{name}>\n#include <{name}>\n"
    run = subprocess.run([*command, "-"], input=source, capture_output=True, text=True, cwd=ROOT)
    return "" if run.returncode == 0 else run.stderr or f"exit code {run.returncode}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", action="append", required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tally", type=Path, help="append a line 'passed failed skipped'")
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()

    failed = passed = 0
    wanted = [(name, flags) for name, flags in headers()
              if not options.pattern or any(pattern in name for pattern in options.pattern)]
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [(compiler, name, pool.submit(compile_alone, compiler, name, flags))
                for compiler in options.compiler for name, flags in wanted]
        for compiler, name, job in jobs:
            complaint = job.result()
            print(f"{'FAIL' if complaint else 'ok  '} {compiler} {name}", flush=True)
            if complaint:
                print(complaint)
            failed += bool(complaint)
            passed += not complaint
    if options.tally:
        with options.tally.open("a") as file:
            file.write(f"{passed} {failed} 0\n")
    print(f"headers alone: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
