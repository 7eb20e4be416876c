#!/usr/bin/env python3
"""Checks the floors of the library: who may include whom, and how long a header may be.

    check.py [ROOT]    prints each breach as `file:line: what` and exits 1 when there is one
"""
import re
import sys
from pathlib import Path

# The floor of each room. A room includes itself and rooms on lower floors, nothing else.
FLOORS = {
    "core": 0,
    "data": 1, "io": 1,
    "ops": 2,
    "cpu": 3,
    "linalg": 4, "autograd": 4,
    "nn": 5, "optim": 5,
    "lowrank": 6,
    "train": 7,
    "spectrum": 8, "fl": 8,
}
# The floors inside a room, by folder; "" are the headers next to the folders. The room's umbrella may include all.
INNER_FLOORS = {
    "fl": {"message": 0, "": 1, "client": 2, "server": 3, "algorithms": 4, "simulation": 5},
}
# What one source of a program includes, above all rooms and below none: no part of loru.hpp, its umbrella is src.hpp.
LEAF = "compiled"
FLOORS[LEAF] = 9
# Floor 1 is two rooms side by side; data may read files through io.
NEIGHBOURS = {("data", "io")}
# The rooms of target loru::core, which needs Eigen alone: they keep clear of the other rooms.
CORE_TARGET = {"core", "ops", "cpu", "linalg", "autograd", "nn", "optim", "lowrank"}
# What the side room cuda may include: whole rooms, or single headers.
CUDA_MAY = ("core/", "ops/")
# The side rooms, which no umbrella names, and what each may include. cuda has a folder of its own beside include/.
SIDES = {"cuda": CUDA_MAY, "mpi": ("core/", "fl/")}
# Other people's headers, and where each may appear.
THIRD_PARTY = {
    r"(unsupported/)?Eigen/": {"cpu/simd.hpp", "linalg/eigen.hpp"},
    r"nlohmann/": {"io/detail/json.hpp"},
    r"zlib\.h$": {"data/file_bodies.hpp"},
    r"(cuda|cublas|mma|cooperative_groups|curand)": {"cuda/"},
    r"mpi\.h$": {"mpi/"},
}
# Headers next to the rooms, free for all.
FREE = {"version.hpp"}
MAX_LINES = {".hpp": 400, ".cuh": 250}
MAX_COLUMNS = 110  # of every source, .clang-format's

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Standard C++ headers have no suffix and no folder; a few of C and of the system are allowed by name.
STANDARD = re.compile(r"^[a-z_0-9]+$")
SYSTEM = {"immintrin.h", "x86intrin.h", "arm_neon.h", "unistd.h", "fcntl.h", "pthread.h", "sched.h", "time.h",
          "fnmatch.h", "locale.h", "stdlib.h", "xlocale.h"}
SYSTEM_FOLDER = "sys/"


def includes(path):
    """(line number, quote, target) of each include."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]


def resolve(target, quote, file, base):
    """The path of an include relative to `base`/loru, or None for a header that is not loru's."""
    if target.startswith("loru/"):
        return target[len("loru/"):]
    if quote == '"':
        local = (file.parent / target).resolve()
        try:
            return local.relative_to((base / "loru").resolve()).as_posix()
        except ValueError:
            return "../" + target
    return None


def room_of(relative):
    return relative.split("/")[0] if "/" in relative else None


def check_third_party(relative, target):
    for pattern, places in THIRD_PARTY.items():
        if re.match(pattern, target):
            if any(relative == place or (place.endswith("/") and relative.startswith(place)) for place in places):
                return None
            return f"<{target}> belongs in {' or '.join(sorted(places))} only"
    if STANDARD.match(target) or target in SYSTEM or target.startswith(SYSTEM_FOLDER):
        return None
    return f"<{target}> is not a header this library knows"


def check_inner(relative, target, room):
    """What is wrong with one header of a room including another one, or None."""
    floors = INNER_FLOORS.get(room)
    if floors is None or relative == f"{room}/{room}.hpp":
        return None
    source, other = (name.split("/")[1] if name.count("/") > 1 else "" for name in (relative, target))
    if target == f"{room}/{room}.hpp" or other not in floors or source not in floors:
        return f"loru/{target} has no floor in room {room} below {source or room}"
    if floors[other] <= floors[source]:
        return None
    return f"{room}/{source} (floor {floors[source]} of {room}) includes {room}/{other} (floor {floors[other]})"


def check_include(relative, target, inside):
    """What is wrong with header `relative` including header `target` of loru, or None."""
    source, room = room_of(relative), room_of(target)
    if target.startswith("../"):
        return f"'{target[3:]}' lies outside the library"
    if relative == "loru.hpp" or target in FREE:
        return None
    if source in SIDES:
        allowed = SIDES[source]
        if room == source or any(target == may or (may.endswith("/") and target.startswith(may)) for may in allowed):
            return None
        return f"room {source} may include {' and '.join(allowed)} only, not loru/{target}"
    if room in SIDES or inside in SIDES:
        return f"include/ never names a {room if room in SIDES else inside} header: loru/{target}"
    if source is None:
        return f"a header next to the rooms includes loru/{target}"
    if room is None:
        return f"loru/{target} is for users, a room includes what it needs"
    if room not in FLOORS:
        return f"loru/{target}: no such room"
    if room == source:
        return check_inner(relative, target, room)
    if source in CORE_TARGET and room not in CORE_TARGET:
        return f"room {source} belongs to loru::core, which is built without room {room}"
    if FLOORS[room] < FLOORS[source] or (source, room) in NEIGHBOURS:
        return None
    return f"room {source} (floor {FLOORS[source]}) includes room {room} (floor {FLOORS[room]})"


