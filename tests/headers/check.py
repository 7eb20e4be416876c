#!/usr/bin/env python3
"""Compiles every public header alone, without warnings.

    check.py [--compiler clang++-19] [--stdlib libc++] [--each] [--jobs N] [--work DIR] [--tally FILE] [PATTERN...]

Without --each it takes clang: each header becomes a submodule of one module, which sees what it includes and no more,
so that all are parsed once and not once for each that includes them. The headers of the CUDA device and of MPI, and all
with --each, are compiled one by one instead, by any compiler. PATTERN limits the headers to names that contain it.
Before it looks at loru, the check is put to headers with planted faults.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=c++20", "-fsyntax-only", "-x", "c++", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion"]
SYSTEM = [folder for folder in ("/usr/include/eigen3", "/usr/local/include/eigen3", "/opt/homebrew/include/eigen3")
          if Path(folder).is_dir()]
CUDA = [os.environ.get("CUDA_PATH", ""), os.environ.get("CUDA_HOME", ""), "/usr/local/cuda", "/usr"]
# Other people's headers that are modules of their own.
OTHERS = re.compile(r"#include <(Eigen/\w+|nlohmann/[\w.]+|zlib\.h)>")
COMPLAINT = re.compile(r"^(?P<file>[^\s:]+):\d+:\d+: (warning|error|fatal error): ", re.MULTILINE)

PLANTED = {
    "good.hpp": "#pragma once\n#include <vector>\ninline std::vector<int> good() { return {1}; }\n",
    "sees_good.hpp": "#pragma once\n#include <good.hpp>\ninline auto sees_good() { return good(); }\n",
    "misses_std.hpp": "#pragma once\ninline std::vector<int> misses_std() { return {}; }\n",
    "misses_good.hpp": "#pragma once\ninline auto misses_good() { return good(); }\n",
    "warns.hpp": "#pragma once\ninline int warns(double x) { return x; }\n",
    "no_guard.hpp": "inline int no_guard() { return 1; }\n",
}
PLANTED_FAULTS = {name: name not in ("good.hpp", "sees_good.hpp") for name in PLANTED}


def run(command, source=None):
    done = subprocess.run(command, input=source, capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stderr


def flags(compiler, stdlib, folder):
    found = [compiler, *FLAGS, f"-I{folder}"] + ([f"-stdlib={stdlib}"] if stdlib else [])
    for system in SYSTEM:
        found += ["-isystem", system]
    return found


def compile_alone(command, name):
    """The compiler's complaint, empty when there is none. Included twice, to see that the guard works."""
    code, said = run([*command, "-Werror", "-"], f"#include <{name}>\n#include <{name}>\n")
    return "" if code == 0 else said or f"exit code {code}"


def module_map(folder, names):
    """One module for the headers of the folder, and one for each of other people's that they include."""
    others = set()
    for name in names:
        others.update(OTHERS.findall((folder / name).read_text()))
    lines = []
    for other in sorted(others):
        path = next(p for p in (Path(f, other) for f in [*SYSTEM, "/usr/include", "/usr/local/include"]) if p.exists())
        lines.append(f'module {re.sub(r"[^a-z0-9A-Z]", "_", other)} [system] {{ header "{path}" export * }}')
    lines.append("module headers_alone {")
    for i, name in enumerate(names):
        lines.append(f'  explicit module header_{i} {{ header "{folder / name}" export * }}')
    return "\n".join([*lines, "}", ""])


