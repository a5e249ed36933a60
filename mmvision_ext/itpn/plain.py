"""The textbook form of iTPN's attention, to measure and check ours against.

It makes the matrix of all pairs of tokens, as the original networks do. No
model offers it.
"""

import copy
from typing import Tuple

import torch
from torch import Tensor, nn

from .attention import Attention, Size


class PlainAttention(nn.Module):
    """The same attention with its score matrix in memory.

    Scores are scaled products of queries and keys, plus the bias of all
    pairs. Without a relative position or with a table of biases they are
    converted to float32 and clamped to its finite range, which the original
    does before the softmax.

    Args:
        attention (Attention): Whose parameters to use; without windows, its
            tables made for maps of the very size it will see.
        index (Tensor): From :func:`pair_index`. All blocks share one.

    Raises:
        ValueError: If the attention has windows.
    """

    def __init__(self, attention: Attention, index: Tensor) -> None:
        super().__init__()
        if attention.window_size is not None:
            raise ValueError(
                f'window_size is {attention.window_size}; the plain form is '
                'that of attention without windows')
        self.source = attention
        # no buffer: it would be copied with every block
        self.index = index

    def forward(self, x: Tensor, size: Size, ids: None = None) -> Tensor:
        """Mix the tokens of a map, (B, N, C) to (B, N, C)."""
        source = self.source
        # (B, N, 3C) -> (B, N, 3, heads, D) -> 3 of (B, heads, N, D)
        qkv = source.qkv(x).unflatten(-1, (3, source.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * q.shape[-1]**-0.5) @ k.transpose(-2, -1)
        if source.rpe == 'decomposed':
            scores = scores + self._axis_bias(q, size)
        else:
            if source.rpe == 'table':
                scores = scores + self._table_bias()
            finite = torch.finfo(torch.float32)
            scores = scores.float().clamp(finite.min, finite.max)
        x = scores.softmax(-1).to(v.dtype) @ v
        # (B, heads, N, D) -> (B, N, heads, D) -> (B, N, C)
        return source.proj(x.transpose(1, 2).flatten(2))

    def _table_bias(self) -> Tensor:
        table = self.source.relative_position_bias_table
        # (N*N, heads) -> (N, N, heads) -> (heads, N, N)
        pairs = table[self.index.flatten()].unflatten(0, self.index.shape)
        return pairs.permute(2, 0, 1).contiguous()

    def _axis_bias(self, q: Tensor, size: Size) -> Tensor:
        rows, columns = (
            _offsets(table, length)
            for table, length in ((self.source.rel_pos_h, size[0]),
                                  (self.source.rel_pos_w, size[1])))
        # (B, heads, N, D) -> (B, heads, H, W, D)
        grid = q.unflatten(2, size)
        by_row = torch.einsum('bnhwd,hkd->bnhwk', grid, rows)
        by_column = torch.einsum('bnhwd,wkd->bnhwk', grid, columns)
        bias = by_row[..., :, None] + by_column[..., None, :]
        # (B, heads, H, W, H, W) -> (B, heads, N, N)
        return bias.flatten(4, 5).flatten(2, 3)


def pair_index(side: int, device: torch.device) -> Tensor:
    """Which entry of a table of biases belongs to which pair of tokens.

    Args:
        side (int): Tokens a side of a square map, S; the table has
            (2S - 1)^2 entries.
        device (torch.device): Where to make it.

    Returns:
        Tensor: Shape (S * S, S * S), int64, queries before keys.
    """
    place = torch.arange(side, device=device)
    # (S, S): the offset of each query to each key along one axis
    offset = place[:, None] - place + side - 1
    # rows (S, 1, S, 1) and columns (1, S, 1, S) -> (S, S, S, S)
    index = offset[:, None, :, None] * (2 * side - 1) + offset[None, :, None]
    return index.flatten(2, 3).flatten(0, 1)


def make_plain(model: nn.Module, index: Tensor) -> nn.Module:
    """A copy of a model in which all attention has the plain form.

    Args:
        model (nn.Module): The model; it is left as it is.
        index (Tensor): From :func:`pair_index`.

    Returns:
        nn.Module: The copy, its parameters in the same order.
    """
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Attention):
                setattr(module, name, PlainAttention(child, index))
    return model


def score_bytes(num_tokens: int, num_heads: int, dtype: torch.dtype,
                rpe: str) -> Tuple[int, int]:
    """Memory of the score matrices of one block and one image, by sums.

    Args:
        num_tokens (int): Tokens.
        num_heads (int): Heads.
        dtype (torch.dtype): Type of queries, keys and values.
        rpe (str): Kind of relative position.

    Returns:
        tuple[int, int]: Bytes kept for the backward pass: what the clamp
        was given and what the softmax made, float32 both, and the latter in
        ``dtype`` where that is another; and bytes needed besides while the
        block is at work, three matrices in float32.
    """
    scores = num_heads * num_tokens * num_tokens
    kept = 4 if rpe == 'decomposed' else 8
    if dtype != torch.float32:
        kept += dtype.itemsize
    return kept * scores, 12 * scores


def _offsets(table: Tensor, length: int) -> Tensor:
    # (2L-1, D) -> (L, L, D): [i, j] is the entry of offset i - j
    place = torch.arange(length, device=table.device)
    return table[place[:, None] - place + length - 1]
