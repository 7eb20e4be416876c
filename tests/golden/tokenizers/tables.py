#!/usr/bin/env python3
"""Writes include/loru/data/tokenizers/detail/*_tables.hpp: what the package `tokenizers` makes of every code point.

    pip install tokenizers==0.23.3
    tables.py          takes half a minute

The package's parts carry Unicode tables of different ages, and none of them is Python's. So each code point is put
through the package itself, alone and beside combining marks of known classes.
"""
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

FOLDER = Path(__file__).parents[3] / "include/loru/data/tokenizers/detail"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by rule, not by table


def bert(**on):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **on}).normalize_str


def those(condition):
    return {c for c in CODE_POINTS if condition(chr(c))}


def pieces(splitter, text):
    return len(splitter.pre_tokenize_str(text))


# ---- what the package says ----

clean, chinese, strip, lower = (bert(**{key: True}) for key in
                                ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"))
decompose = normalizers.NFD().normalize_str

stripped = {c: strip(chr(c)) for c in CODE_POINTS}
lowered = {c: lower(chr(c)) for c in CODE_POINTS}


def swaps(left, right):
    """Whether the combining class of `right` is below that of `left`, and not 0."""
    return decompose(left + right) == right + left != left + right


# A mark of each class, among those that the package knows.
references = {1: "\u0334"}
for x in map(chr, CODE_POINTS):
    if (k := unicodedata.combining(x)) and decompose(x) == x and (k == 1 or swaps(x, references[1])):
        references.setdefault(k, x)


def combining_class(c):
    """The class of a code point that has no decomposition; 0 of starters."""
    if not swaps(chr(c), references[1]) and not swaps(references[240], chr(c)):
        return {references[1]: 1, references[240]: 240}.get(chr(c), 0)
    below = [k for k, mark in references.items() if swaps(chr(c), mark)]
    above = [k for k, mark in references.items() if swaps(mark, chr(c))]
    between = [k for k in references if k not in below + above]
    assert len(between) == 1 and max(below, default=0) < between[0] < min(above, default=255), hex(c)
    return between[0]


decomposed = {c: decompose(chr(c)) for c in CODE_POINTS}
classes = {c: combining_class(c) for c in CODE_POINTS if decomposed[c] == chr(c)}

bert_splitter = pre_tokenizers.BertPreTokenizer()
isolated = {name: pre_tokenizers.Split(Regex(pattern), "isolated")
            for name, pattern in (("letter", r"\p{L}"), ("number", r"\p{N}"), ("space", r"\s"))}

PROPERTIES = {  # name -> (bit, code points)
    "removed": (1, those(lambda x: clean(x) == "")),
    "blank": (2, those(lambda x: clean(x) == " ")),
    "ideograph": (4, those(lambda x: chinese(x) == f" {x} ")),
    "punctuation": (8, those(lambda x: pieces(bert_splitter, f"a{x}b") == 3)),
    "separator": (16, those(lambda x: pieces(bert_splitter, f"a{x}b") == 2)),
    "mark": (32, {c for c, x in stripped.items() if x == ""}),
    "combining": (64, {c for c in CODE_POINTS if all(classes[ord(x)] for x in decomposed[c])}),
}
LETTERS = {
    "letter": (1, those(lambda x: pieces(isolated["letter"], f"\x01{x}\x01") == 3)),
    "number": (2, those(lambda x: pieces(isolated["number"], f"\x01{x}\x01") == 3)),
    "space": (4, those(lambda x: pieces(isolated["space"], f"\x01{x}\x01") == 3)),
    "digit": (8, those(lambda x: pieces(pre_tokenizers.Digits(individual_digits=True), f"\x01{x}\x01") == 3)),
}
KEPT_CLASSES = {c: k for c, k in classes.items() if k and stripped[c]}


# ---- as C++ ----

def rows(items):
    line, out = "   ", []
    for item in items:
        if len(line) + len(item) + 2 > 110:
            out.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*out, line])


def boundaries(properties):
    """Where the bits change: first code point << 8 | bits."""
    out, before = [], None
    for c in range(0x110000):
        bits = sum(bit for bit, members in properties.values() if c in members)
        if bits != before:
            out.append(f"0x{c << 8 | bits:X}")
            before = bits
    return out


