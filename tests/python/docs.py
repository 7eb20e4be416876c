"""The Python of docs/python.md and of the module's page for indexes runs, block after block."""
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

    def test_the_page_for_indexes(self):
        """It stands alone: no link is relative, since an index has no other page."""
        page = (support.ROOT / "examples/python/README.md").read_text()
        self.assertNotIn("](", page)
        [block] = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
        names = {}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block, "examples/python/README.md", "exec"), names)
        self.assertIn(names["run"].summary["model_sha256"], printed.getvalue())
        self.assertIn('readme = "examples/python/README.md"', (support.ROOT / "pyproject.toml").read_text())


if __name__ == "__main__":
    support.main()
