"""The reference of the headers: what their comments say, as a page of Markdown for each room. Doxygen reads
the headers. Everything public that it finds is listed, but for namespaces `detail` and for members without a
comment that only repeat a rule (defaulted ones, lists of fields)."""
import re
import shutil
import subprocess
import xml.etree.ElementTree as xml
from collections import defaultdict
from html import escape

PUBLIC = ("public-type", "public-attrib", "public-static-attrib", "public-func", "public-static-func",
          "user-defined")
ENTITIES = ("class", "struct", "union", "concept", "namespace")
LONGEST_VALUE = 60  # of a constant or a default that is shown
SYMBOLS = {"ndash": "–", "mdash": "—", "nonbreakablespace": " ", "linebreak": "<br>"}
TAGS = {"computeroutput": "code", "emphasis": "em", "bold": "strong", "itemizedlist": "ul",
        "orderedlist": "ol", "listitem": "li", "codeline": "div", "blockquote": "blockquote",
        "superscript": "sup", "subscript": "sub"}
CODE = {"verbatim", "programlisting"}
BLOCKS = {"itemizedlist", "orderedlist", "blockquote"} | CODE


def tables_as_code(text):
    """Indented lines of a comment, which are tables, as Doxygen's Markdown has code: after an empty line, by five
    spaces."""
    lines, table = [], False
    for line in text.splitlines():
        indented = re.match(r"( *///)  ( +\S.*)", line)
        if indented:
            lines += ([] if table else [indented[1]]) + [f"{indented[1]}    {indented[2]}"]
        else:
            lines.append(line)
        table = indented is not None
    return "\n".join(lines) + "\n"


def copy_headers(root, folder):
    """Copies what a user reads of the headers: no bodies, no details, no namespace of the instruction set."""
    for base in (root / "include", root / "cuda"):
        for header in base.rglob("*.hpp"):
            name = header.relative_to(base)
            if {"detail", "compiled"} & set(name.parts) or header.stem.endswith(("_bodies", "_members")):
                continue
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            text = header.read_text(encoding="utf-8").replace("::inline LORU_ISA", "")
            target.write_text(tables_as_code(text), encoding="utf-8")


def opening_comment(header):
    """What a header says of itself: the comment after `#pragma once`, as paragraphs of HTML."""
    match = re.match(r"#pragma once\n((?://.*\n)+)", header.read_text(encoding="utf-8"))
    if match is None:
        return ""
    lines = [re.sub(r"^// ?", "", line) for line in match[1].splitlines()]
    html = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        if paragraph.startswith("  "):
            html.append(f"<pre><code>{escape(paragraph)}</code></pre>")
        else:
            text = re.sub("`([^`]+)`", r"<code>\1</code>", escape(paragraph))
            html.append(f"<p>{text}</p>")
    return "\n".join(html)


def html_of(element):
    """What a comment says, as HTML."""
    html = escape(element.text or "")
    for child in element:
        inner = html_of(child)
        if child.tag == "para":
            tag = "div" if any(part.tag in BLOCKS for part in child) else "p"
            html += f"<{tag}>{inner}</{tag}>"
        elif child.tag in CODE:
            html += f"<pre><code>{inner}</code></pre>"
        elif child.tag in SYMBOLS:
            html += SYMBOLS[child.tag]
        elif child.tag == "sp":
            html += " "
        elif child.tag == "ulink":
            html += f'<a href="{escape(child.get("url"))}">{inner}</a>'
        elif child.tag in TAGS:
            html += f"<{TAGS[child.tag]}>{inner}</{TAGS[child.tag]}>"
        else:
            html += inner
        html += escape(child.tail or "")
    return html


def comment_of(member):
    """The comment of an entity as HTML; empty if it has none."""
    parts = (member.find(tag) for tag in ("briefdescription", "detaileddescription", "inbodydescription"))
    html = "".join(html_of(part).strip() for part in parts if part is not None)
    return re.sub(r"\s+(?=</p>)", "", html)


