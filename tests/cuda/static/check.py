#!/usr/bin/env python3
"""Holds what nvcc made of the CUDA kernels against what their tiles and launch bounds ask for.

    check.py --nvcc NVCC (--ptx FILE | --source FILE [--include DIR]...) [--arch 80 --arch 90] [--write FILE]
    check.py --nvcc NVCC --undivided FILE [--include DIR]...

For every kernel: no spills, nothing in local memory, and few enough registers for the blocks a multiprocessor that its
__launch_bounds__ state. For every kernel with a main loop, where operands are aligned: as many multiply-adds in the
innermost loop as its tile asks for (in all products of the loop over blocks, if it has several), asynchronous copies there
or in the loop around it, no other loads from global memory between them, and nothing in local memory. --write puts the tables between the markers of docs/cuda.md.

--undivided: no kernel of a source divides by a 64-bit number, which takes about a hundred instructions.
"""
import argparse
import concurrent.futures
import dataclasses
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import sass

REGISTERS = 65536  # of a multiprocessor, sm_80 and sm_90
BEGIN, END = "<!-- static: begin, written by tests/cuda/static/check.py --write -->", "<!-- static: end -->"
THREADS, WARPS = 256, 8
# Kernels whose blocks share sums: the last one to come adds them, in a fixed order (device/pieces.cuh).
JOINED = ("products_across_kernel", "products_down_kernel", "reduce_rows_kernel", "lora_backward_dSdB_kernel")


@dataclasses.dataclass(frozen=True)
class Expected:
    """What the innermost loop of a kernel with tiles holds a thread, or all products of the main loop where it has several,
    its blocks a multiprocessor, and plain loads in the main loop."""
    multiply_adds: int
    blocks: int
    several: bool = False
    loads: int = 0


def depth(math):
    """Columns of a tile of operands: 64 bytes."""
    return 32 if math == "InBf16" else 16


def products(math, rows, cols):
    """Multiply-adds of a thread (FFMA) or warp (HMMA: 16 x 8 x 16 in bf16, 16 x 8 x 8 in tf32) for a tile of 64 bytes of k."""
    if math == "InFloat":
        return rows * cols * depth(math) // THREADS
    return rows // 16 * (cols // 8) * 2 // WARPS


