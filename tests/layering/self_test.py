#!/usr/bin/env python3
"""Plants one breach at a time in a small tree and asks that the layering check names each."""
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from check import FLOORS, LEAF, check  # noqa: E402

GOOD = {
    "include/loru/version.hpp": "",
    "include/loru/core/tensor.hpp": "#include <vector>\n#include <sys/mman.h>\n",
    "include/loru/linalg/eigen.hpp": "#include <Eigen/Core>\n",
    "include/loru/ops/backend.hpp": "#include <loru/core/tensor.hpp>\n",
    "include/loru/nn/linear.hpp": '#include <loru/ops/ops.hpp>\n#include "../autograd/autograd.hpp"\n',
    "include/loru/data/file_bodies.hpp": "#include <loru/version.hpp>\n#include <zlib.h>\n",
    "include/loru/compiled/src.hpp": "#include <loru/nn/linear.hpp>\n",
    "cuda/loru/cuda/ops.hpp": "#include <loru/ops/backend.hpp>\n#include <cuda_runtime.h>\n",
    "cuda/loru/cuda/kernels/merge.cuh": "#include <loru/cuda/ops.hpp>\n",
}

# (file, text, a part of the expected message)
BREACHES = [
    ("include/loru/core/bad.hpp", "#include <loru/linalg/eigen.hpp>\n", "room core (floor 0) includes room linalg"),
    ("include/loru/ops/bad.hpp", '#include "../nn/linear.hpp"\n', "room ops (floor 2) includes room nn"),
    ("include/loru/nn/bad.hpp", "#include <loru/optim/optim.hpp>\n", "room nn (floor 5) includes room optim"),
    ("include/loru/optim/bad.hpp", "#include <loru/nn/nn.hpp>\n", "room optim (floor 5) includes room nn"),
    ("include/loru/lowrank/bad.hpp", "#include <loru/io/io.hpp>\n", "built without room io"),
    ("include/loru/nn/bad.hpp", "#include <Eigen/Dense>\n", "<Eigen/Dense> belongs in cpu/simd.hpp or linalg/eigen.hpp only"),
    ("include/loru/cpu/bad.hpp", "using Eigen::internal::padd;\n", "Eigen's internals are named in cpu/simd.hpp only"),
    ("include/loru/nn/bad.hpp", "#include <nlohmann/json.hpp>\n", "<nlohmann/json.hpp> belongs in"),
    ("include/loru/io/bad.hpp", "#include <nlohmann/json.hpp>\n", "<nlohmann/json.hpp> belongs in"),
    ("include/loru/fl/bad.hpp", "#include <loru/compiled/src.hpp>\n", "room fl (floor 8) includes room compiled"),
    ("include/loru/nn/bad.hpp", "#include <boost/any.hpp>\n", "is not a header this library knows"),
    ("include/loru/fl/bad.hpp", "#include <loru/cuda/ops.hpp>\n", "include/ never names a cuda header"),
    ("include/loru/fl/bad.hpp", "#include <loru/loru.hpp>\n", "is for users"),
    ("include/loru/fl/bad.hpp", '#include "../../../tests/support/catch.hpp"\n', "outside the library"),
    ("include/loru/fl/bad.hpp", "#include <loru/core/gone.hpp>\n", "does not exist"),
    ("include/loru/fl/message/bad.hpp", "#include <loru/fl/server/server.hpp>\n",
     "fl/message (floor 0 of fl) includes fl/server (floor 3)"),
    ("include/loru/fl/bad.hpp", "#include <loru/fl/client/turn.hpp>\n", "fl/ (floor 1 of fl) includes fl/client"),
    ("include/loru/fl/message/bad.hpp", "#include <loru/fl/gossip/gossip.hpp>\n", "has no floor in room fl"),
    ("include/loru/fl/client/bad.hpp", "", "fl/client/client.hpp:1: the umbrella is missing"),
    ("cuda/loru/cuda/bad.hpp", "#include <loru/nn/nn.hpp>\n", "room cuda may include"),
    ("cuda/loru/cuda/device/bad.cuh", "#include <emulator/emulator.hpp>\n", "is not a header this library knows"),
    ("cuda/loru/cuda/kernels/bad.cuh", "//\n" * 250, "lines, at most 250"),
    ("include/loru/core/bad.hpp", "//\n" * 400, "lines, at most 400"),
    ("include/loru/core/bad.hpp", "// " + "é" * 108 + "\n", "bad.hpp:2: 111 columns, at most 110"),
    ("include/loru/gpu/bad.hpp", "", "room gpu has no floor"),
    ("include/loru/bad.hpp", "", "lives in a room"),
    ("include/loru/core/bad.cuh", "", "include/ holds .hpp files only"),
]


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#pragma once\n" + text)


def umbrellas(root):
    """Writes complete umbrellas, so that only the planted breach is wrong."""
    base = root / "include" / "loru"
    rooms = sorted(set(FLOORS) - {LEAF})
    for room in rooms:
        folder = base / room
        folder.mkdir(parents=True, exist_ok=True)
        headers = sorted(file.relative_to(base).as_posix() for file in folder.rglob("*.hpp"))
        plant(base, {f"{room}/{room}.hpp": "".join(f"#include <loru/{name}>\n" for name in headers)})
    plant(base, {"loru.hpp": "".join(f"#include <loru/{room}/{room}.hpp>\n" for room in rooms)})


def problems_of(files, spoil=None):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        plant(root, files)
        umbrellas(root)
        if spoil:
            spoil(root)
        return check(root)


def main():
    failures = 0

    def expect(what, problems, message):
        nonlocal failures
        fine = not problems if message is None else any(message in problem for problem in problems)
        if not fine:
            failures += 1
            print(f"FAIL {what}: expected {message!r}, got {problems}")

    expect("a clean tree", problems_of(GOOD), None)
    for name, text, message in BREACHES:
        expect(f"{name} with {text[:40]!r}", problems_of({**GOOD, name: text}), message)

    def forget(root):
        (root / "include/loru/nn/nn.hpp").write_text("#pragma once\n")

    def forget_room(root):
        (root / "include/loru/loru.hpp").write_text("#pragma once\n")

    def too_much(root):
        with (root / "include/loru/loru.hpp").open("a") as file:
            file.write("#include <loru/nn/linear.hpp>\n")

    def no_guard(root):
        (root / "include/loru/core/tensor.hpp").write_text("\n")

    expect("an incomplete umbrella", problems_of(GOOD, forget), "loru/nn/linear.hpp is not included")
    expect("an incomplete loru.hpp", problems_of(GOOD, forget_room), "loru/fl/fl.hpp is not included")
    expect("a crowded loru.hpp", problems_of(GOOD, too_much), "one include for each room")
    expect("no include guard", problems_of(GOOD, no_guard), "no '#pragma once'")
    print(f"layering self-test: {len(BREACHES) + 5} cases, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