def tidy(code):
    """Code as Doxygen prints it, spaced as loru's is."""
    code = re.sub(r"\s+", " ", code).strip()
    code = re.sub(r"< (?=[\w:.])", "<", code)
    code = re.sub(r"(?<=[\w>*&.\])]) >", ">", code)
    code = re.sub(r" ([&*]+)(?=[\w.])", r"\1 ", code)
    code = re.sub(r" ([&*]+)(?=[,)>]|$)", r"\1", code)
    return code


def concept_of(compound, headers):
    """A concept as its header has it: up to the first statement's end that an empty line follows."""
    text = (headers / compound.find("location").get("file")).read_text(encoding="utf-8")
    name = text_of(compound, "compoundname").split("::")[-1]
    pattern = rf"^template <[^\n]*\n(?:[^\n]+\n)?concept {name} =.*?;\n\n"
    match = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    return match[0].rstrip() if match else text_of(compound, "initializer")


def text_of(element, tag):
    found = element.find(tag)
    return tidy("".join(found.itertext())) if found is not None else ""


def template_of(element):
    """`template <...>` and the constraint, each with a new line after it; empty for what is no template."""
    head = ""
    if element.find("templateparamlist") is not None:
        parameters = []
        for parameter in element.find("templateparamlist"):
            name, value = text_of(parameter, "declname"), text_of(parameter, "defval")
            parameters.append(text_of(parameter, "type") + (f" {name}" if name else "")
                              + (f" = {value}" if value else ""))
        head = f"template <{', '.join(parameters)}>\n"
    constraint = text_of(element, "requiresclause")
    return head + (f"  requires {constraint}\n" if constraint else "")


def value_of(member):
    value = text_of(member, "initializer")
    return (" " if value.startswith("=") else "") + value if 0 < len(value) <= LONGEST_VALUE else ""


def declaration(member):
    """The declaration of a function, a variable, an alias or an enumeration."""
    kind, name = member.get("kind"), text_of(member, "name")
    type_name = text_of(member, "type")
    words = "".join(f"{word} " for word in ("static", "constexpr")
                    if member.get(word) == "yes" and not re.search(rf"\b{word}\b", type_name))
    if kind == "function":
        arguments = re.sub(r"(?<=[\w>&*\]])=(?=[^=>])", " = ", text_of(member, "argsstring"))
        return template_of(member) + words + (type_name + " " if type_name else "") + name + arguments
    if kind == "typedef":
        return template_of(member) + f"using {name} = {type_name}"
    if kind == "enum":
        values = ", ".join(text_of(value, "name") for value in member.findall("enumvalue"))
        return f"enum {'class ' if member.get('strong') == 'yes' else ''}{name} {{ {values} }}"
    extents = text_of(member, "argsstring")
    return f"{template_of(member)}{words}{type_name} {name}{extents}{value_of(member)}"


def repeats_a_rule(member):
    arguments = text_of(member, "argsstring").replace(" ", "")
    return (member.get("kind") == "friend" or arguments.endswith(("=default", "=delete")) or
            text_of(member, "name") == "fields" or text_of(member, "name").startswith("~"))


def listed(member):
    """A member of a class or an enumeration's value, as entry of a list."""
    comment = comment_of(member)
    code = text_of(member, "name") if member.tag == "enumvalue" else declaration(member)
    entry = f"<dt><code>{escape(code)}</code></dt>"
    if member.get("kind") == "enum":
        comment += values_of(member)
    return entry + (f"<dd>{comment}</dd>" if comment else "")


def values_of(enum):
    """The values of an enumeration that have a comment."""
    values = [listed(value) for value in enum.findall("enumvalue") if comment_of(value)]
    return f"<dl>{''.join(values)}</dl>" if values else ""


class Entry:
    """What stands under one heading of a page."""

    def __init__(self, element, name, code, members=""):
        place = element.find("location")
        self.file, self.line = place.get("file"), int(place.get("line"))
        self.name, self.code, self.comment, self.members = name, code, comment_of(element), members

    def html(self):
        code = f'<pre class="declaration"><code>{escape(self.code)}</code></pre>'
        return f"{code}\n{self.comment}{self.members}\n"


