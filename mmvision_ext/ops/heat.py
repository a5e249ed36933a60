"""Conduction of heat on channels-last maps.

Source: vHeat (arXiv 2405.16555), equations 6 to 8.
"""

import torch
from torch import Tensor

from .dct import (
    can_keep,
    dct_2d,
    idct_2d,
    is_low_precision,
    no_autocast,
)
from .folded import can_fold, conduct_folded
from .heat_triton import try_conduct_heat


def conduct_heat(x: Tensor, decay: Tensor) -> Tensor:
    """Transform, multiply by the decay, transform back.

    Args:
        x (Tensor): Heat of shape (B, H, W, C).
        decay (Tensor): ``exp(-k (w_n^2 + w_m^2))`` of shape (H, W, C), in
            float32 or better; it must be 1 at [0, 0], as every decay of
            heat is.

    Returns:
        Tensor: Heat after conduction, shape and type of ``x``.
    """
    out = try_conduct_heat(x, decay)
    return conduct_heat_plain(x, decay) if out is None else out


def conduct_heat_plain(x: Tensor, decay: Tensor) -> Tensor:
    """:func:`conduct_heat` in operators of torch, on any device."""
    with no_autocast(x):
        if can_fold(x) and can_keep():
            return conduct_folded(x, decay.to(x.dtype))
        if not is_low_precision(x.dtype):
            return idct_2d(dct_2d(x) * decay.to(x.dtype))
        # The mean keeps its value (decay 1 at frequency 0). Left in, its
        # coefficient is sqrt(HW) times as large as the mean: it overflows
        # float16 and takes most of bfloat16's accuracy.
        mean = x.mean((1, 2), keepdim=True, dtype=torch.float32)
        heat = dct_2d((x - mean).to(x.dtype))
        heat = idct_2d((heat * decay).to(x.dtype))
        return (heat + mean).to(x.dtype)
