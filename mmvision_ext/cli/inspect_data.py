"""``inspect-data``: what a data set holds, and a config for it."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inspection import DataSet

EXAMPLES = """
  python -m mmvision_ext inspect-data data/pets
  python -m mmvision_ext inspect-data data/cells --write my_cells.py \\
      --base configs/vheat/maskrcnn_vheat_nano_nuclei.py
  python -m mmvision_ext inspect-data data/streets --reduce-zero-label true
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    parser.add_argument('paths', nargs='+', metavar='PATH',
                        help='folder of a data set, or its COCO annotations')
    parser.add_argument('--base', metavar='CONFIG', help='config whose model '
                        'and recipe to take; without --write, the lines to '
                        'change in it are printed')
    parser.add_argument('--write', metavar='FILE',
                        help='where to write a config for the data set')
    parser.add_argument(
        '--reduce-zero-label', choices=('auto', 'true', 'false'),
        default='auto', help='whether label 0 of label maps means pixels '
        'that do not count (default: if no pixel has it)')


def run(args: argparse.Namespace) -> int:
    """Print what was found and write the config.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.

    Returns:
        int: 0; 1 if faults were found; 2 if a layout is not known or the
        arguments do not fit.
    """
    from ..engine.errors import LaunchError
    from ..inspection import inspect_data
    reduce = {'auto': None, 'true': True,
              'false': False}[args.reduce_zero_label]
    try:
        if args.write and not args.base:
            raise LaunchError('--write needs --base CONFIG: the config whose '
                              'model and recipe it takes')
        if args.base and len(args.paths) > 1:
            raise LaunchError(f'--base is for one data set, not for '
                              f'{len(args.paths)}')
        found = [inspect_data(path, reduce) for path in args.paths]
        for data in found:
            print('\n'.join(data.lines()))
        if args.base:
            _use(found[0], args.base, args.write)
    except LaunchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return int(any(data.faults for data in found))


def _use(data: 'DataSet', base: str, target: str | None) -> None:
    """Print the lines to change in a config, or write one with them."""
    from ..inspection import advise, check_base, config_lines, write_config
    cfg = check_base(data, base)
    for remark in advise(data, cfg):
        print(f'note: {remark}')
    if target:
        write_config(data, base, target)
        print(f'wrote {target}')
    else:
        print(f'lines to change in {base}:')
        print('\n'.join(config_lines(data, cfg)))
