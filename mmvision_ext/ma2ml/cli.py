"""Logic of ``tools/ma2ml_search.py``."""
import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Optional

from ..engine.errors import LaunchError
from ..engine.options import CfgOptions, OneLineParser
from .errors import SearchError

_PROG = 'ma2ml_search.py'


def search_parser() -> argparse.ArgumentParser:
    """Parser of ``tools/ma2ml_search.py``."""
    parser = OneLineParser(
        prog=_PROG,
        description='Search augmentation, architecture and recipe of a '
        'pipeline with MA2ML, or with another sampler')
    parser.add_argument('config', help='config with a dict search')
    parser.add_argument(
        '--work-dir', help='where records and trials go; default: '
        './work_dirs/NAME_OF_CONFIG')
    parser.add_argument(
        '--resume', action='store_true',
        help='go on with the study that is there, or join those who work on '
        'it')
    parser.add_argument('--trials', type=int, help='how many trials in all')
    parser.add_argument(
        '--timeout', type=float, metavar='SECONDS',
        help='end after so long; trials that run then go on with --resume')
    parser.add_argument('--workers', type=int, help='trials at once')
    parser.add_argument('--executor', choices=('local', 'ray', 'slurm'),
                        help='where trials run')
    parser.add_argument(
        '--storage', metavar='URL',
        help='where the records are kept: any URL of Optuna, or grpc://'
        'HOST:PORT; default: a journal in the work directory')
    parser.add_argument('--study', help='name of the study; default: that '
                        'of the config')
    parser.add_argument('--seed', type=int, help='seed of all choices')
    parser.add_argument(
        '--sampler', metavar='NAME[:PRESET]',
        help='ma2ml (with a preset: ma2ml:lite), random, tpe, gp, nsgaii, '
        'evolution or cmaes')
    parser.add_argument(
        '--flops-limit', type=float, metavar='MULTIPLY-ADDS',
        help='most that a candidate may cost, e.g. 600e6')
    parser.add_argument(
        '--deterministic', action='store_true', default=None,
        help='the same candidates for any number of runs of one seed, also '
        'with several workers')
    parser.add_argument(
        '--retrain', type=int, metavar='TOP',
        help='train so many of the best candidates in full at the end')
    parser.add_argument(
        '--dry-run', action='store_true',
        help='check everything, show the space and some candidates, run '
        'nothing')
    parser.add_argument('--data-root',
                        help='where the data is, as in tools/train.py')
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, default={},
        metavar='KEY=VALUE',
        help='settings to change in the base config, or, beginning with '
        'search., in the search')
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Search.

    Args:
        argv (Sequence[str], optional): Command line, see ``--help``.
            Default: that of the process.

    Returns:
        int: Exit status: 0, 2 after a mistake in command line or config, 1
        if the search had to end, 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    args = search_parser().parse_args(given)
    resume = ('To go on: python tools/ma2ml_search.py '
              + shlex.join([*given, *([] if args.resume else ['--resume'])]))
    try:
        return _Session(args, resume).run()
    except LaunchError as error:
        print(f'{_PROG}: {error}', file=sys.stderr)
        return 2


