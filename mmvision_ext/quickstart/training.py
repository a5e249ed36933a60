"""A training of the quickstart: run it, follow it, read what it logged."""
from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .process import Progress, StepError, follow
from .tasks import Task

#: A line that mmengine logs while it trains by iterations.
_PROGRESS = re.compile(
    r'Iter\(train\) *\[ *(?P<step>\d+)/(?P<total>\d+)\]'
    r'.*? eta: (?P<eta>[\d:]+).*? loss: (?P<loss>[\d.naif]+)')


@dataclass
class Record:
    """What a training left behind.

    Args:
        task (Task): The task.
        folder (Path): Folder of the run, with ``vis_data`` in it.
        checkpoint (Path): The last checkpoint.
        steps (list[int]): Iterations at which the loss was logged.
        losses (list[float]): The loss at each of them.
        before (dict[str, float]): Each metric of the network before
            training, in [0, 1], by the name shown; a loss as first logged.
        after (dict[str, float]): The same of the trained one; a loss as
            last logged.
        seconds (float): Time of the whole training, start-up and validation
            included.
    """
    task: Task
    folder: Path
    checkpoint: Path
    steps: list[int]
    losses: list[float]
    before: dict[str, float]
    after: dict[str, float]
    seconds: float

    @property
    def config(self) -> Path:
        """The config as it was run."""
        return self.folder / 'vis_data' / 'config.py'


def train(task: Task,
          data: Path,
          folder: Path,
          options: Sequence[str] = ()) -> Record:
    """Train a task as a process of its own, showing how far it is.

    Everything that the training prints goes to ``train.log`` in ``folder``.

    Args:
        task (Task): The task.
        data (Path): Root of the generated data.
        folder (Path): Work directory of the training.
        options (Sequence[str]): Further ``KEY=VALUE`` for the config.

    Returns:
        Record: What it left behind.

    Raises:
        StepError: If the training failed; the message ends with the
            last lines of the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, '-c',
        'import sys; from mmvision_ext.engine.launch import train; '
        'sys.exit(train())',
        str(task.config_path), '--work-dir', str(folder), '--data-root',
        str(data / task.layout)
    ]
    if options:
        command += ['--cfg-options', *options]
    seconds = follow(f'the training of {task.title}', task.title, command,
                     folder / 'train.log', _read_progress)
    return read_record(task, folder, seconds)


def _read_progress(line: str) -> Progress | None:
    match = _PROGRESS.search(line)
    return match and Progress(
        int(match['step']), int(match['total']),
        f'loss {match["loss"]}  eta {match["eta"]}')


def read_record(task: Task, folder: Path, seconds: float) -> Record:
    """Read the scalars and the last checkpoint of a finished training.

    Args:
        task (Task): The task.
        folder (Path): Its work directory.
        seconds (float): How long it took.

    Returns:
        Record: What was found, of the last run if there are several.

    Raises:
        StepError: If the run has no scalars, no checkpoint, or fewer
            than two rows of the metrics: a validation before and one after,
            or of pre-training losses.
    """
    runs = sorted(folder.glob('*/vis_data/scalars.json'))
    pointer = folder / 'last_checkpoint'
    if not runs or not pointer.is_file():
        raise StepError(f'{folder} holds no finished training')
    lines = runs[-1].read_text().splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    train_rows = [row for row in rows if 'loss' in row]
    # Of pre-training the rows with metrics are those with losses.
    found = [row for row in rows if set(task.metrics) <= set(row)]
    if not train_rows or len(found) < 2:
        raise StepError(
            f'{runs[-1]} has {len(train_rows)} rows of losses and '
            f'{len(found)} of {", ".join(task.metrics)}; expected a loss '
            'and each metric before and after')
    scale = 0.01 if task.percent else 1.
    before, after = ({
        shown: row[name] * scale
        for name, shown in task.metrics.items()
    } for row in (found[0], found[-1]))
    return Record(
        task=task,
        folder=runs[-1].parents[1],
        checkpoint=Path(pointer.read_text().strip()),
        steps=[row['step'] for row in train_rows],
        losses=[row['loss'] for row in train_rows],
        before=before,
        after=after,
        seconds=seconds)
