"""Modules run by faster functions, as far as that is the same."""

import torch
from torch import Tensor, nn

from .fused import is_plain
from .gemm import fast_linear


def run_linear(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer, by :func:`fast_linear` if nothing else hangs on it.

    Args:
        layer (nn.Module): The layer, or what has been put in its place.
        x (Tensor): Shape (..., C).

    Returns:
        Tensor: Shape (..., D).
    """
    if type(layer) is nn.Linear and is_plain(layer, bias=False):
        return fast_linear(x, layer.weight, layer.bias)
    return layer(x)


def crop_map(x: Tensor, height: int, width: int) -> Tensor:
    """The upper left part of channels-last maps.

    Args:
        x (Tensor): Shape (..., H, W, C).
        height (int): Rows to keep, at most H.
        width (int): Columns to keep, at most W.

    Returns:
        Tensor: Shape (..., height, width, C), a view but in exported graphs.
    """
    if torch.compiler.is_exporting():
        # A slice would bind the graph to sizes that it cuts, or to others.
        for dim, length in ((-3, height), (-2, width)):
            x = x.index_select(dim, torch.arange(length, device=x.device))
        return x
    return x[..., :height, :width, :]