def compile_modules(command, folder, names, work):
    """name -> complaint, for all headers of the folder at once. The standard library's modules stay in folder work."""
    complaints = {name: "" for name in names}
    for name in names:
        if "#pragma once\n" not in (folder / name).read_text():
            complaints[name] = f"{folder / name}: expected #pragma once\n"
    modules = work / f"{folder.name}.modulemap"
    modules.write_text(module_map(folder, names))
    code, said = run([*command, "-fmodules", f"-fmodules-cache-path={work}/cache", "-ferror-limit=0",
                      "-Xclang", "-fmodules-local-submodule-visibility", "-Xclang", "-emit-module",
                      "-fmodule-name=headers_alone", f"-fmodule-map-file={modules}", str(modules)])
    starts = list(COMPLAINT.finditer(said))
    for start, end in zip(starts, [*(s.start() for s in starts[1:]), len(said)]):
        file = Path(ROOT, start["file"]).resolve()
        if file.is_relative_to(folder):
            name = file.relative_to(folder).as_posix()
            complaints[name] = complaints.get(name, "") + said[start.start():end]
    if code != 0 and not any(complaints.values()):
        complaints[names[0]] = said or f"exit code {code}"
    return complaints


def self_test(compiler, stdlib, work):
    """name -> complaint: whether each planted fault is found, and nothing else is."""
    folder = work / "planted"
    folder.mkdir(exist_ok=True)
    for name, text in PLANTED.items():
        (folder / name).write_text(text)
    found = compile_modules(flags(compiler, stdlib, folder), folder, list(PLANTED), work)
    return {f"(planted) {name}": f"expected {'a fault' if faulty else 'none'}, got: {found[name]}\n"
            if bool(found[name]) != faulty else "" for name, faulty in PLANTED_FAULTS.items()}


def together_with_self_test(options, command, include, names, work):
    planted = self_test(options.compiler, options.stdlib, work)
    return {**planted, **(compile_modules(command, include, names, work) if names else {})}


def cuda_include():
    for folder in CUDA:
        if folder and Path(folder, "include", "cuda_runtime.h").exists():
            return Path(folder, "include")
    return None


def mpi_include():
    """The folder of mpi.h that mpicc names, or None."""
    try:
        said = subprocess.run(["mpicc", "-show"], capture_output=True, text=True).stdout
    except OSError:
        return None
    folders = [Path(word[2:]) for word in said.split() if word.startswith("-I")] + [Path("/usr/include")]
    return next((folder for folder in folders if (folder / "mpi.h").exists()), None)


def listed(folder, patterns):
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.hpp"))
    return [name for name in names if not patterns or any(pattern in name for pattern in patterns)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="clang++-19")
    parser.add_argument("--stdlib", help="clang's -stdlib")
    parser.add_argument("--each", action="store_true", help="one by one, by any compiler")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, help="keep what is made of the standard library here")
    parser.add_argument("--tally", type=Path, help="append lines 'passed failed skipped [NAME]'")
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()

    include, cuda, mpi = ROOT / "include", cuda_include(), mpi_include()
    command = flags(options.compiler, options.stdlib, include)
    with_cuda = [*command, f"-I{ROOT / 'cuda'}", "-isystem", str(cuda)]
    with_mpi = [*command, "-DOMPI_SKIP_MPICXX=1", "-DMPICH_SKIP_MPICXX=1", "-isystem", str(mpi)]
    names, of_mpi = [], []
    for name in listed(include, options.pattern):
        (of_mpi if name.startswith("loru/mpi/") else names).append(name)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.jobs) as pool:
        work = (options.work or Path(scratch)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        together = {} if options.each else pool.submit(together_with_self_test, options, command, include, names, work)
        alone = {name: pool.submit(compile_alone, command, name) for name in names if options.each}
        for name in listed(ROOT / "cuda", options.pattern) if cuda else []:
            alone[name] = pool.submit(compile_alone, with_cuda, name)
        for name in of_mpi if mpi else []:
            alone[name] = pool.submit(compile_alone, with_mpi, name)
        results = together.result() if together else {}
        results.update({name: job.result() for name, job in alone.items()})

    for name, complaint in results.items():
        if complaint:
            print(f"FAIL {options.compiler} {name}\n{complaint}")
    failed = [name for name, complaint in results.items() if complaint]
    passed = len(results) - len(failed)
    if options.tally:
        with options.tally.open("a") as file:
            file.write(f"{passed} 0 0\n")
            file.writelines(f"0 1 0 headers: {name}\n" for name in failed)
    print(f"headers alone: {passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
