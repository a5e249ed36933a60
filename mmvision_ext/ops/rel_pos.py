"""Relative position tables: resizing, and the biases that they stand for.

Two kinds. A *bias table* holds one value for each head and each offset
(dy, dx) between query and key; :func:`offset_bias` spreads it over all pairs
of tokens. An *axis table* holds one vector for each offset along one axis,
whose product with the query is the bias (the decomposed form of MViTv2, arXiv
2112.01526, section 4.1, as used by ViTDet).
"""

import math
from typing import Tuple

import torch
from torch import Tensor

from .dct import is_graph_capture, no_autocast
from .resample import resample_grid, resample_matrix

Size = Tuple[int, int]


def table_side(table: Tensor) -> int:
    """Entries a side of a square bias table.

    Args:
        table (Tensor): Shape (side * side, heads).

    Returns:
        int: ``side``, 2S - 1 for a table made for S x S tokens.

    Raises:
        ValueError: If the length is not the square of an odd number.
    """
    side = math.isqrt(table.shape[0])
    if side * side != table.shape[0] or side % 2 == 0:
        raise ValueError(
            f'a relative position table of {table.shape[0]} entries; '
            'expected (2S - 1)^2 of them for S x S tokens')
    return side


def resize_bias_table(table: Tensor, size: Size) -> Tensor:
    """A square bias table as offsets of a map of any size, by bicubics.

    Args:
        table (Tensor): Shape ((2S - 1)^2, heads), row offset first.
        size (tuple[int, int]): The map, (H, W) in tokens.

    Returns:
        Tensor: Shape (2H - 1, 2W - 1, heads); entry [H - 1, W - 1] is that
        of offset 0. Differentiable.
    """
    side = table_side(table)
    # ((2S-1)^2, heads) -> (2S-1, 2S-1, heads)
    grid = table.unflatten(0, (side, side))
    wanted = (2 * size[0] - 1, 2 * size[1] - 1)
    # A captured graph serves every size; the values are the same.
    if not is_graph_capture() and wanted == (side, side):
        return grid
    return resample_grid(grid, wanted)


def crop_bias_table(table: Tensor, size: Size) -> Tensor:
    """The offsets of a smaller map out of a square bias table.

    Args:
        table (Tensor): Shape ((2S - 1)^2, heads), row offset first.
        size (tuple[int, int]): The map, (H, W) in tokens, at most S each.

    Returns:
        Tensor: Shape (2H - 1, 2W - 1, heads), each entry at its offset.
    """
    side = table_side(table)
    top, left = (side + 1) // 2 - size[0], (side + 1) // 2 - size[1]
    # ((2S-1)^2, heads) -> (2S-1, 2S-1, heads) -> (2H-1, 2W-1, heads)
    grid = table.unflatten(0, (side, side))
    return grid[top:side - top, left:side - left]


def resize_axis_table(table: Tensor, length: int) -> Tensor:
    """An axis table as offsets of an axis of any length, linearly.

    Args:
        table (Tensor): Shape (2S - 1, D).
        length (int): Tokens along the axis, L.

    Returns:
        Tensor: Shape (2L - 1, D), the type of ``table``. Differentiable.
    """
    wanted = 2 * length - 1
    if not is_graph_capture() and wanted == table.shape[0]:
        return table
    values = table.to(torch.promote_types(table.dtype, torch.float32))
    matrix = resample_matrix(table.shape[0], wanted, 'linear', like=values)
    with no_autocast(values):
        return (matrix @ values).to(table.dtype)


def crop_axis_table(table: Tensor, length: int) -> Tensor:
    """The offsets of a shorter axis out of an axis table.

    Args:
        table (Tensor): Shape (2S - 1, D).
        length (int): Tokens along the axis, L, at most S.

    Returns:
        Tensor: Shape (2L - 1, D), each entry at its offset.
    """
    start = (table.shape[0] + 1) // 2 - length
    return table[start:table.shape[0] - start]


def offset_bias(table: Tensor, rows: slice) -> Tensor:
    """The bias of a range of query rows towards all keys of a map.

    Args:
        table (Tensor): Shape (2H - 1, 2W - 1, heads), from
            :func:`resize_bias_table`.
        rows (slice): Query rows, start and stop within 0 to H.

    Returns:
        Tensor: Shape (heads, R * W, H * W) for R rows, contiguous: entry
        [., (y, x), (y', x')] is ``table[y - y' + H - 1, x - x' + W - 1]``.
    """
    height, width = ((side + 1) // 2 for side in table.shape[:2])
    place = torch.arange(width, device=table.device)
    # All pairs of columns first, few values: (2H-1, 2W-1, heads) ->
    # (2H-1, W, W, heads) -> (heads, W, 2H-1, W), queries before keys. With
    # the row offsets turned round, the keys of a query row are a slice.
    pairs = table.flip(0)[:, place[:, None] - place + width - 1]
    pairs = pairs.permute(3, 1, 0, 2).contiguous()
    # R of (heads, W, H, W) -> (heads, R, W, H, W) -> (heads, R*W, H*W)
    parts = [
        pairs[:, :, height - 1 - y:2 * height - 1 - y]
        for y in range(rows.start, rows.stop)
    ]
    return torch.stack(parts, 1).flatten(3, 4).flatten(1, 2)


def offset_bias_at(table: Tensor, ids: Tensor) -> Tensor:
    """The bias between some tokens of a map.

    Args:
        table (Tensor): Shape (2H - 1, 2W - 1, heads), from
            :func:`resize_bias_table`.
        ids (Tensor): Row-major numbers of the tokens, shape (B, K).

    Returns:
        Tensor: Shape (B, heads, K, K), queries before keys.
    """
    height, width = ((side + 1) // 2 for side in table.shape[:2])
    y = ids // width
    x = ids - y * width  # ONNX has no remainder by a size that it reads
    # (B, K, 1) - (B, 1, K) -> (B, K, K)
    dy = y[:, :, None] - y[:, None] + height - 1
    dx = x[:, :, None] - x[:, None] + width - 1
    # (B, K, K, heads) -> (B, heads, K, K)
    return table[dy, dx].permute(0, 3, 1, 2)
