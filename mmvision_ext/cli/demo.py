"""``demo``: networks on one's own images, in the browser."""

import argparse
from pathlib import Path

EXAMPLES = """
  python -m mmvision_ext demo --quickstart
  python -m mmvision_ext demo --classifier CONFIG:WEIGHTS
  python -m mmvision_ext demo --detector CONFIG:WEIGHTS --port 8000
"""


def _pair(text: str) -> tuple[str, str]:
    config, colon, weights = text.partition(':')
    if not (config and colon and weights):
        raise argparse.ArgumentTypeError(
            f'{text!r}: expected CONFIG:WEIGHTS, two files')
    return config, weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    for kind in ('classifier', 'detector', 'segmentor'):
        parser.add_argument(f'--{kind}', type=_pair, metavar='CONFIG:WEIGHTS',
                            help=f'a {kind}: its config and a checkpoint')
    parser.add_argument(
        '--quickstart', type=Path, nargs='?', metavar='DIR',
        const=Path('work_dirs/quickstart'),
        help='the networks that tools/quickstart.sh trained (default DIR: '
        '%(const)s); the default where no network is named')
    parser.add_argument('--port', type=int, default=7860,
                        help='where on this machine (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Serve the page until interrupted.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        int: 0.

    Raises:
        LaunchError: If a network cannot be loaded, gradio is missing or the
            port is taken.
    """
    from ..demo import launch_demo, load_network, quickstart_networks
    networks = [load_network(kind, *getattr(args, kind))
                for kind in ('classifier', 'detector', 'segmentor')
                if getattr(args, kind)]
    if args.quickstart or not networks:
        networks += quickstart_networks(
            args.quickstart or Path('work_dirs/quickstart'))
    launch_demo(networks, args.port)
    return 0
