"""Searches that take no time: a table, or a process that prints a number."""
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('optuna')

from mmvision_ext.ma2ml.evaluators import (  # noqa: E402
    Evaluator,
    build_evaluator,
)
from mmvision_ext.ma2ml.executors import Job, LocalExecutor  # noqa: E402
from mmvision_ext.ma2ml.progress import Silent  # noqa: E402
from mmvision_ext.ma2ml.search import Search  # noqa: E402
from mmvision_ext.ma2ml.spec import build_search  # noqa: E402
from mmvision_ext.ma2ml.storage import open_storage  # noqa: E402
from mmvision_ext.ma2ml.studies import open_study  # noqa: E402

# Reward of a candidate of the decisions x, y, z, in plain arithmetic.
_SCRIPT = """
import json, os, sys
folder = sys.argv[1]
values = json.load(open(folder + '/candidate.json'))['values']
value = -sum((v - 2.2) ** 2 for v in values.values())
draft = folder + '/.draft'
json.dump(dict(state='complete', value=value, seconds=1.), open(draft, 'w'))
os.replace(draft, folder + '/result.json')
"""


class ScriptEvaluator(Evaluator):
    """A trial is a process of a few milliseconds."""

    def __init__(self, script: str = _SCRIPT, **limits: Any) -> None:
        self.script = script
        self.limits = limits

    def job(self, spec, values, number, seed, folder) -> Job:
        return Job(number, str(folder.path),
                   [sys.executable, '-S', '-c', self.script,
                    str(folder.path)], **self.limits)


@pytest.fixture(scope='session')
def table(tmp_path_factory) -> Path:
    """4 x 4 x 4 candidates, best at (2, 2, 2) with reward -0.12."""
    axes = np.meshgrid(*[np.arange(4)] * 3, indexing='ij')
    path = tmp_path_factory.mktemp('table') / 'table.npz'
    np.savez(path, names=['x', 'y', 'z'],
             reward=-sum((axis - 2.2)**2 for axis in axes),
             flops=1e6 * (1. + sum(axes)))
    return path


@pytest.fixture
def settings(table) -> dict[str, Any]:
    """Settings of a search in that table."""
    decision = dict(choices=[0, 1, 2, 3], ordinal=True)
    return dict(
        agents=dict(a=[dict(name='x', **decision)],
                    b=[dict(name='y', **decision),
                       dict(name='z', **decision)]),
        evaluator=dict(type='tabular', table=str(table), value='reward',
                       flops='flops'),
        sampler=dict(name='tpe'), trials=8, seed=3)


def open_search(work_dir: Path, settings: dict[str, Any],
                evaluator: Evaluator | None = None, executor: Any = None,
                watcher: Any = None, **changes: Any) -> SimpleNamespace:
    """A search ready to run, with all its parts."""
    spec = build_search({**settings, **changes})
    storage, lines = open_storage(None, work_dir)
    study = open_study(spec, storage, 'test', True, str(work_dir))
    search = Search(
        spec, study, storage,
        evaluator or build_evaluator(spec.evaluator),
        executor or LocalExecutor(spec.workers, gpus=[]), work_dir,
        watcher or Silent(), tick=0.002)
    return SimpleNamespace(spec=spec, study=study, storage=storage,
                           search=search, lines=lines)


@pytest.fixture
def make_search() -> Callable[..., SimpleNamespace]:
    """See :func:`open_search`."""
    return open_search


@pytest.fixture
def script_evaluator() -> type[ScriptEvaluator]:
    """The class of that name."""
    return ScriptEvaluator


def in_fork(body: Callable[[], None]) -> int:
    """Run something in a copy of this process; how it ended.

    Negative for a signal. Far cheaper than a fresh interpreter, and as
    mortal.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def fork() -> Callable[[Callable[[], None]], int]:
    """See :func:`in_fork`."""
    return in_fork
