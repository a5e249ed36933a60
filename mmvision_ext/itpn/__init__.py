"""iTPN: backbone, pyramid, pre-training, weights."""

from importlib.util import find_spec

from .arch import ARCH_ZOO, FAST_ARCH_ZOO, ITPNArch
from .fast import FastITPNNetwork, FastITPNPyramidNetwork
from .network import ITPNNetwork
from .pyramid import ITPNPyramidNetwork

__all__ = [
    'ARCH_ZOO', 'FAST_ARCH_ZOO', 'FastITPNNetwork', 'FastITPNPyramidNetwork',
    'ITPNArch', 'ITPNNetwork', 'ITPNPyramidNetwork'
]

# The networks run on torch alone; only the registered classes need mmengine.
if find_spec('mmengine') is not None:
    from . import pretrain  # noqa: F401
    from .backbone import ITPN  # noqa: F401
    from .fast_backbone import FastITPN  # noqa: F401
    from .fast_neck import FastITPNPyramid  # noqa: F401
    from .feature_extractor import FeatureExtractor  # noqa: F401
    from .neck import ITPNPyramid  # noqa: F401
    __all__ += [
        'FastITPN', 'FastITPNPyramid', 'FeatureExtractor', 'ITPN',
        'ITPNPyramid'
    ]
