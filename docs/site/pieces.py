#!/usr/bin/env python3
"""Brings the code that pages in docs/ show up to date with the files that it comes from."""
import sys
from pathlib import Path

from reading import Mistake, up_to_date

ROOT = Path(__file__).resolve().parents[2]

for page in sorted((ROOT / "docs").rglob("*.md")):
    text = page.read_text(encoding="utf-8")
    try:
        new = up_to_date(text, ROOT)
    except Mistake as mistake:
        sys.exit(f"{page.relative_to(ROOT)}: {mistake}")
    if new != text:
        page.write_text(new, encoding="utf-8")