def runs(mapping):
    """(first, last, step, target of the first): x -> target + (x - first), for every step-th x."""
    left, out = dict(sorted(mapping.items())), []
    while left:
        first = next(iter(left))
        best = [first]
        for step in (1, 2):
            run = [first]
            while left.get(run[-1] + step) == left[first] + run[-1] + step - first:
                # a run of step 2 does not pass over what maps otherwise, since runs lie in order
                if step == 2 and run[-1] + 1 in left:
                    break
                run.append(run[-1] + step)
            best = max(best, run, key=len)
        step = best[1] - best[0] if len(best) > 1 else 1
        out.append(f"{{0x{first:X}, 0x{best[-1]:X}, {step}, 0x{left[first]:X}}}")
        for c in best:
            del left[c]
    return out


def header(name, purpose, body):
    text = f"""#pragma once
// {purpose}
// Made by tests/golden/tokenizers/tables.py from the package tokenizers {tokenizers.__version__}.

#include <cstdint>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::data::detail {{

// clang-format off

{body}
// clang-format on

}}  // namespace loru::inline LORU_ISA::data::detail
"""
    (FOLDER / f"{name}_tables.hpp").write_text(text)
    print(f"{name}_tables.hpp: {text.count(chr(10))} lines")


def array(kind, name, comment, items):
    return f"/// {comment}\ninline constexpr {kind} {name}[] = {{\n{rows(items)}\n}};\n"


def enumeration(kind, properties):
    names = ", ".join(f"{name} = {bit}" for name, (bit, _) in properties.items())
    return f"struct {kind} {{\n  enum : unsigned {{\n{rows(names.split(', '))}\n  }};\n}};\n"


header("bert", "What BERT's normaliser and splitter make of a code point.",
       "/// removed and blank: by cleaning; ideograph: gets blanks around it; mark: a non-spacing mark, removed with\n"
       "/// the accents; combining: all of its decomposition has a combining class other than 0.\n"
       + enumeration("BertProperty", PROPERTIES) + "\n"
       + array("std::uint32_t", "bert_properties",
               "Where the properties change, in order: the first code point << 8 | BertProperty.",
               boundaries(PROPERTIES)) + "\n"
       + "struct CombiningClass { char32_t character; unsigned value; };\n\n"
       + array("CombiningClass", "combining_classes",
               "Those that are combining and no mark, and their canonical combining class.",
               [f"{{0x{c:X}, {k}}}" for c, k in sorted(KEPT_CLASSES.items())]))

changed = {c: x for c, x in stripped.items() if x not in ("", chr(c)) and c not in HANGUL}
header("fold", "How characters lose their accents and their case.",
       "/// Stands for step·i + first -> step·i + target, up to `last`.\n"
       "struct Run { char32_t first, last, step, target; };\n"
       "struct Expansion { char32_t from, to[3]; };\n\n"
       + array("std::uint64_t", "stripped", "Canonical decompositions without non-spacing marks: of one character, "
               "from << 24 | to.", [f"0x{c << 24 | ord(x):X}" for c, x in sorted(changed.items()) if len(x) == 1]) + "\n"
       + array("Expansion", "stripped_expansions", "Those of several characters; 0 ends them.",
               ["{0x%X, {%s}}" % (c, ", ".join(f"0x{ord(y):X}" for y in x)) for c, x in sorted(changed.items())
                if len(x) > 1]) + "\n"
       + array("Run", "lower_runs", "Lower case of one character.",
               runs({c: ord(x) for c, x in lowered.items() if x != chr(c) and len(x) == 1})) + "\n"
       + array("Expansion", "lower_expansions", "Lower case of several.",
               ["{0x%X, {%s}}" % (c, ", ".join(f"0x{ord(y):X}" for y in x)) for c, x in sorted(lowered.items())
                if len(x) > 1]))

header("letter", "The classes of GPT-2's expression, and the digits that stand alone.",
       enumeration("LetterProperty", LETTERS) + "\n"
       + array("std::uint32_t", "letter_properties",
               "Where the classes change, in order: the first code point << 8 | LetterProperty.", boundaries(LETTERS)))
