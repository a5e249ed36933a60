"""``picture KIND``: what a network has learnt, as a picture."""

import argparse
from pathlib import Path
from typing import Any

from ..engine.options import CfgOptions

EXAMPLES = """
  python -m mmvision_ext picture heat CONFIG --checkpoint FILE --image x.png
  python -m mmvision_ext picture heat CONFIG --image x.png --point 40,60
  python -m mmvision_ext picture field vheat-tiny swin-tiny convnext-tiny
      --image FOLDER --count 16
  python -m mmvision_ext picture masked CONFIG --checkpoint FILE --image FOLDER
  python -m mmvision_ext picture KIND --help

A MODEL is a config, a file of converted weights, or a name such as
vheat-tiny. Without --checkpoint a config has random weights, and the picture
says so. The picture goes to KIND.png in the current folder, unless that
exists; a file named by --out is replaced.
"""

_KINDS = {
    'heat': 'heat spreading through time and the stages of vHeat',
    'diffusivity': 'diffusivity and decay over the frequencies of vHeat',
    'field': 'effective receptive fields of several networks',
    'pyramid': 'features of the levels of a pyramid',
    'masked': 'patches that pixel pre-training fills in',
    'attention': 'what a token of iTPN or Fast-iTPN looks at',
}


def parse_point(text: str) -> tuple[float, float]:
    """Read a point.

    Args:
        text (str): 'X,Y' in pixels.

    Returns:
        tuple[float, float]: x and y.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r}: expected X,Y in pixels, e.g. 40,60') from None
    return x, y


def add_output(parser: argparse.ArgumentParser, name: str) -> None:
    """Options on where a picture goes and how large it is.

    Args:
        parser (argparse.ArgumentParser): Gets the options.
        name (str): File name by default.
    """
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='the picture, .png, .webp, '
        '.jpg, .svg or .pdf; a file of that name is replaced (default: '
        f'{name}, which is not)')
    parser.add_argument(
        '--width', type=int, default=1200, metavar='PIXELS',
        help='width of the picture (default: %(default)s)')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand a kind.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    kinds = parser.add_subparsers(dest='kind', metavar='KIND', required=True,
                                  title='kinds')
    own = {name: kinds.add_parser(name, help=text, description=text)
           for name, text in _KINDS.items()}
    for name, kind in own.items():
        several = name == 'field'
        kind.add_argument(
            'model', metavar='MODEL', nargs='+' if several else None,
            help='a config, converted weights, or a name such as vheat-tiny'
            + ('; MODEL=CHECKPOINT gives weights to a config or a name'
               if several else ''))
        if not several:
            kind.add_argument('--checkpoint', metavar='FILE', help='weights '
                              'for the config (default: random ones)')
            kind.add_argument(
                '--cfg-options', nargs='+', action=CfgOptions, default={},
                metavar='KEY=VALUE', help='settings to change in the config')
        add_output(kind, f'{name}.png')
    for name in ('heat', 'attention'):
        own[name].add_argument('--image', required=True, metavar='FILE')
    for name, count in (('field', 8), ('pyramid', 2), ('masked', 4)):
        own[name].add_argument(
            '--image', required=True, nargs='+', metavar='PLACE',
            help='images, or folders with images in them')
        own[name].add_argument(
            '--count', type=int, default=count, metavar='N',
            help='images at most, evenly spread (default: %(default)s)')
    _add_own(own)


def _add_own(own: dict[str, argparse.ArgumentParser]) -> None:
    for name in ('heat', 'pyramid', 'masked', 'attention'):
        own[name].add_argument(
            '--size', type=int, metavar='PIXELS', help='resize the longer '
            'side to this (default: images as they are)')
    for name in ('field', 'diffusivity'):
        own[name].add_argument(
            '--size', type=int, default=224, metavar='PIXELS',
            help='side of the square images (default: %(default)s)')
    own['heat'].add_argument(
        '--point', type=parse_point, metavar='X,Y', help='show one unit of '
        'heat at this pixel (default: the heat of the image)')
    own['attention'].add_argument(
        '--point', type=parse_point, metavar='X,Y',
        help='pixel of the token (default: the middle)')
    own['heat'].add_argument(
        '--times', type=float, nargs='+', default=[0, 1, 10, 100, 1000],
        metavar='T', help='times; 1 is what the network does (default: 0 1 '
        '10 100 1000)')
    own['diffusivity'].add_argument(
        '--block', type=int, default=-1, metavar='N',
        help='block of each stage, from 0 (default: the last)')
    own['masked'].add_argument(
        '--ratio', type=float, metavar='SHARE', help='share of hidden '
        'patches (default: that of the training)')
    own['masked'].add_argument(
        '--seed', type=int, default=0, help='of which patches are hidden '
        '(default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Draw the picture and say where it is.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.

    Returns:
        int: 0.
    """
    from ..pictures.figure import check_target, save
    target = check_target(args.out, f'{args.kind}.png')
    figure, lines = _DRAW[args.kind](args)
    for line in lines:
        print(line)
    report(target, save(figure, target, args.width))
    return 0


def report(target: Path, size: tuple[int, int]) -> None:
    """Print where a picture is and how large.

    Args:
        target (Path): The file.
        size (tuple[int, int]): Width and height in pixels.
    """
    print(f'{target}: {size[0]} x {size[1]} pixels')


Drawn = tuple[Any, list[str]]


def _network(args: argparse.Namespace) -> Any:
    from ..pictures.network import load_network
    return load_network(args.model, args.checkpoint, args.cfg_options)


def _images(args: argparse.Namespace, square: bool = False) -> list:
    from ..pictures.network import find_images, read_image
    return [read_image(path, args.size, square)
            for path in find_images(args.image, args.count)]


def _heat(args: argparse.Namespace) -> Drawn:
    from ..pictures.heat import heat_picture
    from ..pictures.network import read_image
    image = read_image(args.image, args.size)
    return heat_picture(_network(args), image, args.times, args.point), []


def _diffusivity(args: argparse.Namespace) -> Drawn:
    from ..pictures.diffusivity import diffusivity_picture
    return diffusivity_picture(_network(args), args.size, args.block), []


def _field(args: argparse.Namespace) -> Drawn:
    from ..pictures.field import SHARE, field_picture
    from ..pictures.network import load_network
    images = _images(args, square=True)
    networks = []
    for model in args.model:
        source, _, checkpoint = model.partition('=')
        networks.append(load_network(source, checkpoint or None))
    figure, areas = field_picture(networks, images)
    return figure, [f'{network.about}: {area:.1%} of the pixels hold '
                    f'{SHARE:.0%} of the gradient'
                    for network, area in zip(networks, areas)]


def _pyramid(args: argparse.Namespace) -> Drawn:
    from ..pictures.pyramid import pyramid_picture
    images = _images(args)
    return pyramid_picture(_network(args), images), []


def _masked(args: argparse.Namespace) -> Drawn:
    from ..pictures.masked import masked_picture
    images = _images(args)
    figure, errors = masked_picture(_network(args), images, args.ratio,
                                    args.seed)
    mean = sum(errors) / len(errors)
    return figure, [f'rms error over hidden pixels: {mean:.1f} of 255, mean '
                    f'of {len(errors)} images']


def _attention(args: argparse.Namespace) -> Drawn:
    from ..pictures.attention import attention_picture
    from ..pictures.network import read_image
    image = read_image(args.image, args.size)
    return attention_picture(_network(args), image, args.point), []


_DRAW = {
    'heat': _heat, 'diffusivity': _diffusivity, 'field': _field,
    'pyramid': _pyramid, 'masked': _masked, 'attention': _attention,
}
