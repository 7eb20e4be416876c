"""The Python of docs/python.md runs, block after block."""
import contextlib
import io
import re

import support
from support import Case


class Docs(Case):
    def test_the_page(self):
        page = (support.ROOT / "docs/python.md").read_text()
        blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
        self.assertGreaterEqual(len(blocks), 6)
        names = {}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            for block in blocks:
                exec(compile(block, "docs/python.md", "exec"), names)
        self.assertEqual(names["y"].shape, (300,))
        self.assertEqual(len(names["curve"]), 3)
        self.assertGreater(names["server"].model.evaluate(names["x"], names["y"])["accuracy"], 0.5)
        self.assertIn("fedloru", printed.getvalue())


if __name__ == "__main__":
    support.main()
