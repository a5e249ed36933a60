"""The Python of the pages runs.

The blocks of a page share their names and run in their order, in an empty
folder. A block that cannot run here has a line above it,
``<!-- not run: REASON -->``; it still has to be Python.
"""
import ast
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

from .pages import PAGES, Code, read_code


def python_blocks(page: str) -> list[Code]:
    return [code for code in read_code(page) if code.language == 'python']


WITH_PYTHON = [page for page in PAGES if python_blocks(page)]


def test_there_are_blocks() -> None:
    """The reader of pages finds what there is."""
    assert {'README.md', 'docs/vheat.md', 'docs/itpn.md',
            'docs/ma2ml.md'} <= set(WITH_PYTHON)
    blocks = [code for page in WITH_PYTHON for code in python_blocks(page)]
    assert len(blocks) >= 15
    # The exception stays one.
    assert sum(bool(code.not_run) for code in blocks) < len(blocks) / 2


@pytest.mark.smoke
@pytest.mark.parametrize('page', WITH_PYTHON)
def test_python_runs(page: str, tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DefaultScope, '_instance_dict',
                        DefaultScope._instance_dict.copy())
    names: dict = {'__name__': 'page'}
    for code in python_blocks(page):
        if code.not_run:
            ast.parse(code.text)
        else:
            exec(compile(code.text, code.place, 'exec'), names)
