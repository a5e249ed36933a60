"""``python -m mmvision_ext.quickstart``, what tools/quickstart.sh runs."""
from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from ..datasets.toy_data import make_toy_data
from ..engine.errors import LaunchError
from .page import write_page
from .predictions import Predictions, predict
from .process import StepError
from .search import Amount, prepare_search, search, search_line
from .summary import Result, clock, text_table
from .tasks import TASKS, Task
from .training import Record, train


@dataclass(frozen=True)
class Scale:
    """How much the quickstart does.

    Args:
        train (int): Images for training, each layout.
        val (int): Images for validation, each layout.
        options (tuple[str, ...]): Changes to every config.
        examples (int): Images shown of each task but classification.
        search (Amount): How much the search does.
    """
    train: int = 400
    val: int = 60
    options: tuple[str, ...] = ()
    examples: int = 4
    search: Amount = Amount()


FULL = Scale()
#: Only to see that every part runs: nothing is learnt.
FAST = Scale(
    train=12, val=6,
    options=('train_cfg.max_iters=2', 'train_cfg.val_interval=2',
             'train_dataloader.batch_size=2',
             'default_hooks.logger.interval=1',
             'default_hooks.checkpoint.interval=2'),
    examples=2,
    search=Amount(
        trials=3, train=12, val=6,
        options=('max_epochs=1', 'train_cfg.max_epochs=1',
                 'train_dataloader.batch_size=6',
                 'search.sampler.warmup=2')))


def run(out: Path, scale: Scale = FULL) -> Path:
    """Make data, train every task, search, print the table, write the page.

    Args:
        out (Path): Where everything goes; what an earlier call left there
            is replaced.
        scale (Scale): How much to do. Defaults to :data:`FULL`.

    Returns:
        Path: The page.

    Raises:
        StepError: If a training or the search failed.
        LaunchError: If the configs did not come with the package.
        OSError: If the folder cannot be written.
    """
    begin = time.monotonic()
    print('Generating images', flush=True)
    data = make_toy_data(out / 'data', train=scale.train, val=scale.val)
    searches = prepare_search(out, scale.search)
    results: list[Result] = []
    print('Training on them', flush=True)
    for task in TASKS:
        start = _start_options(task, results)
        record = train(task, data, out / task.name, scale.options + start)
        count = 12 if task.kind == 'classification' else scale.examples
        results.append(
            Result(record, _predict_quietly(record, count),
                   (scale.train, scale.val)[:1 + task.validated]))
    print('Searching' if searches else search_line(None), flush=True)
    found = search(out, scale.search) if searches else None
    page = out / 'index.html'
    write_page(page, results, found, time.monotonic() - begin)
    print(f'\n{text_table(results)}\n\n{search_line(found)}\n\n'
          f'{clock(time.monotonic() - begin)} minutes in all; the page with '
          f'curves and pictures:\n  {page.resolve()}')
    return page


def _start_options(task: Task, done: Sequence[Result]) -> tuple[str, ...]:
    """What makes a training start from an earlier one, neck included."""
    if not task.start:
        return ()
    checkpoint = next(r.record.checkpoint for r in done
                      if r.record.task.name == task.start)
    return ('model.init_cfg.type=Pretrained',
            f'model.init_cfg.checkpoint={checkpoint}')


def _predict_quietly(record: Record, count: int) -> Predictions:
    """Predict; what the libraries print joins the log of the training."""
    log = record.folder.parent / 'train.log'
    with open(log, 'a') as file, redirect_stdout(file), redirect_stderr(
            file), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return predict(record, count)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line.

    Args:
        argv (Sequence[str], optional): The arguments, those of the process
            by default.

    Returns:
        int: The exit status.
    """
    parser = argparse.ArgumentParser(
        prog='quickstart.sh',
        description='Train vHeat on generated images as a classifier, in '
        'Mask R-CNN and in UPerNet, pre-train iTPN on them and train it in '
        'Mask R-CNN, search a pipeline with MA2ML, and write a page about '
        'it.')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/quickstart'),
        metavar='DIR', help='where everything goes (default: %(default)s)')
    parser.add_argument(
        '--fast', action='store_true',
        help='two iterations a task and three trials, only to see that every '
        'part runs')
    args = parser.parse_args(argv)
    try:
        run(args.out.expanduser(), FAST if args.fast else FULL)
    except KeyboardInterrupt:
        print('interrupted; the next call starts over', file=sys.stderr)
        return 130
    except (LaunchError, StepError, OSError) as error:
        print(f'quickstart.sh: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
