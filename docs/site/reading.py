"""What the site and the tests read in the project's Markdown: links, anchors, pieces of source files.

A block of code after a line `<!-- path: section -->` shows the lines of a file of the project between its marks
`// docs: begin section` and `// docs: end section`, without their common indentation; after `<!-- path -->` all of
the file's lines."""
import re
import textwrap

PIECE = re.compile(r"^<!-- ([\w./-]+)(?:: ([\w-]+))? -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"// docs: (begin|end) ([\w-]+)$", re.MULTILINE)
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
            inside = mark[1] == "begin"
    if inside or not taken:
        got = "no end" if inside else "none"
        raise Mistake(f"{path}: expected a section {name} with a begin, lines and an end, got {got}")
    return textwrap.dedent("\n".join(taken)).splitlines()


def pieces(text):
    """(match, path, section) of each block that shows lines of a file."""
    for match in PIECE.finditer(text):
        yield match, match[1], match[2]


def up_to_date(text, root):
    """The text with its pieces as the files have them. Throws Mistake."""
    for match, path, name in reversed(list(pieces(text))):
        text = text[:match.start(3)] + "\n".join(section(root, path, name)) + "\n" + text[match.end(3):]
    return text


def without_marks(text):
    """A source file without the lines that mark sections."""
    return "".join(line for line in text.splitlines(keepends=True) if not MARK.search(line))
