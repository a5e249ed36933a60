"""``export``: a trained network as a file for other programs."""

import argparse
import re
import warnings
from pathlib import Path

EXAMPLES = """
  python -m mmvision_ext export CONFIG WEIGHTS model.onnx
  python -m mmvision_ext export CONFIG WEIGHTS model.pt2 --format torch-export
  python -m mmvision_ext export CONFIG WEIGHTS small.onnx --int8
  python -m mmvision_ext export CONFIG WEIGHTS maps.onnx --part backbone
"""


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r}: expected HEIGHTxWIDTH in pixels, such as 224x224')
    return int(match[1]), int(match[2])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    parser.add_argument('config', help='config of a classifier or segmentor, '
                        'or with --part backbone of any network')
    parser.add_argument('weights', help='checkpoint of that config')
    parser.add_argument('out', type=Path, help='file to write, .onnx or .pt2')
    parser.add_argument('--format', default='onnx',
                        choices=('onnx', 'torch-export'),
                        help='default: %(default)s')
    parser.add_argument('--part', default='model',
                        choices=('model', 'backbone'),
                        help='all of it or the maps of the backbone alone '
                        '(default: %(default)s)')
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument('--size', type=_size, metavar='HxW',
                       help='for images of one size only')
    sizes.add_argument('--dynamic', dest='size', action='store_const',
                       const=None, help='for images of any size (default)')
    parser.add_argument('--opset', type=int, default=18, metavar='N',
                        help='version of ONNX operators '
                        '(default: %(default)s)')
    parser.add_argument('--int8', action='store_true',
                        help='hold weights in eight bits')
    parser.add_argument('--no-normalise', dest='normalise',
                        action='store_false', help='take normalised images, '
                        'not pixels from 0 to 255')


def run(args: argparse.Namespace) -> int:
    """Export, and print how the file differs from the network.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        int: 0.

    Raises:
        LaunchError: If the network cannot be exported or the file is wrong.
    """
    from ..export import ExportRequest, export_model
    with warnings.catch_warnings():
        # torch's, about the inside of its exporter
        warnings.simplefilter('ignore')
        found = export_model(ExportRequest(**{
            key: value for key, value in vars(args).items()
            if key in ExportRequest.__dataclass_fields__}))
    print('checked against the network, on random images:')
    for item in found:
        batch, height, width = item.shape
        print(f'  {batch} x {height} x {width}: relative difference '
              f'{item.difference:.1e}, same class {item.agreement:.1%}')
    print(f'wrote {args.out}, {args.out.stat().st_size / 1e6:.2f} MB')
    return 0
