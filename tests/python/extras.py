#!/usr/bin/env python3
"""The longer checks of the Python module, of `./dev test --extras`: wheels in empty environments, what is said of pandas,
the notebook, wrong use under the sanitizers, what Python costs, and a deployment over Flower. The stage `torch` is asked for
by name: PyTorch brings gigabytes.

    extras.py ROOT FEDERATE WORK [--only STAGE,...]   WORK is a folder for environments and builds; exits 77 if all is skipped
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

PORTABLE = "-march=x86-64-v3"
TESTS = ("run", "ends", "model", "names", "compare", "docs", "wrong_use")
MOST_OVERHEAD = 0.01
SKIPPED = 77


class Skipped(Exception):
    pass


def call(*command, env=None, cwd=None, capture=False):
    print("+", *command, flush=True)
    done = subprocess.run(list(map(str, command)), env={**os.environ, **(env or {})}, cwd=cwd, text=True,
                          stdout=subprocess.PIPE if capture else None)
    if done.returncode != 0:
        raise SystemExit(f"extras: {' '.join(map(str, command))}: exit code {done.returncode}")
    return done.stdout


def processor_seconds(*command, cwd):
    print("+", *command, flush=True)
    begin = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), cwd=cwd)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"extras: {' '.join(map(str, command))}: exit code {process.returncode}")
    seconds = usage.ru_utime + usage.ru_stime
    print(f"  {seconds:.2f} s of the processor, {time.monotonic() - begin:.2f} s", flush=True)
    return seconds


class Extras:
    def __init__(self, root, federate, work):
        self.root, self.federate, self.work = root, federate, work
        work.mkdir(parents=True, exist_ok=True)

    def environment(self, name):
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        return folder / "bin" / "python"

    def test(self, python, federate, **env):
        for name in TESTS:
            call(python, self.root / "tests/python" / f"{name}.py", federate, self.root, cwd=self.work, env=env)

    def wheel(self):
        """`pip install .` gives the models of the federate that is built for this machine."""
        python = self.environment("native")
        call(python, "-m", "pip", "install", "--quiet", self.root)
        self.test(python, self.federate)

    def portable(self):
        """A wheel for x86-64-v3 gives the models of a federate of that instruction set."""
        build = self.work / "federate-portable"
        call("cmake", "-S", self.root, "-B", build, "-G", "Ninja", "-D", "CMAKE_BUILD_TYPE=Release", "-D", "LORU_NATIVE=OFF",
             "-D", f"CMAKE_CXX_FLAGS={PORTABLE}", "-D", "LORU_BUILD_TESTS=OFF", "-D", "LORU_BUILD_BENCH=OFF",
             "-D", "LORU_WITH_CUDA=OFF", "-D", "LORU_WITH_MPI=OFF", "-D", "LORU_WITH_PYTHON=OFF")
        call("cmake", "--build", build, "--target", "federate")
        python, wheels = self.environment("portable"), self.work / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        call(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", wheels, self.root,
             "-C", "cmake.define.LORU_NATIVE=OFF", "-C", f"build-dir={self.work / 'wheel-portable'}",
             env={"CXXFLAGS": PORTABLE})
        call(python, "-m", "pip", "install", "--quiet", *wheels.glob("loru-*.whl"))
        self.test(python, build / "bin/federate")

    def native(self):
        """The environment with the wheel for this machine."""
        python = self.work / "native/bin/python"
        if not python.exists():
            self.wheel()
        return python

    def pandas(self):
        """Rows and tables are what pandas.DataFrame takes."""
        python = self.native()
        call(python, "-m", "pip", "install", "--quiet", "pandas")
        call(python, self.root / "tests/python/others.py", self.federate, self.root, "Pandas", cwd=self.work)

    def torch(self):
        """Modules of PyTorch take a model's state and give it back."""
        python = self.native()
        peers = (self.root / "bench/peers/requirements.txt").read_text().split()
        call(python, "-m", "pip", "install", "--quiet", *(peer for peer in peers if peer.startswith("torch==")))
        call(python, self.root / "tests/python/others.py", self.federate, self.root, "Torch", cwd=self.work)

    def notebook(self):
        """The bundled notebook runs from its first cell to its last."""
        python = self.native()
        call(python, "-m", "pip", "install", "--quiet", "nbclient", "ipykernel", "matplotlib", "pandas")
        folder = self.work / "notebook"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run = ("import nbformat, nbclient; "
               f"book = nbformat.read({str(self.root / 'examples/python/federation.ipynb')!r}, 4); "
               "assert len(book.cells) == 10; nbclient.NotebookClient(book, timeout=600).execute(); "
               "import pandas, loru; print(book.cells[-1].outputs[0].text)")
        call(python, "-c", run, cwd=folder)

    def sanitizers(self):
        """Random wrong use under the address and undefined-behaviour sanitizers."""
        build = self.work / "sanitize"
        call("cmake", "-S", self.root, "-B", build, "-G", "Ninja", "-D", "CMAKE_BUILD_TYPE=Sanitize",
             "-D", "LORU_BUILD_TESTS=OFF", "-D", "LORU_BUILD_BENCH=OFF", "-D", "LORU_WITH_CUDA=OFF",
             "-D", "LORU_WITH_MPI=OFF", "-D", "LORU_WITH_PYTHON=ON")
        call("cmake", "--build", build, "--target", "loru_python", "federate")
        python = [line.split("=", 1)[1] for line in (build / "CMakeCache.txt").read_text().splitlines()
                  if line.startswith("Python_EXECUTABLE:")]
        # libstdc++ beside it: the sanitizer looks for what throws exceptions when it is loaded, before the module is.
        libraries = [call("g++", f"-print-file-name={name}.so", capture=True).strip() for name in ("libasan", "libstdc++")]
        call(python[0] if python else sys.executable, self.root / "tests/python/wrong_use.py", build / "bin/federate",
             self.root, cwd=self.work,
             env={"PYTHONPATH": str(build / "python"), "LD_PRELOAD": " ".join(libraries), "PYTHONMALLOC": "malloc",
                  "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"})

    def overhead(self):
        """The quickstart takes at most 1 % more from Python: medians of three runs each, in turn, on one thread. In seconds
        of the processor, which are those of the clock where nothing else runs, and hold where something does."""
        python = self.native()
        config = self.root / "examples/federations/quickstart.toml"
        script = f"import loru; loru.run({str(config)!r}, out='python', threads=1)"
        times = {"federate": [], "python": []}
        for _ in range(3):
            for name, command in (("federate", [self.federate, config, "--out", "federate", "--threads", 1, "--quiet"]),
                                  ("python", [python, "-c", script])):
                times[name].append(processor_seconds(*command, cwd=self.work))
        shas = {json.loads((self.work / name / "summary.json").read_text())["model_sha256"] for name in times}
        assert len(shas) == 1, shas
        ours, theirs = (sorted(times[name])[1] for name in ("python", "federate"))
        print(f"quickstart: federate {theirs:.2f} s, Python {ours:.2f} s, {100 * (ours / theirs - 1):+.2f} %")
        if ours > (1 + MOST_OVERHEAD) * theirs:
            raise SystemExit(f"extras: overhead: expected at most {MOST_OVERHEAD:.0%}, got {ours / theirs - 1:.2%}")

    def flower(self):
        """loru over Flower's transport, between processes on the loopback; skipped where pip cannot install Flower."""
        python = self.native()
        pin = re.search(r'"(flwr==[^"]+)"', (self.root / "examples/flower/pyproject.toml").read_text())[1]
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", pin], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skipped(f"pip cannot install {pin}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        call(python, self.root / "tests/flower/protocol.py", self.root, cwd=self.work)
        call(python, self.root / "tests/flower/deployment.py", self.federate, self.root, self.work / "flower", cwd=self.work)


STAGES = ("wheel", "pandas", "notebook", "portable", "sanitizers", "overhead", "flower")
BY_NAME = ("torch",)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("federate", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", default=",".join(STAGES), help="some of " + ", ".join(STAGES + BY_NAME))
    arguments = parser.parse_args()
    extras = Extras(arguments.root.resolve(), arguments.federate.resolve(), arguments.work.resolve())
    stages, skipped = arguments.only.split(","), 0
    for stage in stages:
        if stage not in STAGES + BY_NAME:
            parser.error(f"--only: expected some of {', '.join(STAGES + BY_NAME)}, got {stage}")
        try:
            getattr(extras, stage)()
            print(f"{stage}: passed", flush=True)
        except Skipped as reason:
            skipped += 1
            print(f"{stage}: skipped: {reason}", flush=True)
    return SKIPPED if skipped == len(stages) else 0


if __name__ == "__main__":
    sys.exit(main())
