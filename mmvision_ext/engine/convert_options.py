"""Arguments of the weight conversion, known without torch."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the conversion takes.

    Args:
        parser (argparse.ArgumentParser): Gets the arguments.
    """
    parser.add_argument('src', type=Path, help='official file')
    parser.add_argument('dst', type=Path, help='file to write')
    parser.add_argument(
        '--key', help='entry of SRC that holds the weights, such as '
        'model_ema; by default model, state_dict, module or model_ema, the '
        'first found')
    parser.add_argument(
        '--backbone-only', action='store_true',
        help='leave out neck and heads, also those of other detectors')
    parser.add_argument(
        '--form', choices=('detection', 'segmentation'),
        help='iTPN: what backbone and pyramid without heads are for; by '
        'default told by relative positions and the depth of the pyramid')
    parser.add_argument(
        '--num-heads', type=int,
        help='iTPN: heads of the attention, where the file has no relative '
        'positions that tell; by default 64 channels each')
    parser.add_argument(
        '--force', action='store_true', help='replace DST if it exists')
