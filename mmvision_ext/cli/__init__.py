"""The command line, ``python -m mmvision_ext COMMAND``.

Each command is a module of this package with ``add_arguments(parser)``,
``run(args) -> int`` and ``EXAMPLES``, imported when it is asked for: what
one command needs, such as ONNX, another does not wait for or miss.
"""

from .main import COMMANDS, main

__all__ = ['COMMANDS', 'main']
