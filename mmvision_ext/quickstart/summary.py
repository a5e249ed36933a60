"""The final table, for the terminal and for the page."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .predictions import Predictions
from .tasks import Task
from .training import Record


@dataclass
class Result:
    """A training and what its network says about some images.

    Args:
        record (Record): The training.
        predictions (Predictions): What its network says.
        images (tuple[int, ...]): Images for training and, if there is one,
            for validation.
    """
    record: Record
    predictions: Predictions
    images: tuple[int, ...]


HEADER = ('task', 'images', 'parameters', 'iterations', 'time',
          'before → after')


def figure(task: Task, value: float) -> str:
    """A metric for people: a share in percent, a loss as it is.

    Args:
        task (Task): Whose metric it is.
        value (float): Its value.

    Returns:
        str: The figure.
    """
    return percent(value) if task.validated else f'{value:.2f}'


def percent(value: float) -> str:
    """A share of 1 in percent, one decimal."""
    return f'{100 * value:.1f} %'


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, 1:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes}:{rest:02d}'


def cells(result: Result) -> list[str]:
    """The cells of a result but for the metrics.

    Args:
        result (Result): The result.

    Returns:
        list[str]: Task, images, parameters, iterations, time.
    """
    record = result.record
    return [
        record.task.title,
        ' + '.join(map(str, result.images)),
        f'{result.predictions.params / 1e6:.2f} M',
        str(record.steps[-1]),
        clock(record.seconds),
    ]


def text_table(results: Sequence[Result]) -> str:
    """The table for the terminal, a line a metric.

    Args:
        results (Sequence[Result]): The results.

    Returns:
        str: The table, without a final line break.
    """
    rows = [list(HEADER)]
    for result in results:
        record = result.record
        first = cells(result)
        for name in record.before:
            change = (f'{name} {figure(record.task, record.before[name])} → '
                      f'{figure(record.task, record.after[name])}')
            rows.append([*first, change])
            first = [''] * len(first)
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    lines = ['  '.join(f'{cell:<{width}}' for cell, width in zip(row, widths))
             .rstrip() for row in rows]
    return '\n'.join([lines[0], '-' * max(map(len, lines)), *lines[1:]])
