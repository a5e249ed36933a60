"""``models``: the model zoo as a table."""

import argparse
import dataclasses
import json

from ..engine.errors import LaunchError

EXAMPLES = """
  python -m mmvision_ext models
  python -m mmvision_ext models 'vheat*in1k'
  python -m mmvision_ext models coco --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser (argparse.ArgumentParser): Its parser.
    """
    parser.add_argument(
        'pattern', nargs='?', default='*',
        help='a part of the name, or a pattern with *, ? and [...] '
        '(default all)')
    parser.add_argument('--json', action='store_true',
                        help='print all that is known, as a JSON list')


def run(args: argparse.Namespace) -> int:
    """Print the models that match.

    Args:
        args (argparse.Namespace): Of :func:`add_arguments`.

    Returns:
        int: 0.

    Raises:
        LaunchError: If none matches.
    """
    from ..zoo import Entry, list_entries
    from ..zoo.page import format_macs, format_params
    entries = list_entries(args.pattern)
    if not entries:
        raise LaunchError(
            f'no model matches {args.pattern!r}; `python -m mmvision_ext '
            'models` lists all of them')
    if args.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in entries],
                         indent=2))
        return 0

    def figures(entry: Entry) -> str:
        return ', '.join(f'{name} {value}'
                         for name, value in entry.metrics.items())

    rows = [('name', 'data', 'params', 'FLOPs', 'figure', 'status')]
    rows += [(entry.alias or entry.name, entry.dataset,
              format_params(entry.params), format_macs(entry),
              figures(entry), entry.status.split(':')[0])
             for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(cell.ljust(width)
                        for cell, width in zip(row, widths)).rstrip())
    print(f'\n{len(entries)} models. "not run": the figure is the paper\'s. '
          'Configs, sources and words: --json')
    return 0
