"""``convert``: official weights to the names of this package."""

import argparse

from ..engine.convert_options import add_arguments

__all__ = ['EXAMPLES', 'add_arguments', 'run']

EXAMPLES = """
  python -m mmvision_ext convert vHeat_tiny.pth vheat-tiny.pth
  python -m mmvision_ext convert SRC DST --backbone-only
"""


def run(args: argparse.Namespace) -> int:
    """Convert.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        int: 0.

    Raises:
        LaunchError: If the file cannot be converted. Nothing is written.
        CheckpointError: If it cannot be read. Nothing is written.
    """
    # Late: it imports torch.
    from ..engine.convert_cli import run as convert
    return convert(args)
