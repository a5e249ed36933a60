"""Building blocks that import torch alone, and Triton where they need it."""

from .dct import dct_2d, dct_basis, idct_2d, squared_frequencies
from .decay import decay_map
from .drop_path import DropPath
from .heat import conduct_heat
from .mlp import Mlp, fused_mlp
from .resample import resample_grid, resample_matrix
from .tables import TABLE_RULES, resize_table

__all__ = [
    'TABLE_RULES', 'DropPath', 'Mlp', 'conduct_heat', 'dct_2d', 'dct_basis',
    'decay_map', 'fused_mlp', 'idct_2d', 'resample_grid', 'resample_matrix',
    'resize_table', 'squared_frequencies'
]
