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
    """Print the verdict.

    Args:
        args (argparse.Namespace): No arguments.

    Returns:
        int: 0 where the stack is usable, 1 otherwise.
    """
    from ..compat.verdict import environment_verdict
    verdict = environment_verdict()
    print(verdict.text)
    return 0 if verdict.ok else 1
