"""Tables of other sizes among the weights that are loaded."""

import re
from typing import Dict

import torch
from torch import Tensor, nn

from ..ops.rel_pos import resize_axis_table, resize_bias_table, table_side
from .position import grid_side, resize_position

#: What may be missing or too many, since it comes and goes with the task:
#: the norm of the classifier, and relative positions.
OPTIONAL = (r'fc_norm\.|blocks\.\d+\.attn\.(relative_position_bias_table|'
            r'rel_pos_[hw])$')

_TABLE = re.compile(r'(absolute_)?pos_embed$|blocks\.\d+\.attn\.'
                    r'(relative_position_bias_table|rel_pos_[hw])$')


def fit_tables(module: nn.Module, state_dict: Dict[str, Tensor],
               prefix: str) -> None:
    """Bring position tables among given weights to the size of a network.

    An absolute embedding is resampled as it would be at run time, relative
    tables bicubically (biases) or linearly (decomposed). The index buffer
    that the original stores is left out. Whatever has other channels or no
    square is left to the usual error.

    Args:
        module (nn.Module): The network.
        state_dict (dict[str, Tensor]): Given weights; changed in place.
        prefix (str): What stands before the names of the network.
    """
    state_dict.pop(f'{prefix}relative_position_index', None)
    for name, own in module.named_parameters():
        given = state_dict.get(prefix + name)
        if not _TABLE.match(name) or not isinstance(given, Tensor) or \
                given.ndim != own.ndim or given.shape[-1] != own.shape[-1] \
                or given.shape == own.shape:
            continue
        try:
            state_dict[prefix + name] = _fit(name, given, own,
                                             module.position_excess)
        except ValueError:  # not the tokens of a square
            continue


@torch.no_grad()
def _fit(name: str, given: Tensor, own: Tensor, excess: float) -> Tensor:
    if name.endswith('pos_embed'):
        side = grid_side(own)
        return resize_position(given, (side, side), side * side, excess)
    if name.endswith('bias_table'):
        side = (table_side(own) + 1) // 2
        # (2S-1, 2S-1, heads) -> ((2S-1)^2, heads)
        return resize_bias_table(given, (side, side)).flatten(0, 1)
    return resize_axis_table(given, (own.shape[0] + 1) // 2)
