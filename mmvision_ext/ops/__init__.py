"""Plain torch building blocks; nothing here imports more than torch."""

from .dct import conduct_heat, dct_2d, dct_basis, idct_2d, squared_frequencies
from .drop_path import DropPath
from .tables import TABLE_RULES, resize_table

__all__ = [
    'TABLE_RULES', 'DropPath', 'conduct_heat', 'dct_2d', 'dct_basis',
    'idct_2d', 'resize_table', 'squared_frequencies'
]
