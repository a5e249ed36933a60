"""Logic of ``tools/ma2ml_proxy.py``: how well a proxy ranks candidates."""
import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..engine.errors import LaunchError
from ..engine.options import CfgOptions, OneLineParser
from .cost import ConfigCost
from .errors import SearchError
from .evaluators import build_evaluator
from .evaluators.proxy import full_search
from .executors import Executor, Job, build_executor
from .finish import run_jobs
from .proposals import trial_seed
from .spec import SearchSpec, candidate_config, read_search
from .trial_files import TrialFolder, write_json

_PROG = 'ma2ml_proxy.py'
_KINDS = ('proxy', 'full')
_UNIFORM_TRIES = 300
#: Resamples of the interval.
_RESAMPLES = 500


def proxy_parser() -> argparse.ArgumentParser:
    """Parser of ``tools/ma2ml_proxy.py``."""
    parser = OneLineParser(
        prog=_PROG,
        description='Train some candidates of a search by its proxy and in '
        'full, and tell how well the proxy ranks them')
    parser.add_argument('config', help='config of a search with a proxy')
    parser.add_argument('--candidates', type=int, default=12,
                        help='how many, at random (default 12)')
    parser.add_argument('--work-dir', help='default: ./work_dirs/'
                        'NAME_OF_CONFIG_proxy; a later call goes on there')
    parser.add_argument('--workers', type=int, help='trainings at once')
    parser.add_argument('--executor', choices=('local', 'ray', 'slurm'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--data-root', help='where the data is')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions,
                        default={}, metavar='KEY=VALUE',
                        help='as in tools/ma2ml_search.py')
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measure a proxy.

    Args:
        argv (Sequence[str], optional): Command line, see ``--help``.
            Default: that of the process.

    Returns:
        int: Exit status: 0, 2 after a mistake, 1 if too few candidates
        could be trained in both ways.
    """
    args = proxy_parser().parse_args(argv)
    try:
        spec = _read(args)
        folder = Path(args.work_dir or
                      f'./work_dirs/{Path(args.config).stem}_proxy')
        settings = dict(spec.executor)
        executor = build_executor(settings.pop('type', 'local'),
                                  spec.workers, **settings)
        try:
            rows = measure(spec, executor, folder, args.candidates,
                           args.seed)
        finally:
            executor.close()
    except LaunchError as error:
        print(f'{_PROG}: {error}', file=sys.stderr)
        return 2
    return _show(rows, spec, folder)


def _read(args: argparse.Namespace) -> SearchSpec:
    options = dict(args.cfg_options)
    own: dict[str, Any] = {
        key[len('search.'):]: options.pop(key)
        for key in list(options) if key.startswith('search.')}
    if args.workers:
        own['workers'] = args.workers
    if args.executor:
        own['executor.type'] = args.executor
    spec = read_search(args.config, own)
    if spec.evaluator.get('type') != 'proxy':
        raise SearchError(f'{args.config}: search.evaluator is '
                          f'{spec.evaluator.get("type")!r}, expected '
                          "'proxy': there is nothing to compare")
    if args.candidates < 3:
        raise SearchError(f'--candidates {args.candidates}: expected at '
                          'least 3, a dozen to say anything')
    spec.load_base(args.data_root, options)
    return spec


def measure(spec: SearchSpec, executor: Executor, work_dir: Path,
            candidates: int, seed: int = 0) -> list[dict[str, Any]]:
    """Train candidates in both ways, each with the same seed in both.

    Args:
        spec (SearchSpec): A search with a proxy, its base config read.
        executor (Executor): Runs the trainings.
        work_dir (Path): Folder for them; results that are there count.
        candidates (int): How many.
        seed (int): Which. Defaults to 0.

    Returns:
        list[dict[str, Any]]: For each candidate its choices, and 'proxy' and
        'full': a dict with value and seconds, or with the failure.
    """
    evaluators = dict(proxy=build_evaluator(spec.evaluator),
                      full=build_evaluator(full_search(spec)))
    evaluators['proxy'].check(spec)
    drawn = _draw(spec, candidates, seed)
    jobs, folders = [], {}
    for index, values in enumerate(drawn):
        for place, kind in enumerate(_KINDS):
            number = index * len(_KINDS) + place
            folder = TrialFolder(work_dir / f'{index:03d}_{kind}')
            candidate = dict(values=values, metric=spec.metric,
                             seed=trial_seed(seed, index, 3))
            if not (folder.holds(candidate) and folder.result()):
                folder.open(candidate)
            folders[index, kind] = number, folder
            jobs.append(_job(evaluators[kind], spec, values, number,
                             candidate['seed'], folder))
    failed = run_jobs(executor, jobs)
    rows = []
    for index, values in enumerate(drawn):
        row: dict[str, Any] = dict(choices=values)
        for kind in _KINDS:
            number, folder = folders[index, kind]
            row[kind] = dict(failure=failed[number]) if number in failed \
                else {key: folder.result()[key]
                      for key in ('value', 'seconds')}
        rows.append(row)
    write_json(work_dir / 'proxy.json', rows)
    return rows


def _job(evaluator: Any, spec: SearchSpec, values: dict[str, Any],
         number: int, seed: int, folder: TrialFolder) -> Job:
    return replace(evaluator.job(spec, values, number, seed, folder),
                   timeout=None)


def _draw(spec: SearchSpec, number: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    cost = ConfigCost(spec.flops_input, spec.flops_limit)
    found: dict[tuple, dict[str, Any]] = {}
    for _ in range(_UNIFORM_TRIES + number):
        values = spec.space.sample(rng)
        code = spec.space.encode(values)
        if code in found:
            continue
        if spec.flops_limit is None or cost(candidate_config(
                spec, values)).flops <= spec.flops_limit:
            found[code] = values
        if len(found) == number:
            return list(found.values())
    raise SearchError(f'only {len(found)} different candidates within the '
                      f'limit were found, expected {number}')


def correlations(proxy: Sequence[float], full: Sequence[float],
                 seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Rank correlations with their uncertainty.

    Args:
        proxy (Sequence[float]): Values by the proxy.
        full (Sequence[float]): Values in full, of the same candidates.
        seed (int): Of the resampling. Defaults to 0.

    Returns:
        dict[str, tuple]: 'spearman' and 'kendall', each with the ends of a
        95 % interval (percentiles over resampled candidates); nan where all
        values are equal.
    """
    from scipy.stats import kendalltau, rankdata
    pairs = np.stack([np.asarray(proxy, float), np.asarray(full, float)])

    def spearman(x: np.ndarray, y: np.ndarray) -> float:
        return _pearson(rankdata(x), rankdata(y))

    def kendall(x: np.ndarray, y: np.ndarray) -> float:
        return float(kendalltau(x, y).statistic)

    rng = np.random.default_rng(seed)
    size = pairs.shape[1]
    picks = rng.integers(size, size=(_RESAMPLES, size))
    found = {}
    for name, measure_of in (('spearman', spearman), ('kendall', kendall)):
        draws = np.array([measure_of(*pairs[:, pick]) for pick in picks])
        draws = draws[np.isfinite(draws)]
        ends = np.percentile(draws, [2.5, 97.5]) if draws.size else \
            (np.nan, np.nan)
        found[name] = (measure_of(*pairs), float(ends[0]), float(ends[1]))
    return found


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    if x.std() == 0 or y.std() == 0:
        return float('nan')
    return float(np.corrcoef(x, y)[0, 1])


def _show(rows: list[dict[str, Any]], spec: SearchSpec,
          folder: Path) -> int:
    both = [row for row in rows
            if not any('failure' in row[kind] for kind in _KINDS)]
    for index, row in enumerate(rows):
        shown = [f'{kind} failed: {row[kind]["failure"]}'
                 if 'failure' in row[kind] else
                 f'{kind} {row[kind]["value"]:.5g} '
                 f'({row[kind]["seconds"]:.0f} s)' for kind in _KINDS]
        print(f'candidate {index}: {", ".join(shown)}')
    print(f'all of it: {folder / "proxy.json"}')
    if len(both) < 3:
        print(f'{_PROG}: {len(both)} candidates were trained in both ways, '
              f'too few to compare; their logs are in {folder}',
              file=sys.stderr)
        return 1
    proxy, full = ([row[kind]['value'] for row in both] for kind in _KINDS)
    for name, (value, low, high) in correlations(proxy, full).items():
        print(f'{name} {value:.2f} (95 % interval {low:.2f} to {high:.2f}, '
              f'{len(both)} candidates)')
    times = [sum(row[kind]['seconds'] for row in both) for kind in _KINDS]
    sign = 1 if spec.direction == 'maximize' else -1
    chosen = full[int(np.argmax(sign * np.array(proxy)))]
    best = sign * max(sign * np.array(full))
    print(f'cost of the proxy: {times[0] / times[1]:.2f} of the full '
          f'training; its first choice has {spec.metric} {chosen:.5g} in '
          f'full, the best {best:.5g}')
    return 0
