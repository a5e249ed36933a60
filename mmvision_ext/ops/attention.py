"""Scaled dot-product attention over the tokens of a map.

All functions take queries, keys and values of shape (B, heads, N, D), scale
the scores by ``D ** -0.5`` and return (B, heads, N, D). They differ in what
is added to the scores. None keeps a matrix of all pairs of many tokens.
"""

from typing import Optional, Tuple

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from torch import Tensor

from .attention_rows import MIN_PRODUCT_KEYS, attend_rows
from .dct import is_graph_capture
from .gemm import by_products
from .rel_pos import offset_bias, offset_bias_at

#: Entries of a bias that are made at a time; 64 MiB in float32.
MAX_BIAS_ENTRIES = 1 << 24


def attend(q: Tensor, k: Tensor, v: Tensor,
           scale: Optional[float] = None) -> Tensor:
    """Attention without a bias; memory is linear in the tokens.

    Args:
        q (Tensor): Queries, (B, heads, N, D).
        k (Tensor): Keys, (B, heads, M, D).
        v (Tensor): Values, (B, heads, M, D').
        scale (float, optional): Factor of the scores. Defaults to
            ``D ** -0.5``.

    Returns:
        Tensor: Shape (B, heads, N, D').
    """
    scale = q.shape[-1]**-0.5 if scale is None else scale
    if by_products(q) and k.shape[2] >= MIN_PRODUCT_KEYS:
        return attend_rows(q, k, v, scale)
    dims = v.shape[-1]
    if v.device.type == 'cpu':
        # The fused kernel of the CPU wants as many for values as for keys.
        v = F.pad(v, (0, k.shape[-1] - dims))
    return F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :dims]


