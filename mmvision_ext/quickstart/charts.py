"""Line charts as SVG that follows the colours of the page."""
from __future__ import annotations

import math
from collections.abc import Sequence

_WIDTH, _HEIGHT = 340, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 12, 12, 30


def ticks(high: float, count: int) -> list[float]:
    """Round numbers from 0 that reach ``high``.

    Args:
        high (float): What has to be covered, more than 0.
        count (int): About how many steps.

    Returns:
        list[float]: Evenly spaced, the last at least ``high``.
    """
    rough = high / count
    power = 10.**math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10)
                if s * power >= rough * (1 - 1e-9))
    return [i * step for i in range(math.ceil(high / step - 1e-9) + 1)]


def loss_chart(steps: Sequence[int], losses: Sequence[float],
               alt: str) -> str:
    """A curve of losses over iterations.

    Args:
        steps (Sequence[int]): Iterations.
        losses (Sequence[float]): The loss at each.
        alt (str): What it shows, for those who cannot see it.

    Returns:
        str: An ``<svg>`` element.
    """
    points = [(s, v) for s, v in zip(steps, losses) if math.isfinite(v)]
    rows = ticks(max(max((v for _, v in points), default=1.), 1e-6), 4)
    columns = ticks(max(steps), 3)
    span_x, span_y = max(steps), rows[-1]

    def x(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / span_x

    def y(loss: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * loss / span_y

    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
             f'role="img" aria-label="{alt}">']
    for value in rows:
        css = 'axis' if value == 0 else 'grid'
        parts.append(
            f'<line class="{css}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{y(value):.1f}" y2="{y(value):.1f}"/><text class="left" '
            f'x="{_LEFT - 6}" y="{y(value) + 3.5:.1f}">{value:g}</text>')
    for value in columns:
        if value <= span_x:
            parts.append(f'<text class="below" x="{x(value):.1f}" '
                         f'y="{_HEIGHT - 12}">{value:g}</text>')
    if points:
        path = ' '.join(f'{x(s):.1f},{y(v):.1f}' for s, v in points)
        last_x, last_y = x(points[-1][0]), y(points[-1][1])
        parts.append(
            f'<polyline class="curve" points="{path}"/>'
            f'<circle class="end" cx="{last_x:.1f}" cy="{last_y:.1f}" '
            f'r="3.5"/><text class="value" x="{last_x:.1f}" '
            f'y="{last_y - 9:.1f}">{points[-1][1]:.2f}</text>')
    return ''.join([*parts, '</svg>'])
