"""``curves``: the curves of one or several trainings from their logs."""
from __future__ import annotations

import json
import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.errors import LaunchError
from .colours import SAFE
from .figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Numbers of a row that say where or when it was logged.
_NOT_CURVES = ('step', 'iter', 'epoch', 'time', 'data_time', 'memory',
               'eta', 'exp_name', 'mode')
_DASHES = ('-', '--', ':', '-.')
_ACROSS = 3

Series = tuple[np.ndarray, np.ndarray]


def find_log(place: str) -> Path:
    """The log of a run.

    Args:
        place (str): A file, or a work directory; of several runs in it the
            last.

    Returns:
        Path: ``scalars.json`` of mmengine, or an older ``*.log.json``.

    Raises:
        LaunchError: If there is none.
    """
    path = Path(place)
    if path.is_file():
        return path
    if not path.is_dir():
        raise LaunchError(f'log {place} does not exist')
    for pattern in ('vis_data/scalars.json', '*/vis_data/scalars.json',
                    'scalars.json', '*.log.json'):
        found = sorted(path.glob(pattern))
        if found:
            return found[-1]
    raise LaunchError(f'{place} holds no log: expected '
                      'DATE/vis_data/scalars.json or *.log.json, which a '
                      'training writes')


def read_log(path: Path) -> dict[str, Series]:
    """Read the curves of a log.

    Args:
        path (Path): One JSON object a line. A last line that is cut off, as
            a running or killed training leaves it, is passed over.

    Returns:
        dict[str, tuple[np.ndarray, np.ndarray]]: Steps and values of each
        number logged. A step is what the log calls ``step``; in older logs
        the epochs done, a fraction within one.

    Raises:
        LaunchError: If a line is no JSON, or there is no number.
    """
    rows = _read_rows(path)
    lengths: dict[Any, int] = {}
    for row in rows:
        if 'iter' in row and row.get('mode') != 'val':
            epoch = row.get('epoch')
            lengths[epoch] = max(lengths.get(epoch, 1), row['iter'])
    longest = max(lengths.values(), default=1)
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        step = _place(row, longest)
        for key, value in row.items():
            if key in _NOT_CURVES or isinstance(value, bool) or \
                    not isinstance(value, (int, float)) or step is None:
                continue
            points.setdefault(key, []).append((step, float(value)))
    if not points:
        raise LaunchError(f'log {path} has no numbers yet')
    # (N, 2) -> steps and values, (N, ) each
    return {key: tuple(np.array(own).T) for key, own in points.items()}


def _read_rows(path: Path) -> list[dict]:
    lines = path.read_text('utf-8', 'replace').splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines) and rows:
                break
            raise LaunchError(
                f'log {path}, line {number}: expected a JSON object, as in '
                'vis_data/scalars.json') from None
        if not isinstance(row, dict):
            raise LaunchError(f'log {path}, line {number}: expected a JSON '
                              f'object, found {line[:40]!r}')
        rows.append(row)
    return rows


