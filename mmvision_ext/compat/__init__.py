"""The state of the OpenMMLab stack, and what it takes to run on it.

:func:`setup` is called when the package is imported. It needs none of the
OpenMMLab packages, and imports of them mmengine alone. The public names are
loaded on first use, so that this module imports where torch, torchvision,
mmengine or mmcv are missing.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_HOMES = {
    'StackError': 'stack',
    'check_stack': 'stack',
    'detect_stack': 'stack',
    'mmcv_ops_in_use': 'mmcv_ops',
    'CheckpointError': 'checkpoint',
    'CheckpointNotFoundError': 'checkpoint',
    'safe_load': 'checkpoint',
    'adapt_config_for_cpu': 'cpu',
    'has_accelerator': 'cpu',
}

__all__ = ['is_command_run', 'is_verdict_run', 'setup', *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)


def is_command_run() -> bool:
    """Whether this process is being started as ``python -m mmvision_ext``.

    Known while the package is imported for it, and not where the same words
    are arguments of another program.

    Returns:
        bool: True then; False once the command itself runs.
    """
    # Until Python has found the module, '-m' stands for it.
    if sys.argv[:1] != ['-m']:
        return False
    module = sys.orig_argv[-len(sys.argv)]
    return module.removeprefix('-m') == __name__.rpartition('.')[0]


def is_verdict_run() -> bool:
    """Whether this process reports on the environment.

    That is ``python -m mmvision_ext.compat`` or ``python -m mmvision_ext
    info``. It has to report on a broken stack, so nothing that it imports on
    its way may raise because of one.

    Returns:
        bool: True in that command.
    """
    package = __name__.rpartition('.')[0]
    triples = zip(sys.orig_argv, sys.orig_argv[1:],
                  [*sys.orig_argv[2:], ''])
    return any(
        flag == '-m' and (module in (__name__, f'{__name__}.__main__')
                          or (module, command) == (package, 'info'))
        for flag, module, command in triples)


def setup() -> None:
    """Prepare the OpenMMLab stack of this process. Idempotent.

    - checks that the packages of the two stacks are not mixed;
    - offers the torchvision stand-in for a missing ``mmcv._ext``;
    - makes mmengine load checkpoints without unpickling code;
    - makes it write them so that a crash leaves a whole one;
    - makes mmengine's launcher and optimizer wrappers work without CUDA.

    Where mmengine is not installed there is nothing to prepare, and in
    ``python -m mmvision_ext.compat`` nothing is, as that has to report on a
    broken stack.

    Raises:
        StackError: If the packages of the two stacks are mixed, or mmengine
            cannot be imported.
    """
    if find_spec('mmengine') is None or is_verdict_run():
        return
    from .stack import StackError, check_stack
    check_stack()
    from . import cpu, loaders, mmcv_ops, saving
    mmcv_ops.install()
    try:
        import mmengine.runner  # noqa: F401
    except ImportError as error:
        raise StackError(
            f'mmengine is installed but cannot be imported: {error}. Run '
            '`python -m mmvision_ext.compat` to see the state of every '
            'package, and install what it names.') from error
    loaders.install()
    saving.install()
    cpu.install()
