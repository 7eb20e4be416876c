#!/usr/bin/env python3
"""Checks the commands of `federate` and the keys of configurations that the Markdown pages name: options,
keys and bundled configurations are there.

    commands.py FEDERATE ROOT"""
import re
import shlex
import subprocess
import sys
from pathlib import Path

from links import pages

COMMANDS = ("", "eval", "predict", "generate", "export", "report", "ls", "spectrum")
# A checkpoint's metadata, which look like keys.
NOT_KEYS = {f"server.{name}" for name in ("algorithm", "seed", "clients", "round", "factors_since")}
FILES = (".safetensors", ".toml", ".csv", ".json", ".md", ".hpp", ".cpp")


def output(federate, *arguments):
    return subprocess.run([federate, *arguments], capture_output=True, text=True, check=True).stdout


def code(text):
    """(line number, code) of each line of fenced code, continued ones as one, and of each inline code."""
    fenced, continued, start = False, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r" *```", line):
            fenced = not fenced
        elif fenced:
            start = start if continued else number
            continued += line.removesuffix("\\")
            if not line.endswith("\\"):
                yield start, continued
                continued = ""
        else:
            yield from ((number, piece) for piece in re.findall(r"(?<!`)`([^`]+)`(?!`)", line))


def words(line):
    try:
        return shlex.split(line.replace("[", "").replace("]", ""), comments=True)
    except ValueError:
        return line.split()


def key_of(word):
    """The key of KEY=VALUE, or nothing where the page means any key."""
    key = word.partition("=")[0]
    return None if key == "key.path" or not re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*", key) else key


def mistakes_of(line, options, keys, root):
    tables = {key.split(".")[0] for key in keys if "." in key}
    named = re.fullmatch(r"([a-z_]+)\.[a-z_0-9]+", line.split(" = ")[0])
    if named and named[1] in tables and not line.endswith(FILES) and named[0] not in keys | NOT_KEYS:
        yield f"expected a key of federate --keys, got {line}"
    given = words(line)
    while given and not re.fullmatch(r"(\$|.*/)?federate", given[0]):
        given = given[1:]  # of mpirun, say
    for word, following in zip(given, [*given[1:], ""]):
        if re.match(r"--[a-z]", word) and word.partition("=")[0] not in options:
            yield f"expected an option of federate, got {word}"
        if word in ("--set", "--sweep") and (key := key_of(following)) and key not in keys:
            yield f"expected a key of federate --keys, got {key}"
        if re.match(r"examples/\S+\.toml$", word) and not (root / word).is_file():
            yield f"expected a file of the project, got {word}"


def main():
    federate, root = sys.argv[1], Path(sys.argv[2]).resolve()
    options = {option for command in COMMANDS
               for option in re.findall(r"--[a-z][a-z-]*", output(federate, *command.split(), "--help"))}
    keys = set(re.findall(r"^\| `([^`]+)`", output(federate, "--keys"), re.MULTILINE))
    checked, mistakes = 0, []
    for page in pages(root):
        for number, line in code(page.read_text(encoding="utf-8")):
            checked += 1
            where = f"{page.relative_to(root)}:{number}"
            mistakes += [f"{where}: {mistake}" for mistake in mistakes_of(line, options, keys, root)]
    wrong = "federate examples/none.toml --sett algorithm.tau=1 --set algorithm.tao=1"
    planted = list(mistakes_of(wrong, options, keys, root))
    if len(planted) != 3:
        mistakes.append(f"self-test: expected three mistakes in a wrong command, got {planted}")
    print("\n".join([*mistakes, f"commands: {checked} pieces of code, {len(mistakes)} mistakes"]))
    return 1 if mistakes or len(keys) < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
