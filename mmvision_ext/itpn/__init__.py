"""iTPN: backbone, pyramid, pre-training, weights."""

from importlib.util import find_spec

from .arch import ARCH_ZOO, ITPNArch
from .network import ITPNNetwork
from .pyramid import ITPNPyramidNetwork

__all__ = ['ARCH_ZOO', 'ITPNArch', 'ITPNNetwork', 'ITPNPyramidNetwork']

# The networks run on torch alone; only the registered classes need mmengine.
if find_spec('mmengine') is not None:
    from .backbone import ITPN  # noqa: F401
    from .neck import ITPNPyramid  # noqa: F401
    __all__ += ['ITPN', 'ITPNPyramid']