class _Session:
    """One call of the tool."""

    def __init__(self, args: argparse.Namespace, resume: str) -> None:
        from .spec import read_search
        self.args = args
        self.resume = resume
        self.work_dir = Path(args.work_dir or
                             f'./work_dirs/{Path(args.config).stem}')
        options = dict(args.cfg_options)
        own = {key[len('search.'):]: options.pop(key)
               for key in list(options) if key.startswith('search.')}
        self.spec = read_search(args.config, {**own, **_settings(args)})
        self.spec.load_base(args.data_root, options)

    def run(self) -> int:
        from .evaluators import build_evaluator
        self.evaluator = build_evaluator(self.spec.evaluator)
        self.evaluator.check(self.spec)
        if self.args.dry_run:
            from .preview import preview
            preview(self.spec, self.evaluator)
            return 0
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self._open()
        status = self._search()
        self._report()
        if status == 0 and self.spec.retrain:
            self._retrain()
        return status

    def _open(self) -> None:
        from .progress import Display
        from .storage import JOURNAL, open_storage
        from .studies import open_study
        place = self.args.storage or str(self.work_dir / JOURNAL)
        self.storage, lines = open_storage(self.args.storage, self.work_dir)
        for line in lines:
            print(line)
        name = self.args.study or Path(self.args.config).stem
        spec = self.spec
        self.study = open_study(
            spec, self.storage, name, self.args.resume, place)
        self.display = Display(spec.trials, spec.metric,
                               spec.direction == 'maximize', spec.workers,
                               spec.timeout)
        print(f'study {name} in {place}; sampler '
              f'{spec.sampler.get("name", "ma2ml")}, '
              f'{spec.trials} trials, {spec.workers} at once')

    def _search(self) -> int:
        from optuna.exceptions import StorageInternalError

        from .search import Search
        search = Search(self.spec, self.study, self.storage, self.evaluator,
                        self._executor(), self.work_dir, self.display)
        self.display.load(self.study)
        try:
            with on_signals(lambda: setattr(search, 'interrupted', True)):
                search.run()
        except (OSError, StorageInternalError, SearchError) as error:
            self.display.close()
            print(f'{_PROG}: {explain(error)}\n{self.resume}',
                  file=sys.stderr)
            return 1
        self.display.close()
        if search.interrupted:
            print('stopped; every finished trial is recorded, and those that '
                  f'ran begin again.\n{self.resume}')
            return 130
        return 0

    def _executor(self) -> Any:
        from .executors import build_executor
        settings = dict(self.spec.executor)
        name = settings.pop('type', 'local')
        if name == 'slurm':
            settings.setdefault('folder', str(self.work_dir / 'submitit'))
        return build_executor(name, self.spec.workers, **settings)

    def _report(self) -> None:
        from .finish import write_results
        try:
            written = write_results(self.spec, self.study, self.work_dir)
        except OSError as error:
            print(f'{_PROG}: the results cannot be written: '
                  f'{explain(error)}', file=sys.stderr)
            return
        print(self.display.summary())
        for what, path in written.items():
            print(f'{what}: {path}')
        if 'best' in written:
            print(f'train it: python tools/train.py {written["best"]}')

    def _retrain(self) -> None:
        from .evaluators import build_evaluator
        from .evaluators.proxy import full_search
        from .finish import retrain
        evaluator = build_evaluator(
            {**full_search(self.spec), 'checkpoints': True})
        executor = self._executor()
        print('training the best candidates in full')
        try:
            rows = retrain(self.spec, self.study, evaluator, executor,
                           self.work_dir)
        finally:
            executor.close()
        for row in rows:
            reached = 'failed: ' + '; '.join(row['failures']) \
                if row['mean'] is None else \
                f'{row["mean"]:.5g}' + (
                    '' if row['sd'] is None else f' +- {row["sd"]:.2g}')
            print(f'trial {row["trial"]}: {self.spec.metric} {reached} '
                  f'({len(row["values"])} seeds; in the search '
                  f'{row["search_value"]:.5g})')


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Keys of the search that options of the command line set."""
    settings: dict[str, Any] = {
        name: getattr(args, name) for name in
        ('trials', 'timeout', 'workers', 'seed', 'flops_limit',
         'deterministic') if getattr(args, name) is not None}
    if args.executor:
        settings['executor.type'] = args.executor
    if args.sampler:
        name, _, preset = args.sampler.partition(':')
        settings['sampler'] = dict(
            name=name, **(dict(preset=preset) if preset else {}))
    if args.retrain:
        settings['retrain.top'] = args.retrain
    return settings


def explain(error: Exception) -> str:
    """One line about what ended a search, and what to do.

    Args:
        error (Exception): What was raised.

    Returns:
        str: The line.
    """
    from .failures import classify_error
    text = str(error).strip().partition('\n')[0]
    if isinstance(error, SearchError):
        full = text.endswith('the disk is full')
    else:
        full = classify_error(error).full_disk
    if full:
        return (f'{text}: free some space; every trial that was recorded is '
                'kept')
    if isinstance(error, OSError):
        return text
    if isinstance(error, SearchError):
        return text
    return f'the storage does not answer: {text}'


class on_signals:  # noqa: N801
    """On Ctrl-C or SIGTERM, ask for the end; on a second one, insist.

    Args:
        ask (Callable): Asks for the end in order.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: Optional[FrameType]) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        # Not print(): a signal may have come in the middle of one.
        os.write(2, b'\nstopping; once more to stop at once\n')
        self._ask()
