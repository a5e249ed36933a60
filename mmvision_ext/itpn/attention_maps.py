"""The rows of iTPN's attention: what one token looks at."""

from typing import List, Optional, Tuple, Union

import torch
from torch import Tensor

from ..ops.rel_pos import (
    Size,
    offset_bias,
    resize_axis_table,
    resize_bias_table,
)
from .attention import Attention
from .fast_blocks import SplitAttention
from .network import ITPNNetwork


@torch.no_grad()
def attention_rows(backbone: ITPNNetwork, image: Tensor,
                   place: Tuple[float, float]) -> List[Tensor]:
    """Weights that one token gives to all tokens, in every attention block.

    Args:
        backbone (ITPNNetwork): iTPN or Fast-iTPN, left as it was.
        image (Tensor): One normalised image of shape (1, C, H, W).
        place (tuple[float, float]): Where the token is, as shares of height
            and width, each at least 0 and below 1.

    Returns:
        list[Tensor]: A block each, shape (heads, h, w); each head sums up to
        1.

    Raises:
        ValueError: If a block attends within windows.
    """
    calls: List[Tuple[Tensor, Size]] = []

    def keep(_module: object, args: tuple) -> None:
        calls.append((args[0], args[1]))

    blocks = [block.attn for block in backbone.blocks
              if hasattr(block, 'attn')]
    if any(getattr(attn, 'window_size', None) for attn in blocks):
        raise ValueError('some blocks attend within windows; rows of '
                         'attention are defined for global blocks only')
    training = backbone.training
    hooks = [attn.register_forward_pre_hook(keep) for attn in blocks]
    try:
        backbone.eval()
        backbone(image)
    finally:
        for hook in hooks:
            hook.remove()
        backbone.train(training)
    rows = []
    for attn, (x, size) in zip(blocks, calls):
        y, x_place = (int(share * side) for share, side in zip(place, size))
        weights = attention_row(attn, x, size, y * size[1] + x_place)
        # (heads, N) -> (heads, h, w)
        rows.append(weights[0].unflatten(1, size))
    return rows


def attention_row(attn: Union[Attention, SplitAttention], x: Tensor,
                  size: Size, query: int) -> Tensor:
    """Softmax over all keys of one query, relative position included.

    Args:
        attn (Attention | SplitAttention): A global attention.
        x (Tensor): Its tokens, (B, h * w, C).
        size (tuple[int, int]): The map, (h, w).
        query (int): Row-major number of the token.

    Returns:
        Tensor: Shape (B, heads, h * w).
    """
    heads = attn.num_heads
    if isinstance(attn, SplitAttention):
        q, k = attn.q_proj(x) + attn.q_bias, attn.k_proj(x)
    else:
        q, k, _ = attn.qkv(x).chunk(3, -1)
    # (B, N, C) -> (B, N, heads, D) -> (B, heads, N, D)
    q, k = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (q, k))
    q = q[:, :, query]  # (B, heads, D)
    scores = torch.einsum('bhd,bhnd->bhn', q * q.shape[-1]**-0.5, k)
    bias = _bias(attn, q, size, query)
    return torch.softmax(scores if bias is None else scores + bias, -1)


def _bias(attn: Union[Attention, SplitAttention], q: Tensor, size: Size,
          query: int) -> Optional[Tensor]:
    """What the relative position adds to the scores of a query."""
    kind = getattr(attn, 'rpe', 'none')
    if kind == 'none':
        return None
    height, width = size
    y, x = divmod(query, width)
    if kind == 'table':
        table = resize_bias_table(attn.relative_position_bias_table, size)
        # (heads, W, N) -> (heads, N)
        return offset_bias(table, slice(y, y + 1))[:, x]
    rel_h = resize_axis_table(attn.rel_pos_h, height)
    rel_w = resize_axis_table(attn.rel_pos_w, width)
    # Offsets of this query to the keys, 0 first: y + H - 1 down to y.
    rows = torch.einsum('bhd,yd->bhy', q, rel_h[y:y + height].flip(0))
    columns = torch.einsum('bhd,xd->bhx', q, rel_w[x:x + width].flip(0))
    # (B, heads, H, 1) + (B, heads, 1, W) -> (B, heads, N)
    return (rows[..., None] + columns[:, :, None]).flatten(2)
