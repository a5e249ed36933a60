"""Multi-head self-attention with the relative positions of iTPN."""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from ..ops.attention import (
    attend,
    attend_axes,
    attend_offsets,
    attend_offsets_at,
)
from ..ops.layers import run_linear
from ..ops.rel_pos import (
    Size,
    crop_axis_table,
    crop_bias_table,
    resize_axis_table,
    resize_bias_table,
)

#: Kinds of relative position.
RPE_KINDS = ('none', 'table', 'decomposed')


class Attention(nn.Module):
    """Multi-head self-attention over the tokens of a map of any size.

    Args:
        embed_dims (int): Channels C.
        num_heads (int): Heads.
        rpe (str): 'none'; 'table', a learnt bias for each offset and head;
            or 'decomposed', vectors for each row and column offset that the
            query is multiplied with. Defaults to 'none'.
        rpe_size (int): Side of the square map, in tokens, that the tables
            are made for. On other maps they are resized, bicubically or
            linearly. Defaults to 14.
        window_size (int, optional): Attend within windows of that many
            tokens a side, smaller ones at the right and bottom edge, with
            relative positions as they are, not resized. An extension, not
            part of iTPN; the tables are then made for a window. Defaults
            to None, all tokens.

    Raises:
        ValueError: If ``rpe`` is not one of these.
    """

    def __init__(self,
                 embed_dims: int,
                 num_heads: int,
                 rpe: str = 'none',
                 rpe_size: int = 14,
                 window_size: Optional[int] = None) -> None:
        super().__init__()
        if rpe not in RPE_KINDS:
            raise ValueError(
                f'rpe is {rpe!r}; choose one of {RPE_KINDS}')
        self.num_heads = num_heads
        self.window_size = window_size
        self.rpe = rpe
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        side = 2 * (window_size or rpe_size) - 1
        if rpe == 'table':
            self.relative_position_bias_table = nn.Parameter(
                torch.zeros(side * side, num_heads))
        elif rpe == 'decomposed':
            self.rel_pos_h, self.rel_pos_w = (
                nn.Parameter(torch.empty(side, embed_dims // num_heads))
                for _ in range(2))
            for table in (self.rel_pos_h, self.rel_pos_w):
                nn.init.trunc_normal_(table, std=0.02, a=-2., b=2.)

    def forward(self,
                x: Tensor,
                size: Optional[Size] = None,
                ids: Optional[Tensor] = None) -> Tensor:
        """Mix the tokens.

        Args:
            x (Tensor): Tokens, (B, N, C).
            size (tuple[int, int], optional): The map, (H, W) in tokens;
                needed with a relative position or windows.
            ids (Tensor, optional): Row-major numbers of the tokens, (B, N);
                not with windows. Defaults to all H * W in order.

        Returns:
            Tensor: Shape (B, N, C).
        """
        # (B, N, 3C) -> (B, N, 3, heads, D)
        qkv = run_linear(self.qkv, x).unflatten(-1, (3, self.num_heads, -1))
        if self.window_size is None:
            x = self._attend(qkv, size, ids)
        else:
            x = self._attend_windows(qkv, size, self.window_size)
        return run_linear(self.proj, x)

    def _attend(self, qkv: Tensor, size: Optional[Size],
                ids: Optional[Tensor]) -> Tensor:
        """(B, N, 3, heads, D) to (B, N, C)."""
        # (B, N, 3, heads, D) -> 3 of (B, heads, N, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.rpe == 'none':
            x = attend(q, k, v)
        elif self.rpe == 'table':
            fit = resize_bias_table if self.window_size is None \
                else crop_bias_table
            table = fit(self.relative_position_bias_table, size)
            x = attend_offsets(q, k, v, table) if ids is None \
                else attend_offsets_at(q, k, v, table, ids)
        else:
            fit = resize_axis_table if self.window_size is None \
                else crop_axis_table
            x = attend_axes(q, k, v, fit(self.rel_pos_h, size[0]),
                            fit(self.rel_pos_w, size[1]), ids)
        # (B, heads, N, D) -> (B, N, heads, D) -> (B, N, C)
        return x.transpose(1, 2).flatten(2)

    def _attend_windows(self, qkv: Tensor, size: Size, window: int) -> Tensor:
        """Whole windows, then what is left at the right and at the bottom.

        No token is added, so none has to be masked.
        """
        # (B, H*W, 3, heads, D) -> (B, H, W, 3, heads, D)
        qkv = qkv.unflatten(1, size)
        rows = []
        for band in _cut(qkv, 1, window):
            parts = []
            for part in _cut(band, 2, window):
                h, w = min(window, part.shape[1]), min(window, part.shape[2])
                parts.append(self._attend_tiles(part, (h, w)))
            rows.append(torch.cat(parts, 2))
        # (B, H, W, C) -> (B, H*W, C)
        return torch.cat(rows, 1).flatten(1, 2)

    def _attend_tiles(self, qkv: Tensor, tile: Size) -> Tensor:
        """(B, H, W, 3, heads, D) to (B, H, W, C), a tile at a time."""
        batch, height, width = qkv.shape[:3]
        grid = height // tile[0], width // tile[1]
        # (B, H, W, ...) -> (B, n, h, m, w, ...) -> (B, n, m, h, w, ...)
        tiles = qkv.unflatten(2, (grid[1], tile[1])).unflatten(
            1, (grid[0], tile[0])).transpose(2, 3)
        # -> (B*n*m, h*w, 3, heads, D) -> (B*n*m, h*w, C)
        x = self._attend(tiles.flatten(3, 4).flatten(0, 2), tile, None)
        # -> (B, n, m, h, w, C) -> (B, n, h, m, w, C) -> (B, H, W, C)
        x = x.unflatten(1, tile).unflatten(0, (batch, *grid))
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _cut(x: Tensor, dim: int, window: int) -> Tuple[Tensor, ...]:
    """What whole windows cover along ``dim``, and the rest if there is."""
    length = x.shape[dim]
    whole = length - length % window
    return tuple(
        x.narrow(dim, start, stop - start)
        for start, stop in ((0, whole), (whole, length)) if stop > start)
