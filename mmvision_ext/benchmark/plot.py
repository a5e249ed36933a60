"""The report as a picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]

_MIB = 1 << 20
_MARKERS = 'osD^vP'
#: Settings that share a row of panels.
_GROUP = ('mode', 'device', 'dtype', 'compile', 'with_cp', 'device_name',
          'threads')
#: Title of a panel, key of its rows, and what the number is divided by.
_SPEED = ('images a second', 'images_per_second', 1)
_MEMORY = ('peak memory of a step, MiB', 'peak_bytes', _MIB)
_CLOCK = ('milliseconds a proposal', 'seconds', 1e-3)
_CPU = ('processor milliseconds a proposal', 'cpu_seconds', 1e-3)
#: Longer names are cut in the picture.
_LETTERS = 40


def plot(rows: Sequence[Row], folder: Path) -> None:
    """Draw speed and memory of all models, a row of panels for each setting.

    Where there are several sizes, lines over the side of the image; else,
    where there are several batches, lines over them; else bars. Proposals of
    the search have a row of their own.

    Args:
        rows (Sequence[dict[str, Any]]): Of the report, at least one that has
            not failed.
        folder (Path): Where ``benchmark.png`` and ``benchmark.svg`` go.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot

    # the same rows give the same file
    style = {'svg.hashsalt': 'benchmark', 'font.size': 9}
    groups = _groups(rows)
    models = list(dict.fromkeys(
        row['model'] for own in groups for row in own))
    looks = {name: (f'C{i % 10}', _MARKERS[i % len(_MARKERS)])
             for i, name in enumerate(models)}
    with matplotlib.rc_context(style):
        heights = [_height(own) for own in groups]
        figure = pyplot.figure(
            figsize=(9.6, sum(heights) + 0.5), layout='constrained')
        parts = figure.subfigures(
            len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, own in zip(parts, groups):
            part.suptitle(_title(own), fontsize=9.5, fontweight='bold')
            panels = (_CLOCK, _CPU) if own[0]['mode'] == 'search' else (
                _SPEED, _MEMORY)
            axes = part.subplots(1, 2, sharey=_over(own) is None)
            for axis, panel in zip(axes, panels):
                _panel(axis, panel, own, looks)
        _legend(figure, groups)
        for suffix in ('png', 'svg'):
            figure.savefig(folder / f'benchmark.{suffix}', dpi=130,
                           metadata=dict(Date=None) if suffix == 'svg'
                           else None)
        pyplot.close(figure)


def _legend(figure: 'Figure', groups: Sequence[Sequence[Row]]) -> None:
    """One for all lines; bars and proposals carry their names."""
    models = {row['model'] for own in groups
              if _over(own) in ('side', 'batch') for row in own}
    lines = {line.get_label(): line for part in figure.subfigs
             for axis in part.axes for line in axis.get_lines()}
    names = [name for name in lines if name in {_short(x) for x in models}]
    if len(names) > 1:
        widest = max(map(len, names))
        figure.legend([lines[name] for name in names], names,
                      loc='outside lower center', frameon=False, fontsize=8,
                      ncols=max(1, min(len(names), 110 // (widest + 6))))


def _short(name: str) -> str:
    name = Path(name).stem if name.endswith('.py') else name
    return name if len(name) <= _LETTERS else f'{name[:_LETTERS - 1]}…'


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that share panels; of several batches with sizes, the first."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        if row['status'] == 'ok':
            key = tuple(row[name] for name in _GROUP)
            groups.setdefault(key, []).append(row)
    for key, own in groups.items():
        if _over(own) == 'side':
            batch = min(row['batch'] for row in own)
            groups[key] = [row for row in own if row['batch'] == batch]
    return list(groups.values())


def _over(rows: Sequence[Row]) -> str | None:
    """What the lines run over; None for bars."""
    if rows[0]['mode'] == 'search':
        return 'trials'
    if len({(row['height'], row['width']) for row in rows}) > 1:
        return 'side'
    return 'batch' if len({row['batch'] for row in rows}) > 1 else None


def _height(rows: Sequence[Row]) -> float:
    return 3. if _over(rows) else 1.1 + 0.3 * len(rows)


def _title(rows: Sequence[Row]) -> str:
    row, over = rows[0], _over(rows)
    parts = [dict(infer='inference', train='training',
                  search='MA2ML, a proposal')[row['mode']]]
    if row['mode'] != 'search':
        if over != 'side':
            parts.append(f'{row["height"]}x{row["width"]}')
        if over != 'batch':
            parts.append(f'batch {row["batch"]}')
        parts.append(row['dtype'])
    parts += ['compiled'] * row['compile']
    parts += ['blocks recomputed'] * row['with_cp']
    threads = row['threads']
    parts.append(f'{row["device_name"]}' + (
        f', {threads} thread{"s" * (threads != 1)}'
        if row['device'] == 'cpu' else ''))
    return ', '.join(parts)


def _panel(axis: 'Axes', panel: tuple[str, str, int], rows: Sequence[Row],
           looks: dict[str, tuple[str, str]]) -> None:
    title, key, unit = panel
    over = _over(rows)
    if over is None:
        _bars(axis, panel, rows, looks)
        return
    models = list(dict.fromkeys(row['model'] for row in rows))
    for model in models:
        own = sorted((row for row in rows if row['model'] == model),
                     key=lambda row: _place(row, over))
        colour, marker = looks[model]
        axis.plot([_place(row, over) for row in own],
                  [row[key] / unit for row in own], color=colour,
                  marker=marker, ms=4.5, lw=1.5,
                  label=_short(model))
    ticks = sorted({_place(row, over): _label(row, over)
                    for row in rows}.items())
    if over == 'trials':
        axis.set_ylim(0, 1.15 * max(row[key] / unit for row in rows))
    else:
        axis.set_xscale('log')
        axis.set_yscale('log')
        _plain_numbers(axis)
    axis.set_xticks([x for x, _ in ticks], [text for _, text in ticks])
    axis.set_xticks([], minor=True)
    axis.set(ylabel=title, xlabel=dict(
        side='image', batch='images in a batch', trials='trials')[over])
    axis.grid(alpha=0.3, which='both', lw=0.6)
    axis.spines[['top', 'right']].set_visible(False)


def _plain_numbers(axis: 'Axes') -> None:
    """Ticks at 1, 2 and 5 of each decade, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{y:,g}'))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _place(row: Row, over: str) -> float:
    return math.sqrt(row['height'] * row['width']) if over == 'side' \
        else row[over]


def _label(row: Row, over: str) -> str:
    if over != 'side':
        return str(row[over])
    if row['height'] == row['width']:
        return str(row['height'])
    return f'{row["height"]}x{row["width"]}'


def _bars(axis: 'Axes', panel: tuple[str, str, int], rows: Sequence[Row],
          looks: dict[str, tuple[str, str]]) -> None:
    title, key, unit = panel
    values = [row[key] / unit for row in rows]
    bars = axis.barh(range(len(rows)), values, height=0.62,
                     color=[looks[row['model']][0] for row in rows])
    axis.bar_label(bars, [f'{x:,.3g}' if x < 1000 else f'{x:,.0f}'
                          for x in values], padding=3, fontsize=8)
    axis.set_yticks(range(len(rows)), [_short(row['model']) for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.margins(x=0.14)
    axis.set_xlabel(title)
    axis.spines[['top', 'right']].set_visible(False)
