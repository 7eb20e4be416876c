#!/usr/bin/env python3
"""Plants faults in copies of the kernels and asks that the emulator or the comparison notices each.

    plant.py list                             "kernel KERNEL", "deletions KERNEL" and "fault KERNEL NAME", for CMake
    plant.py build KERNEL WORK COMPILER...    writes WORK/KERNEL.cpp with all mutants and compiles it; the compiler's
                                              arguments name the emulator's objects
    plant.py fault KERNEL NAME WORK           exits 0 if the fault was noticed
    plant.py deletions KERNEL WORK            deletes each barrier, wait and commit of the kernel in turn

All mutants of a kernel stand in one source, each in its own namespace, since most of a compilation is the headers.
"""
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from faults import FAULTS, KERNELS  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "cuda" / "loru" / "cuda"
DELETED = re.compile(r"__syncthreads\(\);|__syncwarp\(\);|cp_async_wait<[^;]*>\(\);|cp_async_commit\(\);")
NOTICED = 10
ORDERS = ("forward", "reverse", "shuffled")


def deletions(kernel):
    """(name, begin, end) of each barrier, wait and commit in the kernel's own source."""
    text = (SOURCES / KERNELS[kernel].own()).read_text(encoding="utf-8")
    for match in DELETED.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield f"line_{line}_{re.match(r'[a-z_]+', match[0])[0].strip('_')}", match.start(), match.end()


def mutants(kernel):
    """(name, source, change) of every mutant; change maps the text of that source to the mutant's."""
    own = KERNELS[kernel].own()
    yield "as_it_is", own, lambda text: text
    for name, fault in FAULTS.items():
        if fault.kernel == kernel:
            yield name, fault.source, planted(name, fault)
    if KERNELS[kernel].deletions:
        for name, begin, end in deletions(kernel):
            yield name, own, lambda text, begin=begin, end=end: text[:begin] + ";" + text[end:]


def planted(name, fault):
    def change(text):
        if fault.old not in text:
            sys.exit(f"{name}: {fault.source} no longer has {fault.old!r}")
        return text.replace(fault.old, fault.new, 1)
    return change


def copied(source, change, namespace):
    """A source inside `namespace`, without its includes of this library, which the copies replace."""
    text = change((SOURCES / source).read_text(encoding="utf-8"))
    text = re.sub(r"^#pragma once$|^#include .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^namespace loru::cuda(::detail)? {", rf"namespace {namespace}\1 {{", text, flags=re.MULTILINE)
    return f'#line 1 "{source}"\n{text}\n'


def program(kernel):
    """The source of a program with all mutants of a kernel."""
    this = KERNELS[kernel]
    text = "#include <algorithm>\n#include <random>\n#include <vector>\n"
    text += "".join(f'#include "{header}"\n' for header in ("cuda/planted/planted.hpp", *this.headers))
    text += "".join(f"#define {define}\n" for define in this.defines)
    names = []
    for name, source, change in mutants(kernel):
        namespace = f"loru::cuda::{name}"
        names.append(name)
        text += f"namespace {namespace}::detail {{ using namespace loru::cuda::detail; }}\n"
        text += "".join(copied(s, change if s == source else lambda t: t, namespace) for s in this.sources)
        math = next((d.split()[1] for d in this.defines if d.startswith("LORU_PLANTED_MATH")), "Bf16")
        text += f"namespace {namespace} {{\n"
        if "device/block_product.cuh" in this.sources:
            text += f"using Math = In{math};\n"
        text += f'#line 1 "{this.case}.inc"\n'
        text += (Path(__file__).parent / f"{this.case}.inc").read_text(encoding="utf-8") + "}\n"
    table = ",\n".join(f'    {{"{name}", loru::cuda::{name}::run}}' for name in names)
    return text + ("int main(int count, char** arguments) {\n  const loru_test::Mutant mutants[] = {\n" + table +
                   "};\n  return loru_test::run_mutant(mutants, count, arguments);\n}\n")


def build(kernel, work, command):
    work.mkdir(parents=True, exist_ok=True)
    source, binary = work / f"{kernel}.cpp", work / kernel
    binary.unlink(missing_ok=True)
    source.write_text(program(kernel), encoding="utf-8")
    done = subprocess.run([*command, source, "-o", binary, "-lboost_context"], text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{source} does not compile:\n{done.stderr[:4000]}")
    reason = noticed(binary, "as_it_is")
    if reason:
        sys.exit(f"{kernel} fails without a fault: {reason}")
    print(f"{kernel}: {len(list(mutants(kernel))) - 1} mutants; the kernel as it is passes")


def noticed(binary, name):
    """Why a mutant fails, in the first order of threads in which it does; empty if it never does."""
    for order, order_name in enumerate(ORDERS):
        try:
            done = subprocess.run([binary, name, str(order)], text=True, capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return f"{order_name}: no end after a minute"
        if done.returncode == NOTICED:
            return f"{order_name}: {done.stdout.strip()}"
        if done.returncode < 0:
            return f"{order_name}: ended by signal {-done.returncode}"
        if done.returncode:
            sys.exit(f"{binary} {name}: exit code {done.returncode}")
    return ""


def report(binary, names):
    """Prints what became of each mutant; the number of those that nothing noticed."""
    unnoticed = 0
    for name in names:
        reason = noticed(binary, name)
        unnoticed += not reason
        print(f"{name}: {reason or 'NOT NOTICED'}")
    return unnoticed


def main(arguments):
    match arguments:
        case ["list"]:
            for kernel, this in KERNELS.items():
                print("kernel", kernel)
                if this.deletions:
                    print("deletions", kernel)
            for name, fault in FAULTS.items():
                print("fault", fault.kernel, name)
        case ["build", kernel, work, *command] if command:
            build(kernel, Path(work), command)
        case ["fault", kernel, name, work]:
            return 1 if report(Path(work) / kernel, [name]) else 0
        case ["deletions", kernel, work]:
            return 1 if report(Path(work) / kernel, [name for name, _, _ in deletions(kernel)]) else 0
        case _:
            sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