def check_header(file, base, problems):
    relative = file.relative_to(base / "loru").as_posix()
    room = room_of(relative)
    text = file.read_text(encoding="utf-8")
    lines = text.count("\n")
    if lines > MAX_LINES[file.suffix]:
        problems.append(f"{file}:{lines}: {lines} lines, at most {MAX_LINES[file.suffix]}")
    if not re.search(r"^#pragma once$", text, re.MULTILINE):
        problems.append(f"{file}:1: no '#pragma once'")
    if "Eigen::internal" in text and relative != "cpu/simd.hpp":
        problems.append(f"{file}:1: Eigen's internals are named in cpu/simd.hpp only")
    if room is None and relative not in FREE | {"loru.hpp"}:
        problems.append(f"{file}:1: every header but loru.hpp and {', '.join(FREE)} lives in a room")
    if room is not None and room not in SIDES and room not in FLOORS:
        problems.append(f"{file}:1: room {room} has no floor")
        return
    for number, quote, target in includes(file):
        inner = resolve(target, quote, file, base)
        wrong = check_third_party(relative, target) if inner is None else check_include(relative, inner, base.name)
        if wrong:
            problems.append(f"{file}:{number}: {wrong}")
        if inner is not None and quote == "<" and base.name == "include" and not (base / "loru" / inner).exists():
            problems.append(f"{file}:{number}: loru/{inner} does not exist")


def gathered(umbrella, base):
    """The headers that an umbrella includes, those of its subfolders' own umbrellas with them."""
    found = {target for _, _, target in includes(umbrella) if target.startswith("loru/")}
    for target in sorted(found):
        inner = base / target
        if inner.stem == inner.parent.name and inner.parent.parent == umbrella.parent and inner.exists():
            found |= gathered(inner, base)
    return found


def check_umbrella(umbrella, base, wanted, problems):
    """An umbrella includes each of the wanted headers."""
    if not umbrella.exists():
        problems.append(f"{umbrella}:1: the umbrella is missing")
        return
    for target in sorted(wanted - gathered(umbrella, base)):
        problems.append(f"{umbrella}:1: {target} is not included")


def check_nobody_includes_leaves(root, problems):
    for base in (root / "include", root / "cuda"):
        for file in base.rglob("*.[hc][pu]*"):
            for number, _, target in includes(file):
                if re.search(r"(^|/)(examples|bench|tests)/", target):
                    problems.append(f"{file}:{number}: {target}: nobody includes examples, bench or tests")


def check_line_lengths(root, problems):
    for base in ("include", "cuda", "cmake", "examples", "bench", "tests"):
        for file in sorted(path for path in (root / base).rglob("*.[ch]*") if path.suffix in (".hpp", ".cpp", ".cuh", ".cu")):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                if len(line) > MAX_COLUMNS:
                    problems.append(f"{file}:{number}: {len(line)} columns, at most {MAX_COLUMNS}")


def check(root):
    problems = []
    check_line_lengths(root, problems)
    include = root / "include"
    for base in (include, root / "cuda"):
        for file in sorted([*base.rglob("*.hpp"), *base.rglob("*.cuh")]):
            check_header(file, base, problems)
    for file in include.rglob("*"):
        if file.is_file() and file.suffix != ".hpp":
            problems.append(f"{file}:1: include/ holds .hpp files only")
    rooms = sorted(folder.name for folder in (include / "loru").iterdir() if folder.is_dir())
    for room in rooms:
        folder = include / "loru" / room
        # What lies under detail/ is for the room's own headers.
        wanted = {f"loru/{file.relative_to(include / 'loru').as_posix()}" for file in folder.rglob("*.hpp")
                  if "detail" not in file.relative_to(folder).parts[:-1]}
        umbrella = folder / ("src.hpp" if room == LEAF else f"{room}.hpp")
        check_umbrella(umbrella, include, wanted - {umbrella.relative_to(include).as_posix()}, problems)
    rooms = [room for room in rooms if room != LEAF and room not in SIDES]
    for room, floors in INNER_FLOORS.items():
        for inner in filter(None, floors):
            folder = include / "loru" / room / inner
            if folder.is_dir():
                wanted = {f"loru/{room}/{inner}/{file.name}" for file in folder.glob("*.hpp")}
                check_umbrella(folder / f"{inner}.hpp", include, wanted - {f"loru/{room}/{inner}/{inner}.hpp"}, problems)
    check_umbrella(include / "loru" / "loru.hpp", include, {f"loru/{room}/{room}.hpp" for room in rooms}, problems)
    everything = include / "loru" / "loru.hpp"
    for number, _, target in includes(everything) if everything.exists() else []:
        if target not in {f"loru/{room}/{room}.hpp" for room in rooms} | {"loru/version.hpp"}:
            problems.append(f"{everything}:{number}: {target}: one include for each room, nothing else")
    check_nobody_includes_leaves(root, problems)
    return problems


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    problems = check(root)
    for problem in problems:
        print(problem.replace(f"{root}/", ""))
    print(f"layering: {len(problems)} breaches")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
