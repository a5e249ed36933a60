"""vHeat, iTPN and MA2ML for the OpenMMLab libraries.

The package itself needs torch alone. Where mmengine is installed, importing
it also prepares the stack (see :mod:`mmvision_ext.compat`) and registers
everything under the scope ``mmvision_ext``. Only ``python -m mmvision_ext``
puts that off until it knows that its arguments make sense.
"""

from functools import cache
from importlib.util import find_spec

from .compat import is_command_run, is_verdict_run, setup
from .version import __version__

__all__ = ['__version__', 'prepare']


@cache
def prepare() -> None:
    """Prepare the stack and register everything, once a process.

    Nothing is done where mmengine is not installed. A command that reports
    on the environment registers nothing, as it has to reach its end on a
    broken stack.

    Raises:
        StackError: If the packages of two stacks are mixed, or mmengine
            cannot be imported.
    """
    if find_spec('mmengine') is None:
        return
    setup()
    if not is_verdict_run():
        from . import itpn, registry, vheat  # noqa: F401
        from .zoo.hub import install
        install()


if not is_command_run():
    prepare()