def _place(row: dict, longest: int) -> float | None:
    """Where a row stands on the axis."""
    if 'step' in row:
        return float(row['step'])
    if 'epoch' not in row:
        return float(row['iter']) if 'iter' in row else None
    if row.get('mode') == 'val':  # its iter counts validation images
        return float(row['epoch'])
    return row['epoch'] - 1 + row.get('iter', longest) / longest


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average without the pull of its start.

    Args:
        values (np.ndarray): Shape (N, ). What is not finite is passed over
            and stays as it is.
        weight (float): Of what came before, 0 (no smoothing) to below 1.

    Returns:
        np.ndarray: Shape (N, ).
    """
    result = np.array(values, float)
    mean, total = 0., 0.
    for i, value in enumerate(values):
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            total = weight * total + (1 - weight)
            result[i] = mean / total
    return result


def choose_keys(runs: Sequence[dict[str, Series]],
                patterns: Sequence[str]) -> list[str]:
    """Which curves to draw.

    Args:
        runs (Sequence[dict]): Of each run its curves.
        patterns (Sequence[str]): Names with ``*`` and ``?``. Empty for the
            loss and all metrics of validation; where there is neither,
            everything.

    Returns:
        list[str]: Names, each in at least one run.

    Raises:
        LaunchError: If a pattern fits none.
    """
    names = list(dict.fromkeys(key for run in runs for key in run))
    if patterns:
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise LaunchError(f'--keys {pattern}: the logs have '
                                  f'{", ".join(names)}')
        # As asked for, each once.
        return list(dict.fromkeys(
            name for pattern in patterns for name in names
            if fnmatchcase(name, pattern)))
    # Metrics are logged with a prefix, or seldom.
    most = max(len(run[key][0]) for run in runs for key in run)
    metrics = [
        key for key in names if '/' in key or max(
            len(run[key][0]) for run in runs if key in run) <= most / 4]
    # COCO's -1 means that there is nothing of that size.
    metrics = [key for key in metrics if key != 'loss' and any(
        (run[key][1] != -1).any() for run in runs if key in run)]
    return [key for key in names if key == 'loss'] + metrics or names


def curves_picture(places: Sequence[str],
                   patterns: Sequence[str] = (),
                   weight: float = 0.6,
                   names: Sequence[str] = (),
                   log_scale: bool = False) -> tuple[Figure, list[str]]:
    """Curves of several runs together, a panel a number.

    Args:
        places (Sequence[str]): Logs or work directories.
        patterns (Sequence[str]): See :func:`choose_keys`.
        weight (float): Of the smoothing, see :func:`smooth`. Defaults to
            0.6.
        names (Sequence[str]): A name a run. Defaults to those of the
            folders.
        log_scale (bool): Whether losses have a logarithmic axis. Defaults to
            False.

    Returns:
        tuple[Figure, list[str]]: The picture, and a line a run with its last
        values.

    Raises:
        LaunchError: If a log is missing or empty, a key unknown, or a value
            out of range.
    """
    if not 0 <= weight < 1:
        raise LaunchError(f'--smooth {weight:g}: expected 0 (none) to below '
                          '1')
    if names and len(names) != len(places):
        raise LaunchError(f'--names has {len(names)} names for {len(places)} '
                          'runs; expected one each')
    logs = [find_log(place) for place in places]
    runs = [read_log(log) for log in logs]
    labels = list(names) or _labels(places, logs)
    keys = choose_keys(runs, patterns)
    columns = min(_ACROSS, len(keys))
    rows = -(-len(keys) // columns)
    figure = new_figure(
        rows * (0.62 if columns == 1 else 0.78 / columns), 'Training curves',
        f'Thin: as logged; thick: moving average with weight {weight:g}. '
        'Dots: fewer than 20 values, as logged.' if weight else '')
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(keys):]:
        axis.set_axis_off()
    for axis, key in zip(axes.flat, keys):
        for i, run in enumerate(runs):
            if key in run:
                _line(axis, run[key], i, labels[i], weight)
        axis.set_title(key, fontsize=11)
        axis.set_xlabel('step', fontsize=9)
        if log_scale and 'loss' in key:
            axis.set_yscale('log')
        axis.grid(color='#dddddd', linewidth=0.7)
        axis.spines[['top', 'right']].set_visible(False)
        axis.tick_params(labelsize=9)
    if len(runs) > 1:
        _legend(figure, labels)
    return figure, [_last(label, run, keys)
                    for label, run in zip(labels, runs)]


def _line(axis: Axes, series: Series, number: int, label: str,
          weight: float) -> None:
    steps, values = series
    look = dict(color=SAFE[number % len(SAFE)],
                linestyle=_DASHES[number // len(SAFE) % len(_DASHES)])
    if len(values) < 20:
        axis.plot(steps, values, marker='o', ms=4, lw=1.6, label=label,
                  **look)
        return
    if weight:
        axis.plot(steps, values, lw=0.8, alpha=0.35, **look)
    axis.plot(steps, smooth(values, weight), lw=1.8, label=label, **look)


def _legend(figure: Figure, labels: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    handles = [
        Line2D([], [], color=SAFE[i % len(SAFE)], lw=2,
               ls=_DASHES[i // len(SAFE) % len(_DASHES)], label=label)
        for i, label in enumerate(labels)]
    figure.legend(handles=handles, loc='outside upper right', frameon=False,
                  ncols=min(4, len(labels)), fontsize=9)


def _labels(places: Sequence[str], logs: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    parts = [Path(place).resolve().parts if Path(place).is_dir()
             else log.resolve().parts for place, log in zip(places, logs)]
    for length in range(1, max(map(len, parts)) + 1):
        found = ['/'.join(part[-length:]) for part in parts]
        if len(set(found)) == len(found):
            return found
    return [f'{name} ({i})' for i, name in enumerate(found, 1)]


def _last(label: str, run: dict[str, Series], keys: Sequence[str]) -> str:
    values = ', '.join(f'{key} {run[key][1][-1]:.4g}'
                       for key in keys if key in run)
    return f'{label}: {values}'
