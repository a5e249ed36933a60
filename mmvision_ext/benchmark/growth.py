"""How time and memory grow with the image, the batch or the trials."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

#: What is fitted.
QUANTITIES = ('seconds', 'cpu_seconds', 'peak_bytes', 'resident_step_bytes',
              'traffic_bytes')
_SETTING = ('model', 'mode', 'device', 'device_name', 'dtype', 'compile',
            'with_cp', 'threads')


def fit_exponent(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """The exponent a of ``y = c x^a``, by least squares of the logarithms.

    Args:
        xs (Sequence[float]): At least two different values above 0.
        ys (Sequence[float]): As many values.

    Returns:
        float | None: The exponent; None if a value is not above 0, or there
        are not two different ``xs``.
    """
    if len(set(xs)) < 2 or min(*xs, *ys) <= 0:
        return None
    logs = [(math.log(x), math.log(y)) for x, y in zip(xs, ys)]
    mean_x, mean_y = (sum(axis) / len(logs) for axis in zip(*logs))
    return (sum((x - mean_x) * (y - mean_y) for x, y in logs) /
            sum((x - mean_x)**2 for x, _ in logs))


def find_growth(rows: Sequence[Row]) -> list[Row]:
    """Exponents of all series of rows that differ in one thing alone.

    Args:
        rows (Sequence[Row]): Of the report; failed ones are passed over.

    Returns:
        list[Row]: For each series the common setting, ``over`` ('pixels',
        'batch' or 'trials'), ``fixed`` (the size or batch of all, in words),
        ``first``, ``last`` and ``points``, and the exponent of each of
        :data:`QUANTITIES`, None where it is not known in all points. The
        tokens of a network are proportional to the pixels and have the same
        exponent; that of the side of the image is twice as large.
    """
    series: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        if row['status'] != 'ok':
            continue
        setting = tuple(row[name] for name in _SETTING)
        if row['mode'] == 'search':
            series[setting, 'trials', ''].append(row)
            continue
        size = f'{row["height"]}x{row["width"]}'
        series[setting, 'pixels', f'batch {row["batch"]}'].append(row)
        series[setting, 'batch', size].append(row)
    found = []
    for (setting, over, fixed), own in series.items():
        own = sorted(own, key=lambda row: _measure(row, over))
        xs = [_measure(row, over) for row in own]
        if len(set(xs)) > 1:
            found.append({
                **dict(zip(_SETTING, setting)), 'over': over, 'fixed': fixed,
                'first': _name(own[0], over), 'last': _name(own[-1], over),
                'points': len(own),
                **{name: _fit(xs, own, name) for name in QUANTITIES}
            })
    return found


def _measure(row: Row, over: str) -> int:
    return row['height'] * row['width'] if over == 'pixels' else row[over]


def _name(row: Row, over: str) -> str:
    return f'{row["height"]}x{row["width"]}' if over == 'pixels' else \
        str(row[over])


def _fit(xs: Sequence[float], rows: Sequence[Row], name: str
         ) -> float | None:
    ys = [row.get(name) for row in rows]
    return None if None in ys else fit_exponent(xs, ys)
