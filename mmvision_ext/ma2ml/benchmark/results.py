"""What came of all runs: a file of records, a table, a plot."""
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from .statistics import mean_interval, sign_flip_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: Numbers of trials at which methods are compared.
BUDGETS = (25, 50, 100, 200, 300)

#: Panels of the plot side by side, at most.
_COLUMNS = 3

Record = dict[str, Any]


class Results:
    """Records of runs, one a line of a JSON Lines file.

    A record holds table, method, seed, trials and warmup of a run and what
    :class:`~.loop.Run` says of it. Runs that are in the file are not run
    again.

    Args:
        path (Path): The file; it is made with the first record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.records: list[Record] = []
        if path.is_file():
            lines = path.read_text('utf-8').splitlines()
            # a run that was killed may have left half a line
            self.records = [json.loads(line) for line in lines
                            if line.endswith('}')]

    def has(self, **key: Any) -> bool:
        """Whether a run is known, by table, method, seed and so on."""
        return any(all(record[name] == value for name, value in key.items())
                   for record in self.records)

    def add(self, record: Record) -> None:
        """Keep a record and write it."""
        record['regrets'] = [round(one, 5) for one in record['regrets']]
        self.records.append(record)
        with self._path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(record) + '\n')

    def tables(self) -> list[str]:
        """Names of tables, in the order of the records."""
        return list(dict.fromkeys(r['table'] for r in self.records))

    def methods(self, table: str) -> list[str]:
        """Names of methods on a table, in the order of the records."""
        return list(dict.fromkeys(
            r['method'] for r in self.records if r['table'] == table))

    def runs(self, table: str, method: str) -> dict[int, Record]:
        """Records of a method on a table, by seed."""
        return {r['seed']: r for r in self.records
                if r['table'] == table and r['method'] == method}


def summarise(results: Results, reference: str) -> list[Record]:
    """Means, intervals and tests of all methods on all tables.

    Args:
        results (Results): The records.
        reference (str): Method that others are tested against.

    Returns:
        list[dict]: For each table and method its runs, what it cost, and at
        each budget (a string, as in JSON) mean regret, ends of its interval,
        and mean difference to the reference with the p of the paired test.
    """
    rows = []
    for table in results.tables():
        for method in results.methods(table):
            runs = results.runs(table, method)
            best = {} if method == reference else results.runs(
                table, reference)
            trials = sum(len(r['regrets']) for r in runs.values())
            seconds = sum(r['seconds'] for r in runs.values())
            rows.append(dict(
                table=table, method=method, runs=len(runs),
                regret={str(budget): _at(runs, best, budget)
                        for budget in BUDGETS
                        if any(len(r['regrets']) >= budget
                               for r in runs.values())},
                repeats=sum(r['repeats'] for r in runs.values()),
                violations=sum(r['violations'] for r in runs.values()),
                milliseconds=round(1e3 * seconds / trials, 2)))
    return rows


def _at(runs: dict[int, Record], best: dict[int, Record],
        budget: int) -> dict[str, float]:
    ours, theirs = ({seed: record['regrets'][budget - 1]
                     for seed, record in one.items()
                     if len(record['regrets']) >= budget}
                    for one in (best, runs))
    mean, low, high = mean_interval(np.array(list(theirs.values())))
    cell = dict(mean=round(mean, 4), low=round(low, 4), high=round(high, 4))
    pairs = np.array([theirs[seed] - ours[seed]
                      for seed in theirs if seed in ours])
    if len(pairs) > 1:
        cell.update(more=round(float(pairs.mean()), 4),
                    p=round(sign_flip_p(pairs), 4))
    return cell


def markdown(rows: Sequence[Record]) -> str:
    """Tables for reading.

    Args:
        rows (Sequence[dict]): As :func:`summarise` gives them.

    Returns:
        str: For each table of results one in Markdown.
    """
    parts = []
    for table in dict.fromkeys(row['table'] for row in rows):
        own = [row for row in rows if row['table'] == table]
        budgets = [str(one) for one in BUDGETS
                   if any(str(one) in row['regret'] for row in own)]
        lines = [
            f'### {table}', '',
            f'| method | runs | {" | ".join(budgets)} | repeated | over limit '
            '| ms a trial |', '|---' * (5 + len(budgets)) + '|'
        ]
        lines += [
            f'| {row["method"]} | {row["runs"]} '
            + ''.join(f'| {_cell(row["regret"].get(one))} '
                      for one in budgets)
            + f'| {row["repeats"]} | {row["violations"]} '
            f'| {row["milliseconds"]:.1f} |' for row in own]
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts)


def _cell(found: Optional[dict[str, float]]) -> str:
    if found is None:
        return '–'
    text = f'{found["mean"]:.3f} [{found["low"]:.3f}, {found["high"]:.3f}]'
    if 'p' not in found:
        return text
    sign = '+' if found['more'] > 0 else '−' if found['more'] < 0 else '='
    p = f'{found["p"]:.3f}' if found['p'] >= 0.001 else '<.001'
    return f'{text} {sign} p {p}'


def plot(results: Results, methods: Sequence[str], path: Path) -> None:
    """Draw mean regret over trials with standard errors, a panel a table.

    Args:
        results (Results): The records.
        methods (Sequence[str]): Which ones, in the order of their colours.
        path (Path): ``.png`` or ``.svg``.
    """
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    # the same records give the same file
    matplotlib.rcParams['svg.hashsalt'] = 'ma2ml'
    tables = results.tables()
    rows = math.ceil(len(tables) / _COLUMNS)
    columns = min(len(tables), _COLUMNS)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4.2 * columns, 3.4 * rows + 0.6),
        squeeze=False, layout='constrained')
    lines: dict[str, Any] = {}
    for axis, table in zip(axes.flat, tables):
        lines.update(_panel(axis, results, methods, table))
    for axis in list(axes.flat)[len(tables):]:
        axis.remove()
    figure.supylabel('mean regret of the incumbent', fontsize=10)
    names = [name for name in methods if name in lines]
    figure.legend([lines[name] for name in names], names, fontsize=8,
                  ncols=len(names), loc='outside lower center')
    metadata = dict(Date=None) if path.suffix == '.svg' else None
    figure.savefig(path, dpi=110, metadata=metadata)
    pyplot.close(figure)


def _panel(axis: 'Axes', results: Results, methods: Sequence[str],
           table: str) -> dict[str, 'Line2D']:
    """Draw one table; its lines by method."""
    import matplotlib
    colours = matplotlib.colormaps['tab10'].colors
    lines, lowest = {}, math.inf
    for colour, method in zip(colours, methods):
        runs = results.runs(table, method)
        if not runs:
            continue
        curves = np.array([r['regrets'] for r in runs.values()])
        mean = curves.mean(0)
        error = curves.std(0) / len(curves)**0.5
        trials = np.arange(1, len(mean) + 1)
        lines[method], = axis.plot(trials, mean, color=colour, lw=1.4)
        axis.fill_between(trials, mean - error, mean + error,
                          color=colour, alpha=0.15, lw=0)
        lowest = min([lowest, *mean[mean > 0]])
    axis.set(title=table, xlabel='trials', yscale='log')
    if math.isfinite(lowest):
        axis.set_ylim(bottom=lowest / 2)
    axis.grid(alpha=0.3)
    return lines
