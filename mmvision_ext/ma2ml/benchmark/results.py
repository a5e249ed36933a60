"""What came of all runs: a file of records, a table, a plot."""
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .statistics import mean_interval, sign_flip_p

#: Numbers of trials at which methods are compared.
BUDGETS = (25, 50, 100, 200, 300)

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


def markdown(results: Results, reference: str) -> str:
    """Tables of the regrets.

    Args:
        results (Results): The records.
        reference (str): Method that others are tested against.

    Returns:
        str: For each table of results one in Markdown.
    """
    return '\n\n'.join(_markdown_of(results, table, reference)
                       for table in results.tables())


def _markdown_of(results: Results, table: str, reference: str) -> str:
    longest = max(len(r['regrets']) for r in results.records
                  if r['table'] == table)
    budgets = [budget for budget in BUDGETS if budget <= longest]
    lines = [
        f'### {table}', '',
        '| method | runs | ' + ' | '.join(map(str, budgets))
        + ' | repeated | over limit | ms a trial |',
        '|---' * (5 + len(budgets)) + '|'
    ]
    best = results.runs(table, reference)
    for method in results.methods(table):
        runs = results.runs(table, method)
        cells = [_cell(runs, best, budget, method == reference)
                 for budget in budgets]
        trials = sum(len(r['regrets']) for r in runs.values())
        lines.append(
            f'| {method} | {len(runs)} | {" | ".join(cells)} '
            f'| {sum(r["repeats"] for r in runs.values())} '
            f'| {sum(r["violations"] for r in runs.values())} '
            f'| {1e3 * sum(r["seconds"] for r in runs.values()) / trials:.1f}'
            ' |')
    return '\n'.join(lines)


def _cell(runs: dict[int, Record], best: dict[int, Record], budget: int,
          is_reference: bool) -> str:
    values = np.array([r['regrets'][budget - 1] for r in runs.values()
                       if len(r['regrets']) >= budget])
    if not len(values):
        return '–'
    mean, low, high = mean_interval(values)
    text = f'{mean:.3f} [{low:.3f}, {high:.3f}]'
    pairs = [seed for seed in runs if seed in best
             and min(len(runs[seed]['regrets']),
                     len(best[seed]['regrets'])) >= budget]
    if is_reference or len(pairs) < 2:
        return text
    differences = np.array([
        runs[seed]['regrets'][budget - 1] - best[seed]['regrets'][budget - 1]
        for seed in pairs])
    p = sign_flip_p(differences)
    sign = '+' if differences.mean() > 0 else '−'
    return f'{text} {sign} p {p:.3f}' if p >= 0.001 else \
        f'{text} {sign} p <.001'


def plot(results: Results, methods: Sequence[str], path: Path) -> None:
    """Draw mean regret over trials, one panel a table.

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
    figure, axes = pyplot.subplots(
        1, len(tables), figsize=(4.2 * len(tables), 3.6), squeeze=False)
    colours = matplotlib.colormaps['tab10'].colors
    for axis, table in zip(axes[0], tables):
        for colour, method in zip(colours, methods):
            runs = results.runs(table, method)
            if not runs:
                continue
            curves = np.array([r['regrets'] for r in runs.values()])
            mean = curves.mean(0)
            error = curves.std(0) / len(curves)**0.5
            trials = np.arange(1, len(mean) + 1)
            axis.plot(trials, mean, label=method, color=colour, lw=1.4)
            axis.fill_between(trials, mean - error, mean + error,
                              color=colour, alpha=0.15, lw=0)
        axis.set(title=table, xlabel='trials', yscale='log')
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel('mean regret of the incumbent')
    axes[0, -1].legend(fontsize=7)
    figure.tight_layout()
    metadata = dict(Date=None) if path.suffix == '.svg' else None
    figure.savefig(path, dpi=110, metadata=metadata)
    pyplot.close(figure)
