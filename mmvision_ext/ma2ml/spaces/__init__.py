"""The spaces that agents search, to be named in the config of a search.

Each is a class with ``decisions()``, the list of its decisions, and
``apply(cfg, values)``, which writes a candidate into a config.
"""
from .augment import AutoAugmentSpace, RandAugmentSpace, TrivialAugmentSpace
from .backbones import ITPNSpace, VHeatSpace
from .cells import CellSpace
from .costs import analytic_flops
from .keys import KeySpace
from .mobile import MobileSpace
from .recipe import RecipeSpace

__all__ = ['AutoAugmentSpace', 'CellSpace', 'ITPNSpace', 'KeySpace',
           'MobileSpace', 'RandAugmentSpace', 'RecipeSpace',
           'TrivialAugmentSpace', 'VHeatSpace', 'analytic_flops']
