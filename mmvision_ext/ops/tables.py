"""Resizing of tables whose two first axes are frequency indices."""

from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .dct import is_graph_capture
from .resample import resample_grid

#: Rules by which a table of one grid becomes a table of another.
TABLE_RULES = ('bicubic', 'pad', 'aligned')


def _aligned_weights(old: int, new: int, like: Tensor) -> Tensor:
    # Index n of the new table and index n * old / new of the old one are the
    # same frequency, in radians a token; frequencies between two entries are
    # interpolated linearly.
    target = torch.arange(new, dtype=like.dtype, device=like.device)
    size = torch.full((), new, dtype=like.dtype, device=like.device)
    target = (target * (old / size)).clamp(max=old - 1)
    source = torch.arange(old, dtype=like.dtype, device=like.device)
    # (new, 1) - (old,) -> (new, old)
    return (1. - (target[:, None] - source).abs()).clamp(min=0.)


def _pad_table(table: Tensor, size: Tuple[int, int]) -> Tensor:
    rows, columns, _ = table.shape
    # Negative padding cuts: the rule undoes itself.
    return F.pad(table, (0, 0, 0, size[1] - columns, 0, size[0] - rows))


def _bicubic(table: Tensor, size: Tuple[int, int]) -> Tensor:
    if table.device.type == 'cpu' and not is_graph_capture():
        # several times as fast there, the backward pass above all
        return resample_grid(table, size)
    # (R_h, R_w, C) -> (1, C, R_h, R_w) -> (1, C, H, W) -> (H, W, C)
    return F.interpolate(
        table.permute(2, 0, 1)[None], size=size, mode='bicubic',
        align_corners=False)[0].permute(1, 2, 0)


def resize_table(table: Tensor, size: Tuple[int, int], rule: str) -> Tensor:
    """Bring a frequency table to another grid. Differentiable.

    Args:
        table (Tensor): Shape (R_h, R_w, C).
        size (tuple[int, int]): The grid wanted, (H, W).
        rule (str): ``'bicubic'`` interpolates the indices as pixels
            (``align_corners=False``, no antialiasing), what the released
            detection and segmentation networks do at run time; ``'pad'``
            keeps each index and fills the rest with zeros, or cuts, what
            the released converter does; ``'aligned'`` keeps each entry at
            its frequency, frequency 0 exactly, and interpolates linearly.

    Returns:
        Tensor: Shape (H, W, C), same type; ``table`` itself if its grid is
        right already.

    Raises:
        ValueError: If ``rule`` is unknown.
    """
    if rule not in TABLE_RULES:
        raise ValueError(
            f'table rule {rule!r} is unknown; choose one of {TABLE_RULES}')
    # A captured graph serves every size, so it must not depend on this one.
    # Each rule returns the same values at an unchanged size.
    if not is_graph_capture() and tuple(table.shape[:2]) == tuple(size):
        return table
    if rule == 'pad':
        return _pad_table(table, size)
    dtype = table.dtype
    table = table.to(torch.promote_types(dtype, torch.float32))
    if rule == 'bicubic':
        table = _bicubic(table, size)
    else:
        rows = _aligned_weights(table.shape[0], size[0], table)
        columns = _aligned_weights(table.shape[1], size[1], table)
        # (H, R_h), (R_h, R_w, C), (W, R_w) -> (H, W, C)
        table = torch.einsum('hr,rsc,ws->hwc', rows, table, columns)
    return table.to(dtype)
