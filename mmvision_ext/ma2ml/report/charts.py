"""The charts of the report."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .record import Record, TrialRow, moving_mean
from .svg import Plot, element, number, short, svg, ticks

#: Agents get colours in order; further ones share the last.
COLOURS = 6
#: From so many finished trials on, shares and outliers mean something.
MANY = 20
_WINDOW = 10
#: Top of the parallel axes.
_TOP = 44


def colour(record: Record, name: str) -> str:
    """Class of the colour of an agent or of one of its decisions."""
    agents = record.agents
    agent = name.partition('.')[0]
    place = agents.index(agent) if agent in agents else 0
    return f'c{min(place, COLOURS - 1) + 1}'


def describe(record: Record, trial: TrialRow) -> str:
    """A trial in one line, for hovering."""
    parts = [f'trial {trial.number}']
    if trial.value is not None:
        parts.append(f'{record.metric} {number(trial.value)}')
    if trial.flops is not None:
        parts.append(f'{number(trial.flops / 1e6)} MFLOPs')
    if trial.seconds is not None:
        parts.append(f'{number(trial.seconds)} s')
    if trial.state != 'complete':
        parts.append(trial.failure or trial.state)
    return ', '.join(parts)


def _value_range(record: Record, rows: Sequence[TrialRow]
                 ) -> tuple[float, float]:
    """All rewards; of many, not the 5 % worst, which may lie far off."""
    losses = sorted(map(record.loss, rows))
    worst = losses[int(0.95 * (len(losses) - 1)) if len(
        losses) >= MANY else -1]
    best = losses[0]
    margin = 0.06 * ((worst - best) or abs(best) or 1.)
    low, high = best - margin, worst + margin
    return (-high, -low) if record.maximize else (low, high)


def history(record: Record) -> str:
    """Reward of every trial, best so far, failures along the axis."""
    rows = record.complete
    if not rows:
        return _nothing('No trial has finished yet.')
    last = max(t.number for t in record.trials)
    plot = Plot((0, max(last, 1)), _value_range(record, rows), 'trial',
                record.metric, whole=True)
    low, high = plot.y_range
    best: list[tuple[float, float]] = []
    for trial in record.trials:
        title = describe(record, trial)
        x = plot.x(trial.number)
        if trial.value is None or trial.state == 'failed':
            if trial.state == 'failed':
                y = plot.height - plot.bottom
                plot.add('path', title, css='failed',
                         d=f'M{x - 3:.1f} {y - 10}l6 6m0 -6l-6 6')
            continue
        y = plot.y(min(max(trial.value, low), high))
        plot.add('circle', title, css=f'dot {trial.state}', cx=x, cy=y, r=3.5)
        if trial.state == 'complete' and (
                not best or (trial.value > best[-1][1]) == record.maximize
                and trial.value != best[-1][1]):
            best.append((trial.number, trial.value))
    best.append((last, best[-1][1]))
    plot.line([(x, min(max(y, low), high)) for x, y in best], 'best',
              steps=True)
    return plot.render(f'{record.metric} of {len(record.trials)} trials; the '
                       f'best is {number(best[-1][1])}')


def tradeoff(record: Record) -> str:
    """Reward against FLOPs, Pareto front and limit."""
    rows = [t for t in record.complete if t.flops is not None]
    if not rows:
        return _nothing('No finished trial has its FLOPs recorded.')
    flops = [t.flops / 1e6 for t in rows]
    limit = record.flops_limit and record.flops_limit / 1e6
    most = max([*flops, limit or 0.])
    margin = 0.04 * (most - min(flops)) or 0.05 * most or 1.
    plot = Plot((max(min(flops) - margin, 0.), most + margin),
                _value_range(record, rows), 'million multiply-adds',
                record.metric)
    low, high = plot.y_range
    if limit:
        x = plot.x(limit)
        plot.add('line', f'limit: {number(limit)} million', css='limit',
                 x1=x, x2=x, y1=plot.top, y2=plot.height - plot.bottom)
        plot.add('text', text=f'limit {number(limit)}', css='limit left',
                 x=x - 6, y=plot.top + 12)
    front = record.pareto()
    inside = [(t.flops / 1e6, min(max(t.value, low), high)) for t in front]
    plot.line(inside, 'front', steps=True)
    numbers = {t.number for t in front}
    for trial in rows:
        css = 'dot front' if trial.number in numbers else 'dot complete'
        plot.add('circle', describe(record, trial), css=css,
                 cx=plot.x(trial.flops / 1e6),
                 cy=plot.y(min(max(trial.value, low), high)), r=3.5)
    return plot.render(f'{record.metric} against multiply-adds; '
                       f'{len(front)} trials on the Pareto front')


def credit(record: Record) -> str:
    """Credit of each agent over the trials, mean of the last ten."""
    rows = [t for t in record.trials if t.credit]
    if len(rows) < 2:
        return _nothing('No credits were recorded: only the MA2ML sampler '
                        'gives them, after its warm-up.')
    lines: dict[str, list[tuple[int, float]]] = {}
    for agent in record.agents:
        own = [(t.number, t.credit[agent]) for t in rows if agent in t.credit]
        if own:
            means = moving_mean([c for _, c in own], _WINDOW)
            lines[agent] = [(n, m) for (n, _), m in zip(own, means)]
    values = [value for line in lines.values() for _, value in line] + [0.]
    margin = 0.08 * (max(values) - min(values)) or 1.
    plot = Plot((rows[0].number, rows[-1].number),
                (min(values) - margin, max(values) + margin), 'trial',
                'credit, mean of the last ten', whole=True)
    zero = plot.y(0.)
    plot.add('line', css='axis', x1=plot.left, x2=plot.width - plot.right,
             y1=zero, y2=zero)
    for agent, line in lines.items():
        plot.line(line, f'line {colour(record, agent)}')
        # an invisible point each trial to hover over
        for place, value in line:
            plot.add('circle', f'{agent}, trial {place}: {number(value)}',
                     css='hover', cx=plot.x(place), cy=plot.y(value), r=5)
    return plot.render('Credit over the trials of the agents '
                       + ', '.join(lines))


def bars(rows: Sequence[tuple[str, float, str, str]], alt: str) -> str:
    """Horizontal bars with names.

    Args:
        rows (Sequence[tuple]): Name, length, written number, colour class.
        alt (str): What they show.

    Returns:
        str: An ``<svg>``.
    """
    width, left, step = 720, 190, 24
    most = max((length for _, length, _, _ in rows), default=1.) or 1.
    parts = []
    for place, (name, length, text, css) in enumerate(rows):
        y = place * step
        long = (width - left - 70) * length / most
        parts += [
            element('text', name, short(name, 26), css='left ink',
                    x=left - 10, y=y + 16),
            element('rect', f'{name}: {text}', css=f'bar {css}', x=left,
                    y=y + 4, width=max(long, 1.), height=step - 8, rx=2),
            element('text', text=text, css='value', x=left + long + 8,
                    y=y + 16),
        ]
    return svg(parts, (width, step * max(len(rows), 1)), alt)


def importance(record: Record, found: Mapping[str, float],
               most: int = 15) -> str:
    """Importance of the decisions, the largest first.

    Args:
        record (Record): The study.
        found (Mapping[str, float]): Shares by full name.
        most (int): Bars at most. Defaults to 15.

    Returns:
        str: An element.
    """
    if not found:
        return _nothing(f'Too few finished trials to tell: {MANY} are '
                        'needed.')
    order = sorted(found.items(), key=lambda pair: -pair[1])[:most]
    return bars([(name, share, f'{100 * share:.1f} %', colour(record, name))
                 for name, share in order], 'Importance of decisions')


def failures(record: Record) -> str:
    """How many trials failed, by class."""
    counts = Counter(t.failure for t in record.trials if t.failure)
    if not counts:
        return _nothing('No trial failed.')
    return bars([(name, float(count), str(count), 'bad')
                 for name, count in counts.most_common()],
                'Failed trials by class')


def parallel(record: Record, names: Sequence[str]) -> str:
    """Choices of all finished trials on one axis a decision.

    Lines through the same choice are spread out, better ones higher.

    Args:
        record (Record): The study.
        names (Sequence[str]): Decisions, two at least.

    Returns:
        str: An element.
    """
    order = sorted(record.complete, key=record.loss, reverse=True)
    if len(order) < 2 or len(names) < 2:
        return _nothing('Too few finished trials or decisions.')
    width, base = 960, 356
    axes = [_Axis(name, order, base) for name in names]
    step = (width - 120) / len(axes)
    low, high = _value_range(record, order)
    few = max(1, round(0.1 * len(order)))
    end = 40 + len(axes) * step
    parts = [element('line', css='axis', x1=x, x2=x, y1=_TOP, y2=base)
             for x in (40 + i * step for i in range(len(axes) + 1))]
    for rank, trial in enumerate(order):
        css = 'path best' if rank == len(order) - 1 else (
            'path good' if rank >= len(order) - few else 'path')
        spread = rank / (len(order) - 1) - 0.5
        points = [(40 + i * step, axis.place(trial, spread))
                  for i, axis in enumerate(axes)]
        value = min(max(trial.value, low), high)
        points.append((end, _place(value, low, high, base)))
        parts.append(element(
            'polyline', describe(record, trial), css=css, points=' '.join(
                f'{x:.1f},{y:.1f}' for x, y in points)))
    # labels last, so that no line crosses them
    for place, axis in enumerate(axes):
        parts += axis.labels(record, 40 + place * step)
    parts.append(element('text', text=record.metric, css='below label',
                         x=end, y=14))
    parts += [element('text', text=number(value), x=end + 8,
                      y=_place(value, low, high, base) + 4)
              for value in ticks(low, high, 5)]
    return svg(parts, (width, base + 8),
               f'Parallel coordinates of {len(order)} trials over '
               f'{len(axes)} decisions')


class _Axis:
    """The choices of a decision from bottom to top."""

    def __init__(self, name: str, rows: Sequence[TrialRow],
                 base: float) -> None:
        self.name, self.base = name, base
        found = list(dict.fromkeys(
            t.params[name] for t in rows if name in t.params))
        numbers = all(isinstance(c, (int, float)) for c in found)
        self.choices: list[Any] = sorted(
            found, key=None if numbers else str)
        # a slot below all for trials in which it does not exist
        self.absent = any(name not in t.params for t in rows)
        self.slots = len(self.choices) + self.absent
        self.step = (base - _TOP) / self.slots

    def place(self, trial: TrialRow, spread: float) -> float:
        """Height of a trial's choice, spread from -0.5 to 0.5 within it."""
        slot = 0
        if self.name in trial.params:
            slot = self.choices.index(trial.params[self.name]) + self.absent
        return self.base - self.step * (slot + 0.5 + 0.5 * spread)

    def labels(self, record: Record, x: float) -> list[str]:
        """Name, agent and choices."""
        agent, _, own = self.name.partition('.')
        parts = [
            element('text', self.name, short(own or agent, 13),
                    css='below label ink', x=x, y=14),
            element('text', text=agent if own else '', x=x, y=30,
                    css=f'below agent {colour(record, self.name)}'),
        ]
        names = [*(['–'] if self.absent else []), *map(short, self.choices)]
        # at most one for each line of text
        every = max(1, -(-self.slots // 16))
        return parts + [
            element('text', text=name, css='choice', x=x + 6,
                    y=self.base - self.step * (slot + 0.5) + 4)
            for slot, name in enumerate(names) if slot % every == 0]


def _place(value: float, low: float, high: float, base: float) -> float:
    return base - (base - _TOP) * (value - low) / ((high - low) or 1.)


def _nothing(text: str) -> str:
    return f'<p class="soft">{text}</p>'
