"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from .growth import find_growth

Row = dict[str, Any]

_MIB = 1 << 20
_NONE = '–'
_LEGEND = (
    'Time is the median of the turns with the least and the most; CPU is what '
    'the processor worked, all threads together. Ratios are reference / '
    'model: above 1 the model is faster, or takes less. GFLOP are those of '
    'the model, two a multiply-add, whatever the implementation saves; GB are '
    'the bytes of arguments and results of all operations; both beside the '
    'fastest matrix product and a large copy in the same turns. Peak is what '
    'tensors take in a step besides weights and images; process is the '
    'resident memory of a process that runs one step, and in brackets what '
    'the step added.')


def render(runs: Mapping[str, Mapping[str, Any]],
           rows: Sequence[Row]) -> str:
    """All runs, a section each, and how time and memory grow.

    Args:
        runs (Mapping[str, Mapping[str, Any]]): Command, machine and versions
            by name.
        rows (Sequence[Row]): Rows of the report.

    Returns:
        str: Markdown.
    """
    parts = []
    for name, run in runs.items():
        own = [row for row in rows if row['run'] == name]
        parts.append(_heading(run, own))
        models = [row for row in own if row['mode'] != 'search']
        if models:
            parts.append(_models(models))
        trials = [row for row in own if row['mode'] == 'search']
        if trials:
            parts.append(_trials(trials))
    if any(row['mode'] != 'search' for row in rows):
        parts.append(_LEGEND)
    growth = find_growth(rows)
    if growth:
        parts.append(_growth(growth))
    return '\n\n'.join(parts)


def _heading(run: Mapping[str, Any], rows: Sequence[Row]) -> str:
    settings = dict.fromkeys(_setting(row) for row in rows)
    threads = run['threads']
    lines = [
        f'**{"; ".join(settings)}**: {run["device_name"]}, {threads} '
        f'thread{"s" * (threads != 1)}; {", ".join(run["versions"])}'
    ]
    if 'float32' in run:
        lines[0] += f'; float32: {run["float32"]}'
    return '\n'.join([*lines, '', f'    {run["command"]}'])


def _setting(row: Row) -> str:
    if row['mode'] == 'search':
        return 'search'
    parts = [dict(infer='inference', train='training')[row['mode']],
             row['dtype']]
    parts += ['compiled'] * row['compile']
    parts += ['blocks recomputed'] * row['with_cp']
    return ', '.join(parts)


def _models(rows: Sequence[Row]) -> str:
    return _table(
        ('model', 'image', 'batch', 'time', 'CPU', 'images/s', 'time ratio',
         'CPU ratio', 'GFLOP', 'GFLOP/s', 'GB', 'GB/s', 'peak, MiB',
         'peak ratio', 'process, MiB', 'difference'),
        [_model(row) for row in _ordered(rows)])


def _ordered(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (
        row['height'] * row['width'], row['height'], row['batch']))


def _model(row: Row) -> tuple[str, ...]:
    head = (f'`{row["model"]}`', f'{row["height"]}x{row["width"]}',
            str(row['batch']))
    if row['status'] != 'ok':
        reason = row['reason'].replace('|', '/')
        return (*head, f'failed: {reason}', *[''] * 12)
    ours = row['reference'] == row['model']
    process = _NONE
    if row.get('resident_peak_bytes') is not None:
        process = (f'{_mib(row["resident_peak_bytes"])} '
                   f'(+{_mib(row["resident_step_bytes"])})')
    return (
        *head,
        _spread(row),
        duration(row['cpu_seconds']),
        number(row['images_per_second']),
        *(['1'] * 2 if ours else
          [_ratio(row.get(x)) for x in ('speed_ratio', 'cpu_ratio')]),
        number(row['flops'] / 1e9),
        _rate(row, 'flops_per_second', 'part_of_product'),
        number(row['traffic_bytes'] / 1e9),
        _rate(row, 'bytes_per_second', 'part_of_copy'),
        _mib(row['peak_bytes']),
        '1' if ours else _ratio(row.get('memory_ratio')),
        process,
        _NONE if row.get('difference') is None else
        f'{row["difference"]:.0e}',
    )


def _trials(rows: Sequence[Row]) -> str:
    return _table(
        ('model', 'trials', 'a proposal', 'CPU'),
        [(f'`{row["model"]}`', str(row['trials']),
          _spread(row), duration(row['cpu_seconds']))
         for row in sorted(rows, key=lambda row: row['trials'])])


def _growth(found: Sequence[Row]) -> str:
    head = ('model', 'setting', 'from', 'to', 'over', 'time', 'CPU',
            'peak', 'process', 'GB')
    lines = []
    for row in found:
        setting = _setting(row)
        lines.append((
            f'`{row["model"]}`',
            f'{setting}, {row["fixed"]}' if row['fixed'] else setting,
            row['first'], row['last'], row['over'],
            *(_NONE if row[name] is None else f'{row[name]:.2f}'
              for name in ('seconds', 'cpu_seconds', 'peak_bytes',
                           'resident_step_bytes', 'traffic_bytes'))))
    return ('Exponents of growth: a quantity grows with this power of the '
            'pixels (tokens are proportional to them, and the power of the '
            'side is twice as large), the batch or the trials. Process is '
            'what the step adds.\n\n' + _table(head, lines))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return '\n'.join([
        f'| {" | ".join(head)} |', '|---' * len(head) + '|',
        *(f'| {" | ".join(row)} |' for row in rows)
    ])


def duration(*seconds: float) -> str:
    """Seconds in a fitting unit, three digits.

    Args:
        *seconds (float): The time, and perhaps a least and a most, which get
            the same unit.

    Returns:
        str: Such as '12.3 ms' or '12.3 ms (11.0 to 15.6)'.
    """
    unit, factor = next(
        ((unit, factor) for unit, factor in (('s', 1), ('ms', 1e3))
         if seconds[0] * factor >= 0.9995), ('us', 1e6))
    first, *rest = (number(x * factor) for x in seconds)
    spread = f' ({" to ".join(rest)})' if rest else ''
    return f'{first} {unit}{spread}'


def number(value: float) -> str:
    """A number with three digits and no exponent.

    Args:
        value (float): 0 or more.

    Returns:
        str: Such as '0.0123', '1.23', '123' or '12,345'.
    """
    if value >= 99.95:
        return f'{value:,.0f}'
    return f'{value:#.3g}' if value >= 1e-4 or not value else f'{value:.1e}'


def _spread(row: Row) -> str:
    return duration(*(row[x] for x in ('seconds', 'seconds_min',
                                       'seconds_max')))


def _mib(value: float) -> str:
    return f'{value / _MIB:,.0f}' if value >= 99.95 * _MIB else \
        f'{value / _MIB:.1f}'


def _ratio(value: float | None) -> str:
    return _NONE if value is None else f'**{value:.2f}**'


def _rate(row: Row, name: str, part: str) -> str:
    rate = number(row[name] / 1e9)
    if row.get(part) is None:
        return rate
    return f'{rate} ({100 * row[part]:.0f} %)'