def unrolled(math, cols, k):
    """Multiply-adds that a product (64, k) (k, cols) has in the code: its loop over k is unrolled twice, or whole up to four
    steps; of floats one step of four."""
    if math == "InFloat":
        return 4 * (cols // 16) * 4
    steps = k // (depth(math) // 2)
    return cols // 16 * (steps if steps <= 4 else 2)


def attention(name, math, width, other):
    """Expected of an attention kernel on heads of at most `width`: blocks of 64 rows against blocks of `other` rows."""
    if name == "attention_forward_kernel":
        alone = other < 64 or math != "InBf16" and width == 128
        return Expected(unrolled(math, other, width) + unrolled(math, width, other), 1 if alone else 2, True)
    scores, sums = 2 * unrolled(math, other, width), unrolled(math, width, other)
    if math == "InFloat" and other == 16:
        sums = 0  # a product over 16 rows is unrolled whole: it stands in the main loop itself, which has other FFMA
    if name == "attention_dq_kernel":
        return Expected(scores + sums, 1, True)
    return Expected(scores + 2 * sums, 1, True, 2)  # L and delta are loaded plainly


def expected(name, args):
    """Expected of a kernel's name and template arguments, or None where there is no main loop to check."""
    math = args[0] if args else ""
    tensor = math in ("InBf16", "InTf32")
    if name in ("attention_forward_kernel", "attention_dq_kernel", "attention_dkv_kernel"):
        return attention(name, math, int(args[1]), int(args[2]))
    if name in ("lora_forward_kernel", "lora_backward_dx_kernel"):
        rank = int(args[1])
        most = 32  # the largest rank with two blocks
        if name == "lora_forward_kernel":
            if args[-1].startswith("Windows"):
                most = 16 if math == "InBf16" else 8
            elif math == "InTf32" and args[2] == "false":
                most = 16
        return Expected(products(math, 128, 128) + products(math, 128, rank), 2 if tensor and rank <= most else 1)
    if name == "products_down_kernel":
        return Expected(products(math, int(args[1]), int(args[2])), 2 if tensor else 1)
    if name == "products_across_kernel":
        return Expected(products(math, int(args[1]), int(args[2])), 2 if tensor else 1)
    if name == "reduce_rows_kernel" and tensor:  # 128 columns against the rank, over twice the usual depth
        return Expected(2 * products(math, 128, int(args[1])), 2)
    if name == "lora_backward_dSdB_kernel" and tensor:  # dB: one fragment of dy against the rank, a step (tf32: two)
        return Expected(int(args[1]) // 8 * (1 if math == "InBf16" else 2), 1)
    return None


@dataclasses.dataclass(frozen=True)
class Compiled:
    name: str
    args: tuple
    arch: int
    code: sass.Kernel

    def title(self):
        return f"{self.name}<{', '.join(self.args)}> for sm_{self.arch}"

    def aligned(self):
        """Whether it copies all of its operands asynchronously: the flags are the true and false of the arguments."""
        flags = [a for a in self.args if a in ("true", "false")]
        return bool(flags) and "false" not in flags


def template(demangled):
    """(name, arguments) of `void loru::cuda::name<a, b<c>>(...)`, without namespaces."""
    text = re.sub(r"\bloru::cuda::|\(anonymous namespace\)::|\b__nv_", "", demangled.removeprefix("void "))
    text = re.sub(r"\((int|bool)\)", "", text)
    name, _, rest = text.partition("<")
    if "(" in name:
        return name.partition("(")[0], ()
    nesting, args, word = 0, [], ""
    for c in rest:
        if c == "," and nesting == 0 or c == ">" and nesting == 0:
            args.append(word.strip())
            word = ""
            if c == ">":
                break
            continue
        nesting += (c == "<") - (c == ">")
        word += c
    return name, tuple(args)


def run(command):
    """Runs a compiler. Raises RuntimeError with what it says if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(str(word) for word in command)}:\n{done.stderr}")


def translate(nvcc, source, includes, folder):
    """The PTX of a file for compute_80. Code for every architecture is compiled from it, as a driver does for later devices."""
    ptx = Path(folder) / "kernels.ptx"
    run([nvcc, "-std=c++20", *(f"-I{i}" for i in includes), "-arch=compute_80", "-ptx", source, "-o", ptx])
    return ptx


def compile_kernels(nvcc, ptx, arch, folder):
    """Every kernel for one architecture. Code that nvcc kept beside the PTX is taken as it is, other code is compiled."""
    cubin = ptx.with_suffix(f".sm_{arch}.cubin")
    if not cubin.exists() or cubin.stat().st_mtime < ptx.stat().st_mtime:
        cubin = Path(folder) / cubin.name
        run([nvcc, f"-arch=sm_{arch}", "-cubin", ptx, "-o", cubin])
    code = sass.kernels(cubin.read_bytes(), arch)
    names = subprocess.run(["c++filt"], input="\n".join(code), capture_output=True, text=True, check=True).stdout.splitlines()
    return [Compiled(*template(name), arch, kernel) for name, kernel in zip(names, code.values(), strict=True)]


def per_tile(loop):
    """Multiply-adds of a loop for each tile; ptxas may have unrolled the loop over tiles, whose barriers count them."""
    return (loop["HMMA"] or loop["FFMA"]) / max(loop["BAR"], 1)


def multiply_adds(code, wanted):
    """What a kernel has of what is expected."""
    return code.products_of_copy_loop() if wanted.several else per_tile(code.inner_loop())


def faults(kernel):
    """What is wrong with a kernel, in sentences."""
    code = kernel.code
    if code.all["LDL"] or code.all["STL"]:
        yield f"expected no spills and local memory, got {code.all['LDL']} LDL, {code.all['STL']} STL"
    arrivals = 2 if kernel.name in JOINED else 0  # of a block, at the tickets of its group and of all groups
    if code.all["ATOM"] > arrivals or code.all["RED"] or code.all["ATOMS"]:
        got = ", ".join(f"{code.all[kind]} {kind}" for kind in ("ATOM", "RED", "ATOMS"))
        yield f"expected no atomics but {arrivals} arrivals, got {got}"
    wanted = expected(kernel.name, kernel.args)
    if not wanted:
        return
    most = REGISTERS // (THREADS * wanted.blocks)
    if code.registers > most:
        yield f"expected at most {most} registers for {wanted.blocks} blocks of {THREADS} threads, got {code.registers}"
    if not kernel.aligned():
        return
    around, got = code.copy_loop(), multiply_adds(code, wanted)
    if got != wanted.multiply_adds:
        yield f"expected {wanted.multiply_adds} multiply-adds in the main loop's products, got {got:g}"
    if not around["LDGSTS"]:
        yield "expected asynchronous copies in the main loop"
    if around["LDG"] > wanted.loads:
        yield f"expected {wanted.loads} plain loads from global memory in the main loop, got {around['LDG']}"


# ---- tables ----

# NVIDIA H100 Tensor Core GPU datasheet, SXM, dense: FLOP/s of bf16, tf32 and float, bytes/s of HBM3.
H100 = {"bf16": 989.4e12, "tf32": 494.7e12, "float": 66.9e12}
H100_BANDWIDTH = 3.35e12


def work(kind, rows, m, n, r, size):
    """(FLOPs, bytes that must move once) of a whole pass: x (M, n), W (m, n), A (r, n), B (m, r), y (M, m), S (M, r)."""
    factors = r * (m + n)
    if kind == "forward":   # reads x, W, A, B, writes y, S
        return 2 * rows * (n * m + factors), size * (rows * n + m * n + factors + rows * m + rows * r)
    if kind == "backward":  # reads dy, x, W, A, B, S, writes dx, dS, dA, dB
        return (2 * rows * (n * m + 2 * factors),
                size * (rows * m + 2 * rows * n + m * n + factors + 2 * rows * r) + 4 * factors)
    return 2 * r * m * n, size * (2 * m * n + factors)  # merge: reads W, A, B, writes W


def roofline():
    lines = ["| pass | type | M, n = m, r | GFLOP | MB | FLOP a byte | H100: at least, µs | bound by |",
             "|---|---|---|---|---|---|---|---|"]
    for kind in ("forward", "backward", "merge"):
        for name, size in (("bf16", 2), ("tf32", 4), ("float", 4)):
            if kind == "merge" and name != "float":
                continue
            for n in (1024, 4096):
                for r in (8, 16, 64):
                    flops, moved = work(kind, 8192, n, n, r, size)
                    shape = f"{n}, {r}" if kind == "merge" else f"8192, {n}, {r}"
                    lines.append(f"| {kind} | {name} | {shape} | {bound(flops, moved, name)}")
    lines += ["", "3 x 3 convolutions of ResNet-18 on 32 images of 32 x 32 pixels, rank 16:", "",
              "| pass | type | channels, pixels a side, stride | GFLOP | MB | FLOP a byte | H100: at least, µs | bound by |",
              "|---|---|---|---|---|---|---|---|"]
    for kind in ("forward", "backward"):
        for c, m, extent, stride in RESNET18:
            flops, moved = conv_work(kind, c, m, extent, stride, 16, 4)
            lines.append(f"| {kind} | tf32 | {c} to {m}, {extent}, {stride} | {bound(flops, moved, 'tf32')}")
    return lines


def conv_work(kind, c, m, extent, stride, r, size):
    """The same for a 3 x 3 convolution of padding 1 on 32 images (c, extent, extent), y of m channels."""
    inputs, pixels, window = 32 * extent ** 2, 32 * (extent // stride) ** 2, 9 * c
    factors = r * (m + window)
    if kind == "forward":
        return (2 * pixels * (window * m + factors),
                size * (inputs * c + m * window + factors + pixels * m + pixels * r))
    return (2 * pixels * (window * m + 2 * factors),
            size * (pixels * m + 2 * inputs * c + m * window + factors + 2 * pixels * r) + 4 * factors)


RESNET18 = ((3, 64, 32, 1), (64, 64, 32, 1), (64, 128, 32, 2), (128, 128, 16, 1), (128, 256, 16, 2), (256, 256, 8, 1),
            (256, 512, 8, 2), (512, 512, 4, 1))  # channels in and out, extent, stride


def bound(flops, moved, name):
    compute, memory = flops / H100[name] * 1e6, moved / H100_BANDWIDTH * 1e6
    return (f"{flops / 1e9:.1f} | {moved / 1e6:.1f} | {flops / moved:.0f} | {max(compute, memory):.1f} | "
            f"{'arithmetic' if compute >= memory else 'memory'} |")


def label(args):
    """A kernel's arguments but for element types and alignment, which is the same in all rows: its products by their name, and what
    sets their instances apart."""
    said = ("true", "false", "OneClient", "Cohort", "Matrix", "Windows")
    short = [word for word in (a.partition("<")[0] for a in args) if word not in said]
    short += [word for word, sign in (("cohort", "Cohort<"), ("convolution", "Windows<"), ("convolution", "ConvDx<"))
              if any(sign in a for a in args)]
    return ", ".join(short)


def table(kernels):
    lines = ["| kernel | arguments | registers sm_80, sm_90 | blocks | multiply-adds in the inner loop | copies around it |",
             "|---|---|---|---|---|---|"]
    rows = {}
    for k in kernels:
        if expected(k.name, k.args) and k.aligned():
            rows.setdefault((k.name, k.args), {})[k.arch] = k
    for (name, args), archs in sorted(rows.items()):
        k = archs[max(archs)]
        inner, around = k.code.inner_loop(), k.code.copy_loop()
        kind, wanted = "HMMA" if inner["HMMA"] else "FFMA", expected(name, args)
        lines.append(f"| `{name}` | {label(args)} | {', '.join(str(archs[a].code.registers) for a in sorted(archs))} | "
                     f"{wanted.blocks} | {multiply_adds(k.code, wanted):.0f} {kind} | {around['LDGSTS']} LDGSTS |")
    return lines


def write(path, kernels, version):
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{path}: expected one '{BEGIN}' and one '{END}'")
    head, rest = text.split(BEGIN)
    new = [f"Compiled by {version}.", "", *table(kernels), "", "### Work and bounds", "",
           "FLOPs and bytes of whole passes, and the least time that the peak rates in NVIDIA's H100 (SXM) datasheet allow; "
           "arithmetic, not a measurement.", "", *roofline()]
    path.write_text(f"{head}{BEGIN}\n" + "\n".join(new) + f"\n{END}{rest.split(END)[1]}")


def divisions(ptx):
    """How often each kernel of a PTX file divides 64-bit numbers, or takes their remainder."""
    return {name: len(re.findall(r"^\s*(?:div|rem)\.[su]64\b", body, re.MULTILINE))
            for name, body in re.findall(r"^\.(?:visible |weak )?\.?entry (\w+)\((.*?)^}", ptx, re.MULTILINE | re.DOTALL)}


def check_undivided(o, folder):
    found = divisions(translate(o.nvcc, o.undivided, o.include, folder).read_text())
    for name, count in found.items():
        if count:
            print(f"{name}: expected no division by 64-bit numbers, got {count}")
    print(f"{len(found)} kernels, {sum(map(bool, found.values()))} divide")
    if o.expect_faults:
        return 0 if found and all(found.values()) else 1
    return 1 if not found or any(found.values()) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", required=True)
    code = parser.add_mutually_exclusive_group(required=True)
    code.add_argument("--ptx", type=Path, help="the PTX of every kernel")
    code.add_argument("--source", type=Path, help="a .cu file to translate to PTX")
    code.add_argument("--undivided", type=Path, help="a .cu file whose kernels divide by no 64-bit number")
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--arch", type=int, action="append")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--expect-faults", action="store_true", help="succeed only if every kernel has a fault (self-test)")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor() as pool:
        if o.undivided:
            return check_undivided(o, folder)
        ptx = o.ptx or translate(o.nvcc, o.source, o.include, folder)
        jobs = [pool.submit(compile_kernels, o.nvcc, ptx, arch, folder) for arch in o.arch or (80, 90)]
        kernels = [k for job in jobs for k in job.result()]
    wrong = [(k, list(faults(k))) for k in kernels]
    for kernel, sentences in wrong:
        for sentence in sentences:
            print(f"{kernel.title()}: {sentence}")
    checked = sum(1 for k in kernels if expected(k.name, k.args) and k.aligned())
    print(f"{len(kernels)} kernels, {checked} main loops")
    if o.expect_faults:
        return 0 if kernels and all(sentences for _, sentences in wrong) else 1
    if o.write:
        version = subprocess.run([o.nvcc, "--version"], capture_output=True, text=True).stdout.strip().splitlines()[-2]
        write(o.write, kernels, version)
    return 1 if not checked or any(sentences for _, sentences in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
