"""LayerNorms with what follows them, some rows at a time."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .chunks import row_chunks
from .fused import Norm, Sums, normalise, normalise_backward


def norm_gelu(x: Tensor, norm: Norm) -> Tensor:
    """``GELU(LN(x))``, keeping ``x`` alone for the backward pass.

    Args:
        x (Tensor): Shape (..., C).
        norm (Norm): The norm.

    Returns:
        Tensor: Shape (..., C). Gradients of gradients are not available.
    """
    rows = _NormGelu.apply(x.flatten(0, -2), norm, *norm[:2])
    return rows.view(x.shape)


class _NormGelu(torch.autograd.Function):
    """See :func:`norm_gelu`; all of shape (N, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: Norm, weight: Tensor,
                bias: Tensor) -> Tensor:
        out = torch.empty_like(x, dtype=weight.dtype)
        for a, b in row_chunks(len(x), 2 * x[:1].nbytes, x.device):
            rows = normalise(x[a:b], norm)[0]
            out[a:b] = torch.ops.aten.gelu_(rows)
        ctx.eps = norm.eps
        ctx.save_for_backward(x, weight, bias)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, weight, bias = ctx.saved_tensors
        norm = Norm(weight, bias, ctx.eps)
        dx = torch.empty_like(x)
        sums = Sums()
        for a, b in row_chunks(len(x), 4 * x[:1].nbytes, x.device):
            rows = normalise(x[a:b], norm)[0]
            rows = torch.ops.aten.gelu_backward(grad[a:b], rows)
            dx[a:b], dweight, dbias = normalise_backward(rows, x[a:b], norm)
            sums.add('weight', dweight)
            sums.add('bias', dbias)
        return dx, None, sums.get('weight', weight), sums.get('bias', bias)


def norm_channels_first(x: Tensor, norm: Optional[Norm]) -> Tensor:
    """LayerNorm of a channels-last map as a contiguous channels-first one.

    Args:
        x (Tensor): Shape (B, H, W, C).
        norm (Norm, optional): The norm; without one, the layout alone.

    Returns:
        Tensor: Shape (B, C, H, W), contiguous.
    """
    if torch.is_grad_enabled():
        x = x if norm is None else norm(x)
        return x.permute(0, 3, 1, 2).contiguous()  # to (B, C, H, W)
    b, h, w, c = x.shape
    dtype = x.dtype if norm is None else norm.weight.dtype
    out = x.new_empty((b, c, h * w), dtype=dtype)
    for source, target in zip(x.reshape(b, h * w, c), out):
        for i, j in row_chunks(h * w, 2 * source[:1].nbytes, x.device):
            rows = source[i:j]
            if norm is not None:
                rows = normalise(rows, norm)[0]
            target[:, i:j] = rows.t()  # (N, C) -> (C, N)
    return out.unflatten(2, (h, w))
