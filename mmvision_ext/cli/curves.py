"""``curves``: the curves of one or several trainings."""

import argparse

from .picture import add_output, report

EXAMPLES = """
  python -m mmvision_ext curves work_dirs/RUN
  python -m mmvision_ext curves work_dirs/A work_dirs/B --keys loss 'coco/*'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    parser.add_argument(
        'log', nargs='+', help='a work directory, of which the last run is '
        'taken, or a file: scalars.json or *.log.json')
    parser.add_argument(
        '--keys', nargs='+', default=[], metavar='NAME', help='what to draw, '
        '* and ? allowed (default: the loss and what validation measured)')
    parser.add_argument(
        '--smooth', type=float, default=0.6, metavar='WEIGHT',
        help='weight of what came before in the moving average, 0 for none '
        '(default: %(default)s)')
    parser.add_argument('--names', nargs='+', default=[], metavar='NAME',
                        help='a name a run (default: those of the folders)')
    parser.add_argument('--log-scale', action='store_true',
                        help='logarithmic axes for losses')
    add_output(parser, 'curves.png')


def run(args: argparse.Namespace) -> int:
    """Draw the curves and say where they are.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.

    Returns:
        int: 0.
    """
    from ..pictures.curves import curves_picture
    from ..pictures.figure import check_target, save
    target = check_target(args.out, 'curves.png')
    figure, lines = curves_picture(args.log, args.keys, args.smooth,
                                   args.names, args.log_scale)
    for line in lines:
        print(line)
    report(target, save(figure, target, args.width))
    return 0
