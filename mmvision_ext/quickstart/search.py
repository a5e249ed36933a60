"""The search of the quickstart: run it, follow it, read what it found."""
from __future__ import annotations

import re
import shutil
import statistics
import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.toy_data import make_toy_data
from ..engine.shipped import shipped_root
from .process import Progress, StepError, follow
from .summary import clock

if TYPE_CHECKING:
    from ..ma2ml.report import Record

TITLE = 'MA2ML search'
#: Name of its config, and of its study.
_NAME = 'toy'
#: What is said where the search cannot run.
LEFT_OUT = ('left out, for want of Optuna: '
            "pip install 'mmvision_ext[search]'")
#: Sides of the images, in pixels; the config is made for it.
_SIZE = 32
#: File that marks a folder as that of a search of the quickstart.
_LOG = 'search.log'
#: A line of the search about a trial.
_PROGRESS = re.compile(
    r'^trial \d+: .*\[(?P<done>\d+)/(?P<total>\d+)'
    r'(?:, best (?P<best>[^ ,\]]+))?(?:.*, left (?P<left>[\d:]+))?')


@dataclass(frozen=True)
class Amount:
    """How much the search does.

    Args:
        trials (int): Candidates that are trained.
        train (int): Images for training.
        val (int): Images for validation.
        options (tuple[str, ...]): Changes to the config.
    """
    trials: int = 16
    train: int = 240
    val: int = 120
    options: tuple[str, ...] = ('search.sampler.warmup=6', )


@dataclass(frozen=True)
class Found:
    """What a search left behind.

    Args:
        record (Record): Its trials, one of them finished at least.
        folder (Path): Its work directory.
        amount (Amount): How much it was to do.
        seconds (float): Time of the whole search, start-up included.
    """
    record: Record
    folder: Path
    amount: Amount
    seconds: float

    @property
    def best_config(self) -> Path:
        """The best candidate as a config to train."""
        return self.folder / 'best_config.py'

    @property
    def median(self) -> float:
        """Median reward of the finished trials."""
        return statistics.median(t.value for t in self.record.complete)

    @property
    def counted(self) -> str:
        """How many trials there were, for people."""
        trials = self.record.trials
        lost = len(trials) - len(self.record.complete)
        return f'{len(trials)}' + (f' ({lost} unfinished)' if lost else '')


def search_line(found: Found | None) -> str:
    """The result for the terminal.

    Args:
        found (Found, optional): The search; None if it was left out.

    Returns:
        str: A line.
    """
    if found is None:
        return f'{TITLE}: {LEFT_OUT}'
    best, limit = found.record.best, found.record.flops_limit
    return (f'{TITLE}: best of {found.counted} trials top-1 '
            f'{best.value:.1f} %, median {found.median:.1f} %; '
            f'{millions(best.flops)} of at most {millions(limit)} million '
            f'multiply-adds; {clock(found.seconds)} minutes')


def millions(number: float) -> str:
    """A number in millions, three digits."""
    return f'{number / 1e6:.3g}'


def search_config() -> Path:
    """The config of the search, which came with the package.

    Returns:
        Path: The file.

    Raises:
        LaunchError: If the installation is not complete.
    """
    return shipped_root() / 'configs' / 'ma2ml' / f'{_NAME}.py'


def prepare_search(out: Path, amount: Amount) -> bool:
    """Make images for the search and room for its records.

    Args:
        out (Path): Folder of the quickstart.
        amount (Amount): How much the search shall do.

    Returns:
        bool: Whether the search can run here.

    Raises:
        FileExistsError: If ``out/search`` or ``out/data-search`` has
            something that the quickstart did not make.
    """
    if find_spec('optuna') is None:
        return False
    folder = out / 'search'
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / _LOG).is_file():
            raise FileExistsError(
                f'{folder} is not empty and has no {_LOG}, so the '
                'quickstart did not make it: give another directory')
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make_toy_data(out / 'data-search', train=amount.train, val=amount.val,
                  size=_SIZE)
    return True


def search(out: Path, amount: Amount) -> Found:
    """Search as a process of its own, showing how far it is.

    Everything that the search prints goes to ``search/search.log``.

    Args:
        out (Path): Folder of the quickstart, after :func:`prepare_search`.
        amount (Amount): How much to do.

    Returns:
        Found: What it left behind.

    Raises:
        StepError: If it failed, or no trial was finished.
    """
    folder = out / 'search'
    command = [
        sys.executable, '-c',
        'import sys; from mmvision_ext.ma2ml.cli import main; '
        'sys.exit(main())',
        str(search_config()), '--work-dir', str(folder), '--data-root',
        str(out / 'data-search' / 'imagenet'), '--trials',
        str(amount.trials), '--deterministic', '--cfg-options',
        *amount.options
    ]
    seconds = follow('the search', TITLE, command, folder / _LOG,
                     _read_progress)
    record = _read_record(folder)
    if record.best is None:
        raise StepError('no trial of the search was finished; '
                        f'{folder / _LOG} says why')
    return Found(record, folder, amount, seconds)


def _read_progress(line: str) -> Progress | None:
    match = _PROGRESS.search(line)
    if not match:
        return None
    parts = [f'best {match["best"] or "none yet"}']
    if match['left']:
        parts.append(f'eta {match["left"]}')
    return Progress(int(match['done']), int(match['total']),
                    '  '.join(parts))


def _read_record(folder: Path) -> Record:
    """Read the records of a search of the quickstart's config."""
    import optuna

    from ..ma2ml.report import read_study
    from ..ma2ml.storage import open_storage
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        storage, _ = open_storage(None, folder)
        return read_study(
            optuna.load_study(study_name=_NAME, storage=storage))