def attend_offsets(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    """Attention within a map, with a bias for each offset.

    Where the bias of all pairs would be large it is made for some rows of
    queries at a time, and again in the backward pass: memory is linear in
    the tokens then.

    Args:
        q (Tensor): Queries, (B, heads, H * W, D).
        k (Tensor): Keys of the same shape.
        v (Tensor): Values of the same shape.
        table (Tensor): Shape (2H - 1, 2W - 1, heads), see
            :func:`mmvision_ext.ops.rel_pos.resize_bias_table`.

    Returns:
        Tensor: Shape (B, heads, H * W, D).
    """
    table = table.to(q.dtype)
    height, width = ((side + 1) // 2 for side in table.shape[:2])
    if is_graph_capture():  # a loop would bind the graph to this size
        ids = torch.arange(height * width, device=q.device)[None]
        return attend_offsets_at(q, k, v, table, ids)
    row_entries = table.shape[2] * width * height * width
    step = min(max(MAX_BIAS_ENTRIES // row_entries, 1), height)
    if step == height:
        return _attend_rows(q, k, v, table, 0, height)
    outs = []
    for start in range(0, height, step):
        stop = min(start + step, height)
        part = (q[:, :, start * width:stop * width], k, v, table, start, stop)
        if torch.is_grad_enabled():
            outs.append(
                cp.checkpoint(
                    _attend_rows,
                    *part,
                    use_reentrant=False,
                    preserve_rng_state=False))
        else:
            outs.append(_attend_rows(*part))
    return torch.cat(outs, dim=2)


def _attend_rows(q: Tensor, k: Tensor, v: Tensor, table: Tensor, start: int,
                 stop: int) -> Tensor:
    bias = offset_bias(table, slice(start, stop))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])


def attend_offsets_at(q: Tensor, k: Tensor, v: Tensor, table: Tensor,
                      ids: Tensor) -> Tensor:
    """The same between some tokens of a map.

    Args:
        q (Tensor): Queries, (B, heads, K, D).
        k (Tensor): Keys of the same shape.
        v (Tensor): Values of the same shape.
        table (Tensor): As in :func:`attend_offsets`.
        ids (Tensor): Row-major numbers of the tokens in the map, (B, K).

    Returns:
        Tensor: Shape (B, heads, K, D).
    """
    bias = offset_bias_at(table.to(q.dtype), ids)
    if torch.compiler.is_exporting():
        # The layout of a fused kernel's result differs between devices and
        # decompositions, and an exported graph would rely on one of them.
        scores = q @ k.transpose(-2, -1) * q.shape[-1]**-0.5 + bias
        return scores.softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def attend_axes(q: Tensor,
                k: Tensor,
                v: Tensor,
                rel_h: Tensor,
                rel_w: Tensor,
                ids: Optional[Tensor] = None) -> Tensor:
    """Attention within a map, with the decomposed relative position.

    ``q . rel_h[y - y'] + q . rel_w[x - x']`` is added to the scaled score of
    query (y, x) and key (y', x'). Both terms are linear in the query and
    depend on the key by its row or column alone, so they are written as more
    channels: products with all rows and columns on the side of the query,
    which row and column it is on the side of the key. This is exact, and no
    matrix of all pairs is made.

    Args:
        q (Tensor): Queries, (B, heads, N, D), N = H * W or the number of
            ``ids``.
        k (Tensor): Keys of the same shape.
        v (Tensor): Values of the same shape.
        rel_h (Tensor): Vectors of the row offsets, (2H - 1, D).
        rel_w (Tensor): Vectors of the column offsets, (2W - 1, D).
        ids (Tensor, optional): Row-major numbers of the tokens in the map,
            (B, N). Defaults to all tokens in order.

    Returns:
        Tensor: Shape (B, heads, N, D).
    """
    dims = q.shape[-1]
    scale = dims**-0.5
    products, marks = _axis_channels(q, rel_h, rel_w, ids)
    extra = products.shape[-1]
    # Kernels want channels in eights.
    fill = -(dims + extra) % 8
    # (B, heads, N, D), (B, heads, N, H + W) -> (B, heads, N, D + H + W + f)
    q = F.pad(torch.cat((q, products / scale), -1), (0, fill))
    k = torch.cat((k, marks.expand(*k.shape[:3], extra)), -1)
    return attend(q, F.pad(k, (0, fill)), v, scale)


def _axis_vectors(table: Tensor) -> Tensor:
    # (2L-1, D) -> (L, L, D): [i, j] is the entry of offset i - j
    place = torch.arange((table.shape[0] + 1) // 2, device=table.device)
    return table[place[:, None] - place + place.shape[0] - 1]


def _axis_channels(q: Tensor, rel_h: Tensor, rel_w: Tensor,
                   ids: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
    """Products of the queries, (B, heads, N, H + W), and marks of the keys.

    The marks have the shape (1 or B, 1, N, H + W).
    """
    rows, columns = (_axis_vectors(t.to(q.dtype)) for t in (rel_h, rel_w))
    height, width = rows.shape[0], columns.shape[0]
    every = ids is None
    if every:
        ids = torch.arange(height * width, device=q.device)[None]
    at_row = ids // width
    at_column = ids - at_row * width  # see offset_bias_at
    if every:
        # (B, heads, H*W, D) -> (B, heads, H, W, D) -> (B, heads, H*W, L)
        grid = q.unflatten(2, (height, width))
        products = (
            torch.einsum('bnhwd,hld->bnhwl', grid, rows).flatten(2, 3),
            torch.einsum('bnhwd,wld->bnhwl', grid, columns).flatten(2, 3))
    else:
        # (B, heads, N, D), (B, N, L, D) -> (B, heads, N, L)
        products = (
            torch.einsum('bnqd,bqld->bnql', q, rows[at_row]),
            torch.einsum('bnqd,bqld->bnql', q, columns[at_column]))
    # (b, N, 1) == (L,) -> (b, N, L)
    marks = torch.cat(
        tuple(place[..., None] == torch.arange(length, device=q.device)
              for place, length in ((at_row, height), (at_column, width))), -1)
    return torch.cat(products, -1), marks[:, None].to(q.dtype)