def entries_of_class(compound, name):
    members = [member for section in compound.findall("sectiondef") if section.get("kind") in PUBLIC
               for member in section.findall("memberdef")
               if comment_of(member) or not repeats_a_rule(member)]
    members.sort(key=lambda member: int(member.find("location").get("line")))
    bases = ", ".join(tidy("".join(base.itertext())) for base in compound.findall("basecompoundref"))
    code = template_of(compound) + f"{compound.get('kind')} {name}" + (f" : {bases}" if bases else "")
    body = "".join(listed(member) for member in members)
    yield Entry(compound, name, code, f'<dl class="members">{body}</dl>' if body else "")


def entries_of_namespace(compound, prefix):
    for section in compound.findall("sectiondef"):
        for member in section.findall("memberdef"):
            if comment_of(member) or not repeats_a_rule(member):
                yield Entry(member, prefix + text_of(member, "name"), declaration(member), values_of(member))


def entries(folder, headers):
    """Everything public that Doxygen has found, in the order of files and lines."""
    index = xml.parse(folder / "index.xml").getroot()
    compounds = [xml.parse(folder / f"{compound.get('refid')}.xml").getroot().find("compounddef")
                 for compound in index if compound.get("kind") in ENTITIES]
    hidden = {inner.get("refid") for compound in compounds for inner in compound.findall("innerclass")
              if inner.get("prot") != "public"}
    found = []
    for compound in compounds:
        name = tidy(text_of(compound, "compoundname"))
        if compound.get("id") in hidden or not re.match(r"loru\b", name) or "@" in name:
            continue
        name = re.sub(r"^loru(::|$)", "", name)
        if compound.get("kind") == "namespace":
            found += entries_of_namespace(compound, name + "::" if name else "")
        elif compound.get("kind") == "concept":
            found.append(Entry(compound, name, concept_of(compound, headers)))
        else:
            found += entries_of_class(compound, name)
    return sorted(found, key=lambda entry: (entry.file, entry.line))


def page_of(file):
    """The page of a header, loru/<room>/...: rooms inside fl have their own."""
    parts = file.split("/")
    return "-".join(parts[1:3] if parts[1] == "fl" and len(parts) > 3 else parts[1:2])


def section_of(header, name, found):
    """The part of a page that tells of one header. Overloads of a name stand under one heading."""
    lines = [f"## `{name}`\n", opening_comment(header) + "\n"]
    before = None
    for entry in found:
        if entry.name != before:
            lines.append(f"### `{entry.name}`\n")
        before = entry.name
        lines.append(entry.html())
    return "\n".join(lines)


def write_reference(root, work, pages):
    """Writes a page for each room into the folder, and index.md."""
    copy_headers(root, work / "include")
    shutil.copyfile(root / "docs/site/Doxyfile", work / "Doxyfile")
    subprocess.run(["doxygen", "Doxyfile"], cwd=work, check=True)
    by_header = defaultdict(list)
    for entry in entries(work / "xml", work / "include"):
        by_header[entry.file].append(entry)
    rooms = defaultdict(list)
    for header in sorted((work / "include").rglob("*.hpp")):
        name = header.relative_to(work / "include").as_posix()
        if name.count("/") > 1 and (by_header[name] or not is_umbrella(header)):
            rooms[page_of(name)].append(section_of(header, name, by_header[name]))
    pages.mkdir(parents=True)
    for room, sections in rooms.items():
        include = "fl/fl" if room.startswith("fl") else f"{room}/{room}"
        title = f"# Room `{room.replace('-', '/')}`\n\n`#include <loru/{include}.hpp>`\n\n"
        (pages / f"{room}.md").write_text(title + "\n".join(sections), encoding="utf-8")
    shutil.copyfile(root / "docs/site/reference.md", pages / "index.md")


def is_umbrella(header):
    return header.stem == header.parent.name
