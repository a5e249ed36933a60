"""``compare``: predictions beside the truth."""

import argparse

from .browse import add_data
from .picture import add_output, report

EXAMPLES = """
  python -m mmvision_ext compare CONFIG CHECKPOINT --data-root DIR
  python -m mmvision_ext compare CONFIG CHECKPOINT --order random --count 12
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    parser.add_argument('config', help='config of a classifier, detector or '
                        'segmentor')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument(
        '--order', choices=('worst', 'best', 'random'), default='worst',
        help='which images (default: %(default)s)')
    parser.add_argument('--count', type=int, default=6, metavar='N',
                        help='images shown (default: %(default)s)')
    parser.add_argument(
        '--scan', type=int, default=200, metavar='N', help='images scored '
        'at most, evenly spread (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0,
                        help='of --order random (default: %(default)s)')
    add_data(parser, 'val')
    add_output(parser, 'compare.png')


def run(args: argparse.Namespace) -> int:
    """Draw the sheet and say where it is.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.

    Returns:
        int: 0.
    """
    from ..pictures.compare import compare_picture
    from ..pictures.figure import check_target, save
    from ..pictures.network import load_network
    target = check_target(args.out, 'compare.png')
    network = load_network(args.config, args.checkpoint, args.cfg_options,
                           args.data_root)
    figure, line = compare_picture(network, args.split, args.order,
                                   args.count, args.scan, args.seed)
    print(line)
    report(target, save(figure, target, args.width))
    return 0
