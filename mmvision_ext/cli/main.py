"""Choose a command, run it, turn its end into an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from ..version import __version__

#: Command -> what it does, in a line. Each has a module of its name,
#: with _ for -.
COMMANDS = {
    'demo': 'try networks on your own images, in the browser',
    'export': 'write a trained network as ONNX or torch.export',
    'predict': 'what a trained network sees in images',
    'models': 'list the models of the zoo, with figures and costs',
    'flops': 'what a network costs, part by part',
    'convert': 'official weights to the names of this package',
    'info': 'what is installed and whether it works together',
    'picture': 'draw what a network has learnt: heat, attention and others',
    'inspect-data': 'what a data set holds, its faults, a config for it',
    'browse': 'draw a data set as the pipeline of a config makes it',
    'curves': 'draw the curves of one or several trainings',
    'compare': 'draw predictions beside the truth, the worst ones first',
}
_PROG = 'python -m mmvision_ext'


def _list_commands() -> str:
    width = max(map(len, COMMANDS))
    lines = [f'  {name:<{width}}  {text}' for name, text in COMMANDS.items()]
    return 'commands:\n' + '\n'.join(lines)


def _top_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description='vHeat, iTPN and MA2ML for the OpenMMLab libraries.',
        epilog=f'{_list_commands()}\n\n'
        f'`{_PROG} COMMAND --help` tells more, with examples.')
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND',
                        help='one of those below')
    return parser


def _command_parser(name: str,
                    module: ModuleType) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f'{_PROG} {name}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f'{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.',
        epilog=f'examples:\n{module.EXAMPLES.strip(chr(10))}')
    module.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv (Sequence[str], optional): Arguments. Defaults to those of the
            process.

    Returns:
        int: 0 if all went well; 1 after a mistake in the input, told in one
        line on stderr; 2 for arguments that make no sense; 130 after
        Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    chosen = _top_parser().parse_args(argv[:1] or ['--help'])
    module = import_module(
        f'{__package__}.{chosen.command.replace("-", "_")}')
    args = _command_parser(chosen.command, module).parse_args(argv[1:])
    # Late: these import torch, which `--help` has no need of.
    from .. import prepare
    from ..compat.stack import StackError
    try:
        prepare()
    except StackError as error:
        # It lists the commands that mend the stack, a line each.
        print(f'error: {error}', file=sys.stderr)
        return 1
    from ..compat import CheckpointError
    from ..engine.errors import LaunchError
    try:
        return module.run(args)
    except (LaunchError, CheckpointError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has seen enough; let Python not try
            # to write the rest at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
