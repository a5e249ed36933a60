"""Command line of the tool: ``tools/torture.py SUBJECT``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from ..engine.errors import LaunchError

#: Subject -> what is done, in a line. Each has a module of its name with
#: ``add_arguments(parser)`` and ``run(args) -> int``.
SUBJECTS = {
    'resume': 'kill trainings at random moments, resume, compare the weights',
    'numerics': 'random networks, sizes, types and scales: all values finite',
    'precision': 'networks in 16 bits and float32 against float64',
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subject.

    Args:
        argv (Sequence[str], optional): Arguments. Defaults to those of the
            process.

    Returns:
        int: 0 if every promise was kept, 1 if one was not, 2 for arguments
        that make no sense.
    """
    parser = argparse.ArgumentParser(
        prog='torture.py',
        description='What a run survives; docs/reliability.md shows what '
        'came out.')
    subjects = parser.add_subparsers(
        dest='subject', required=True, metavar='SUBJECT')
    usages = []
    for name, text in SUBJECTS.items():
        subject = subjects.add_parser(name, help=text, description=text)
        import_module(f'{__package__}.{name}').add_arguments(subject)
        usages.append(subject.format_usage())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = ''.join(usages)
    args = parser.parse_args(argv)
    try:
        return import_module(f'{__package__}.{args.subject}').run(args)
    except LaunchError as error:
        print(f'torture.py: {error}', file=sys.stderr)
        return 2
