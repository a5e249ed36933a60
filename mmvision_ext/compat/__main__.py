"""``python -m mmvision_ext.compat``: the state of the environment."""

import sys

from .verdict import environment_verdict


def main() -> int:
    """Print the verdict.

    Returns:
        int: 0 where the stack is usable, 1 otherwise.
    """
    verdict = environment_verdict()
    print(verdict.text)
    return 0 if verdict.ok else 1


if __name__ == '__main__':
    sys.exit(main())
