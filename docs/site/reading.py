"""What the site and the tests read in the project's Markdown: links, anchors, pieces of source files.

A line `--8<-- "path:section"` stands for the lines of a file of the project between its marks
`--8<-- [start:section]` and `--8<-- [end:section]`, without their common indentation; `--8<-- "path"` stands
for all of its lines. It is the notation of PyMdown Extensions, which know no sections yet in Debian 12."""
import re
import textwrap

SNIPPET = re.compile(r'^--8<-- "([^":]+)(?::([^"]+))?"$')
MARK = re.compile(r"--8<-- \[(start|end):([\w-]+)\]")
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Mistake(Exception):
    """One line, with the place."""


def spaces(match):
    return re.sub(r"[^\n]", " ", match[0])


def without_blocks(text):
    """The text with its fenced code as spaces, line by line."""
    return re.sub(r"^ *(```+|~~~+).*?^ *\1`* *$", spaces, text, flags=re.MULTILINE | re.DOTALL)


def links(text):
    """(offset, target) of each link and picture outside of code."""
    inline = r"(?<!`)(`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`)"
    prose = re.sub(inline, spaces, without_blocks(text), flags=re.DOTALL)
    return [(match.start(1), match[1]) for match in LINK.finditer(prose)]


def is_local(target):
    return not re.match(r"[a-z]+:", target)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def anchors(text):
    """The anchors of the headings, by GitHub's rule; of equal headings the first alone can be linked."""
    found = set()
    for match in re.finditer(r"^#{1,6} +(.*?) *$", without_blocks(text), flags=re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", match[1])
        found.add(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
    return found


def section(root, path, name):
    """The lines of a section of a file, or without a name all of its lines. Throws Mistake."""
    file = root / path
    if not file.is_file():
        raise Mistake(f"expected a file of the project, got {path}")
    text = file.read_text(encoding="utf-8")
    if name is None:
        return without_marks(text).splitlines()
    taken, inside = [], False
    for line in text.splitlines():
        mark = MARK.search(line)
        if mark is None:
            if inside:
                taken.append(line)
        elif mark[2] == name:
            inside = mark[1] == "start"
    if inside or not taken:
        got = "no end" if inside else "none"
        raise Mistake(f"{path}: expected a section {name} with a start, lines and an end, got {got}")
    return textwrap.dedent("\n".join(taken)).splitlines()


def snippets(text):
    """(line number, path, section) of each snippet."""
    for number, line in enumerate(text.splitlines(), 1):
        if snippet := SNIPPET.match(line.strip()):
            yield number, snippet[1], snippet[2]


def expanded(text, root):
    """The text with its snippets. Throws Mistake."""
    lines = text.splitlines()
    for number, path, name in reversed(list(snippets(text))):
        line = lines[number - 1]
        indent = line[:len(line) - len(line.lstrip())]
        lines[number - 1:number] = [(indent + piece).rstrip() for piece in section(root, path, name)]
    return "\n".join(lines) + "\n"


def without_marks(text):
    """A source file without the lines that mark sections."""
    return "".join(line for line in text.splitlines(keepends=True) if not MARK.search(line))
