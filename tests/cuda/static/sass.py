"""Counts the instructions of kernels in a cubin, in all and inside loops, without a disassembler.

An instruction of sm_70 and later takes 128 bits. Bits 0-11 are its opcode, bits 16-23 its destination register. A branch
(BRA) has a signed offset from the next instruction in bits 34-81, in units of 4 bytes; on sm_90 bits 16-23 extend it
below. The registers of a thread stand in section .nv.info, under the kernel's symbol, which the low 24 bits of its own
section's info name. Found by comparing cubins of small kernels with their PTX, and registers with what ptxas says.
"""
import collections
import dataclasses
import struct

OPCODES = {0x23C: "HMMA", 0x223: "FFMA", 0x83B: "LDSM", 0xFAE: "LDGSTS", 0x9AF: "LDGDEPBAR", 0x91A: "DEPBAR", 0xB1D: "BAR",
           0x981: "LDG", 0x986: "STG", 0x983: "LDL", 0x387: "STL", 0x984: "LDS", 0x388: "STS", 0x947: "BRA",
           0x3A9: "ATOM", 0x9A3: "ATOM", 0x9A8: "ATOM", 0x3A8: "ATOM", 0x98E: "RED", 0x9A6: "RED", 0x98C: "ATOMS", 0x38C: "ATOMS"}
NO_REGISTER = 0xFF
BRANCH = 0x947
WITH_BYTES, REGISTER_COUNT = 0x04, 0x2F  # of .nv.info


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Registers of a thread, and instruction counts: in all, and of each loop as (begin, end, counts) with its inner loops."""
    registers: int
    all: collections.Counter
    loops: tuple

    def inner_loop(self):
        """Counts of the innermost loop with the most multiply-adds on tensor cores, else on the others; or nothing."""
        innermost = [a for a in self.loops if not any(inside(b, a) for b in self.loops)]
        return max((counts for _, _, counts in innermost), key=weight, default=collections.Counter())

    def copy_loop(self):
        """Counts of the smallest loop that both multiplies and copies asynchronously; or nothing."""
        return self.smallest_copy_loop()[2]

    def products_of_copy_loop(self):
        """Multiply-adds of that loop: all on tensor cores, else those of the loops inside it, where no others are."""
        loop = self.smallest_copy_loop()
        return loop[2]["HMMA"] or sum(counts["FFMA"] for begin, end, counts in self.loops if inside((begin, end), loop))

    def smallest_copy_loop(self):
        loops = [loop for loop in self.loops if loop[2]["LDGSTS"] and any(weight(loop[2]))]
        return min(loops, key=lambda loop: loop[2].total(), default=(0, 0, collections.Counter()))


def inside(inner, outer):
    """Whether one loop is within another."""
    return inner[:2] != outer[:2] and outer[0] <= inner[0] and inner[1] <= outer[1]


def weight(counts):
    return counts["HMMA"], counts["FFMA"]


def sections(cubin):
    """(name, info, bytes) of each section of a 64-bit ELF file."""
    if cubin[:5] != b"\x7fELF\x02":
        raise ValueError(f"cubin: expected a 64-bit ELF file, got {cubin[:5]!r}")
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    headers = [struct.unpack_from("<IIQQQQII", cubin, table + i * size) for i in range(count)]
    strings = headers[names][4]
    for name, _, _, _, offset, length, _, info in headers:
        start = strings + name
        yield cubin[start:cubin.index(b"\0", start)].decode(), info, cubin[offset:offset + length]


def branch_target(place, low, high, sm):
    """Index of the instruction that a branch at `place` goes to, or None where it is not within the code's grid."""
    offset = (low >> 34) | ((high & 0x3FFFF) << 30)
    if offset >> 47:
        offset -= 1 << 48
    offset = (offset << 8 | low >> 16 & 0xFF) * 4 if sm >= 90 else offset * 4
    return None if offset % 16 else place + 1 + offset // 16


def count(opcodes):
    return collections.Counter(OPCODES[o] for o in opcodes if o in OPCODES)


def register_counts(info):
    """{symbol: registers of a thread} of section .nv.info: attributes of four bytes, or with a size and so many more."""
    counts, at = {}, 0
    while at + 4 <= len(info):
        form, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form == WITH_BYTES:
            if attribute == REGISTER_COUNT:
                symbol, registers = struct.unpack_from("<II", info, at)
                counts[symbol] = registers
            at += size
    return counts


def read(registers, code, sm):
    """One kernel, by its registers and its section."""
    words = [struct.unpack_from("<QQ", code, i) for i in range(0, len(code), 16)]
    # Loads into no register are fillers that ptxas puts around asynchronous copies.
    opcodes = [0 if low & 0xFFF == 0x984 and low >> 16 & 0xFF == NO_REGISTER else low & 0xFFF for low, _ in words]
    loops = []
    for end, (low, high) in enumerate(words):
        if low & 0xFFF != BRANCH:
            continue
        begin = branch_target(end, low, high, sm)
        if begin is not None and 0 <= begin < end:
            loops.append((begin, end))
    return Kernel(registers, count(opcodes), tuple((begin, end, count(opcodes[begin:end + 1])) for begin, end in loops))


def kernels(cubin, sm):
    """{mangled name: Kernel} of a cubin's bytes."""
    all_sections = list(sections(cubin))
    registers = {}
    for name, _, content in all_sections:
        if name == ".nv.info":
            registers |= register_counts(content)
    return {name[len(".text."):]: read(registers[info & 0xFFFFFF], content, sm)
            for name, info, content in all_sections if name.startswith(".text.")}
