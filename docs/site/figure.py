#!/usr/bin/env python3
"""Takes a figure out of a page of `federate report`, as a picture that stands alone, on a light ground.

    figure.py REPORT.html TITLE OUT.svg"""
import re
import sys
from html import escape
from pathlib import Path

WIDTH = 520

page, title = Path(sys.argv[1]).read_text(encoding="utf-8"), escape(sys.argv[2])
figures = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
figure = next((svg for svg in figures if f">{title}</title>" in svg), None)
if figure is None:
    known = ", ".join(re.findall(r"<title id=[^>]*>([^<]*)", page))
    sys.exit(f"{sys.argv[1]}: expected one of the figures {known}, got {sys.argv[2]}")
style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
colours = re.search(r":root\{color-scheme:[^;]*;(.*?)\}", style, re.DOTALL)[1].replace("\n", "")
rules = [rule for rule in re.findall(r"(?:svg|\.s\d)[^{}]*\{[^}]*\}", style) if not rule.startswith("svg{")]
width, height = (float(number) for number in re.search(r"viewBox='0 0 (\S+) (\S+)'", figure).groups())
text = "\n".join([f":root{{{colours};font:13px system-ui,sans-serif;fill:var(--ink)}}", *rules])
figure = figure.replace("<svg ", f"<svg width='{WIDTH}' height='{WIDTH * height / width:.0f}' ", 1)
ground = f"<style>\n{text}\n</style>\n<rect width='100%' height='100%' style='fill:var(--ground)'/>\n"
Path(sys.argv[3]).write_text(figure.replace("</desc>\n", f"</desc>\n{ground}", 1) + "\n", encoding="utf-8")
