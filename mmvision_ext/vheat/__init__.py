"""vHeat: heat conduction operator, backbone, weights, pictures."""

from importlib.util import find_spec

from .arch import ARCH_ZOO, VHeatArch
from .network import VHeatNetwork
from .operator import HeatConduction2d

__all__ = ['ARCH_ZOO', 'HeatConduction2d', 'VHeatArch', 'VHeatNetwork']

# The network runs on torch alone; only the registered class needs mmengine.
if find_spec('mmengine') is not None:
    from .backbone import VHeat  # noqa: F401
    __all__ += ['VHeat']
