"""``info``: the verdict on the environment."""

import argparse

EXAMPLES = """
  python -m mmvision_ext info
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command takes no arguments.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """


def run(args: argparse.Namespace) -> int:
    """Print the verdict, and where the configs and tools are.

    Args:
        args (argparse.Namespace): No arguments.

    Returns:
        int: 0 where the stack is usable, 1 otherwise.
    """
    from ..compat.verdict import environment_verdict
    from ..engine.errors import LaunchError
    from ..engine.shipped import shipped_root
    try:
        place = str(shipped_root())
    except LaunchError as error:
        place = f'none: {error}'
    print(f'{"configs":<13}{place}')
    verdict = environment_verdict()
    print(verdict.text)
    return 0 if verdict.ok else 1
