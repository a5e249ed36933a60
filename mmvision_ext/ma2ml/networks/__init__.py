"""Networks that the search can build: mobile and cell backbones."""
from importlib.util import find_spec

from .cell_arch import CellArch
from .mobile_arch import MobileArch

__all__ = ['CellArch', 'MobileArch']

# Sizes and costs need nothing; the networks need torch and mmengine.
if find_spec('mmengine') is not None:
    from .cells import SearchableCellNet  # noqa: F401
    from .mobile import SearchableMobileNet  # noqa: F401
    __all__ += ['SearchableCellNet', 'SearchableMobileNet']
