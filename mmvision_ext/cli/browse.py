"""``browse``: a data set as the pipeline of a config makes it."""

import argparse
from pathlib import Path

from ..engine.options import CfgOptions
from .picture import add_output, report

EXAMPLES = """
  python -m mmvision_ext browse CONFIG --data-root DIR
  python -m mmvision_ext browse CONFIG --mode pipeline --count 2
  python -m mmvision_ext browse CONFIG --split val --mode original --count 20
"""


def add_data(parser: argparse.ArgumentParser, split: str) -> None:
    """Options on the data of a config.

    Args:
        parser (argparse.ArgumentParser): Gets the options.
        split (str): The split by default.
    """
    parser.add_argument(
        '--split', choices=('train', 'val', 'test'), default=split,
        help='which data set of the config (default: %(default)s)')
    parser.add_argument(
        '--data-root', metavar='DIR', help='where the data is: replaces '
        'data_root of the config')
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, default={},
        metavar='KEY=VALUE', help='settings to change in the config')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    parser.add_argument('config', help='config of mmpretrain, mmdet or mmseg')
    parser.add_argument(
        '--mode', choices=('original', 'transformed', 'pipeline'),
        default='transformed', help='as loaded; some draws of what the '
        'pipeline makes of each image; or the image after each transform '
        '(default: %(default)s)')
    parser.add_argument('--count', type=int, default=4, metavar='N',
                        help='images (default: %(default)s)')
    parser.add_argument(
        '--draws', type=int, default=4, metavar='N',
        help='draws of each image (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0,
                        help='of what is random (default: %(default)s)')
    add_data(parser, 'train')
    add_output(parser, 'browse.png')


def run(args: argparse.Namespace) -> int:
    """Draw the sheet and say where it is.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.

    Returns:
        int: 0.
    """
    from ..engine.data_root import replace_data_root
    from ..engine.launch import read_config
    from ..engine.options import merge_options
    from ..pictures.browse import browse_picture, open_dataset
    from ..pictures.figure import check_target, save
    target = check_target(args.out, 'browse.png')
    cfg = read_config(args.config)
    if args.data_root:
        replace_data_root(cfg, args.data_root)
    merge_options(cfg, args.cfg_options)
    figure, _ = browse_picture(
        open_dataset(cfg, args.split), args.mode, args.count, args.draws,
        args.seed, Path(args.config).stem)
    report(target, save(figure, target, args.width))
    return 0
