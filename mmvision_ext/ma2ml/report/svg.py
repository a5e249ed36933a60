"""Plots as inline SVG whose colours come from the style of the page."""
from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, Optional


def number(value: float) -> str:
    """A number as a person would write it, with four digits at most.

    Args:
        value (float): Any finite number.

    Returns:
        str: Such as '0.9231', '71.35', '1200', '2e-05'.
    """
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        text = f'{value:.4g}'
        return text if 'e' not in text else f'{value:.0f}'
    return f'{value:.3g}'


def short(value: Any, length: int = 16) -> str:
    """A choice in few letters.

    Args:
        value (Any): None, bool, number or text.
        length (int): Letters at most. Defaults to 16.

    Returns:
        str: Not escaped.
    """
    if isinstance(value, bool) or value is None:
        return {True: 'yes', False: 'no', None: 'none'}[value]
    if isinstance(value, (int, float)):
        return number(value)
    text = str(value)
    return text if len(text) <= length else text[:length - 1] + '…'


def ticks(low: float, high: float, count: float) -> list[float]:
    """Round numbers within a range.

    Args:
        low (float): Least.
        high (float): Most.
        count (float): About how many.

    Returns:
        list[float]: Evenly spaced, at least one.
    """
    span = high - low
    if span <= 0:
        return [low]
    rough = span / count
    power = 10.**math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10)
                if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)] or [low]


def attributes(**names: Any) -> str:
    """Attributes of an element; 'css' stands for class.

    Args:
        **names (Any): Values; floats get one decimal.

    Returns:
        str: With a space in front of each, escaped.
    """
    parts = []
    for name, value in names.items():
        if value is None:
            continue
        text = f'{value:.1f}' if isinstance(value, float) else str(value)
        name = {'css': 'class'}.get(name, name.replace('_', '-'))
        parts.append(f' {name}="{escape(text)}"')
    return ''.join(parts)


def element(name: str, title: Optional[str] = None, text: str = '',
            **attrs: Any) -> str:
    """An SVG element, with what a pointer over it shows.

    Args:
        name (str): Such as 'circle'.
        title (str, optional): Shown on hovering.
        text (str): Its content.
        **attrs (Any): See :func:`attributes`.

    Returns:
        str: The element, all text escaped.
    """
    inner = escape(text)
    if title:
        inner += f'<title>{escape(title)}</title>'
    return f'<{name}{attributes(**attrs)}>{inner}</{name}>'


class Plot:
    """Two linear axes with a grid.

    Args:
        x_range (Sequence[float]): Least and most.
        y_range (Sequence[float]): Least and most.
        x_label (str): Under the plot.
        y_label (str): Above the axis.
        size (tuple[int, int]): Width and height. Defaults to (720, 320).
        whole (bool): Whether x counts something. Defaults to False.
    """

    left, right, top, bottom = 58, 16, 30, 44

    def __init__(self, x_range: Sequence[float], y_range: Sequence[float],
                 x_label: str, y_label: str,
                 size: tuple[int, int] = (720, 320),
                 whole: bool = False) -> None:
        self.width, self.height = size
        self.x_range, self.y_range = _widen(x_range), _widen(y_range)
        self.parts: list[str] = []
        base = self.height - self.bottom
        for value in ticks(*self.y_range, 5):
            y = self.y(value)
            self.add('line', css='grid', x1=self.left,
                     x2=self.width - self.right, y1=y, y2=y)
            self.add('text', text=number(value), css='left',
                     x=self.left - 8, y=y + 4)
        span = self.x_range[1] - self.x_range[0]
        for value in ticks(*self.x_range, min(8, span) if whole else 8):
            if whole and value != round(value):
                continue
            self.add('text', text=number(value), css='below',
                     x=self.x(value), y=base + 18)
        self.add('line', css='axis', x1=self.left,
                 x2=self.width - self.right, y1=base, y2=base)
        self.add('text', text=x_label, css='label below',
                 x=(self.left + self.width - self.right) / 2,
                 y=self.height - 6)
        self.add('text', text=y_label, css='label', x=4, y=16)

    def x(self, value: float) -> float:
        """Horizontal place of a value."""
        low, high = self.x_range
        share = (value - low) / (high - low)
        return self.left + share * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Vertical place of a value."""
        low, high = self.y_range
        share = (value - low) / (high - low)
        return self.height - self.bottom - share * (
            self.height - self.top - self.bottom)

    def add(self, name: str, title: Optional[str] = None, text: str = '',
            **attrs: Any) -> None:
        """Add an element; see :func:`element`."""
        self.parts.append(element(name, title, text, **attrs))

    def line(self, points: Sequence[tuple[float, float]], css: str,
             steps: bool = False) -> None:
        """Add a line through points.

        Args:
            points (Sequence[tuple[float, float]]): Values, not places.
            css (str): Class.
            steps (bool): Keep each value until the next. Defaults to False.
        """
        places: list[tuple[float, float]] = []
        for x, y in points:
            if steps and places:
                places.append((self.x(x), places[-1][1]))
            places.append((self.x(x), self.y(y)))
        self.add('polyline', css=css, points=' '.join(
            f'{x:.1f},{y:.1f}' for x, y in places))

    def render(self, alt: str) -> str:
        """The plot as an element.

        Args:
            alt (str): What it shows, for those who cannot see it.

        Returns:
            str: An ``<svg>``.
        """
        return svg(self.parts, (self.width, self.height), alt)


def _widen(values: Sequence[float]) -> tuple[float, float]:
    low, high = values
    if high > low:
        return low, high
    margin = abs(low) * 0.1 or 1.
    return low - margin, low + margin


def svg(parts: Sequence[str], size: tuple[int, int], alt: str) -> str:
    """An ``<svg>`` around elements.

    Args:
        parts (Sequence[str]): Elements.
        size (tuple[int, int]): Width and height of its coordinates.
        alt (str): What it shows.

    Returns:
        str: The element.
    """
    return (f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" '
            f'role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>')
