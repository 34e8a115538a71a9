"""docs/python.md runs from its first block to its last, as a notebook does."""

import ast
import re

import pytest

from birkhoff_cli.analyses.core.threads import one_thread
from conftest import ROOT

PAGE = ROOT / "docs/python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_its_blocks_run_in_order(tmp_path, monkeypatch):
    pytest.importorskip("hyper_connections", reason="pip install -e '.[dev]'")
    pytest.importorskip("polars", reason="pip install -e '.[dev]'")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    namespace, shown = {"__name__": "notebook"}, []
    text = PAGE.read_text(encoding="utf-8")
    with one_thread():
        for match in BLOCK.finditer(text):
            # line numbers of the page, for the traceback of a block that fails
            source = "\n" * text[: match.start(1)].count("\n") + match[1]
            tree = ast.parse(source, str(PAGE))
            for node in tree.body:
                if isinstance(node, ast.Expr):  # read what a cell shows, as a notebook would
                    code = compile(ast.Expression(node.value), str(PAGE), "eval")
                    shown.append(eval(code, namespace))
                else:
                    exec(compile(ast.Module([node], []), str(PAGE), "exec"), namespace)
    assert len(BLOCK.findall(text)) >= 10
    assert (tmp_path / "drift.png").stat().st_size
    assert repr(namespace["drift"]).partition(",")[0] in text
    assert "equal" in shown
