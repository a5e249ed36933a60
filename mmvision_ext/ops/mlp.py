"""LayerNorm, two linear layers with a GELU between, and the residual."""

from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .chunks import row_chunks
from .dct import no_autocast
from .fused import (
    Norm,
    Sums,
    compute_dtype,
    finish_rows,
    has_hooks,
    is_plain,
    normalise,
    normalise_backward,
    wants_grad,
)
from .gemm import linear, product

Weights = Tuple[Tensor, Tensor, Tensor, Tensor]


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between.

    The layers keep torch's default initialisation.

    Args:
        embed_dims (int): Channels in and out.
        hidden_dims (int): Channels between.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.fc2 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))

    def can_fuse(self) -> bool:
        """Whether :meth:`fused` may stand for the module."""
        return not has_hooks(self) and is_plain(self.fc1, self.fc2)

    def fused(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """:func:`fused_mlp` with the weights of the module.

        Args:
            x (Tensor): Shape (..., C).
            *args (Any): Further arguments of :func:`fused_mlp`.
            **kwargs (Any): The same by name.

        Returns:
            Tensor: Shape (..., C).
        """
        weights = (self.fc1.weight, self.fc1.bias, self.fc2.weight,
                   self.fc2.bias)
        return fused_mlp(x, weights, *args, **kwargs)


def fused_mlp(x: Tensor,
              weights: Weights,
              pre_norm: Optional[Norm] = None,
              post_norm: Optional[Norm] = None,
              gamma: Optional[Tensor] = None,
              residual: Optional[Tensor] = None) -> Tensor:
    """``residual + gamma * LN(W2 GELU(W1 LN(x) + b1) + b2)``.

    Computed some rows at a time. Without gradients the hidden map is never
    there as a whole; with them it is kept as it is before the GELU, and norm
    and GELU are computed again in the backward pass. Gradients of gradients
    are not available.

    Args:
        x (Tensor): Shape (..., C).
        weights (tuple[Tensor, ...]): W1 (D, C), b1 (D,), W2 (E, D), b2 (E,).
        pre_norm (Norm, optional): Norm of ``x``.
        post_norm (Norm, optional): Norm of the result of W2.
        gamma (Tensor, optional): Factor a channel, shape (E,).
        residual (Tensor, optional): What is added, shape (..., E).

    Returns:
        Tensor: Shape (..., E).
    """
    dtype = compute_dtype(x)
    w1, b1, w2, b2 = weights
    if post_norm is not None:
        post_norm = post_norm.scaled(gamma)
    elif gamma is not None:
        w2, b2 = w2 * gamma[:, None], b2 * gamma  # (E, D) * (E, 1)
    weights = tuple(w.to(dtype) for w in (w1, b1, w2, b2))
    with no_autocast(x):
        # (..., C) -> (N, C)
        flat = x.reshape(-1, x.shape[-1])
        if not wants_grad(x, *weights, *(pre_norm or ())[:2],
                          *(post_norm or ())[:2]):
            added = None if residual is None else residual.reshape(
                -1, residual.shape[-1])
            out = _infer(flat, weights, pre_norm, post_norm, added)
            return out.unflatten(0, x.shape[:-1])
        out = _Mlp.apply(flat, pre_norm, *(pre_norm or (None, None, None))[:2],
                         *weights)
        if post_norm is not None:
            out = post_norm(out)
        out = out.unflatten(0, x.shape[:-1])
        return out if residual is None else residual + out


def _infer(x: Tensor, weights: Weights, pre_norm: Optional[Norm],
           post_norm: Optional[Norm], residual: Optional[Tensor]) -> Tensor:
    w1, b1, w2, b2 = weights
    dtype = w2.dtype if post_norm is None else post_norm.weight.dtype
    if residual is not None:
        dtype = torch.promote_types(dtype, residual.dtype)
    out = x.new_empty((len(x), len(w2)), dtype=dtype)
    for a, b in row_chunks(len(x), len(w1) * w1.element_size(), x.device):
        rows = x[a:b] if pre_norm is None else normalise(x[a:b], pre_norm)[0]
        hidden = linear(rows.to(w1.dtype), w1, b1)
        rows = linear(torch.ops.aten.gelu_(hidden), w2, b2)
        finish_rows(rows, post_norm, residual, out, a, b)
    return out


class _Mlp(torch.autograd.Function):
    """``W2 GELU(W1 LN(x) + b1) + b2`` on rows; see :func:`fused_mlp`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: Optional[Norm],
                norm_weight: Optional[Tensor], norm_bias: Optional[Tensor],
                *weights: Tensor) -> Tensor:
        w1, b1, w2, b2 = weights
        hidden = x.new_empty((len(x), len(w1)), dtype=w1.dtype)
        out = x.new_empty((len(x), len(w2)), dtype=w2.dtype)
        for a, b in row_chunks(len(x), 2 * len(w1) * w1.element_size(),
                               x.device):
            rows = x[a:b] if norm is None else normalise(x[a:b], norm)[0]
            hidden[a:b] = linear(rows.to(w1.dtype), w1, b1)
            out[a:b] = linear(F.gelu(hidden[a:b]), w2, b2)
        ctx.eps = None if norm is None else norm.eps
        ctx.save_for_backward(x, hidden, norm_weight, norm_bias, *weights)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, hidden, norm_weight, norm_bias, *weights = ctx.saved_tensors
        norm = None if ctx.eps is None else Norm(norm_weight, norm_bias,
                                                 ctx.eps)
        w1, _, w2, _ = weights
        sums = Sums()
        dx = torch.empty_like(x)
        for a, b in row_chunks(len(x), 4 * len(w1) * w1.element_size(),
                               x.device):
            rows = x[a:b] if norm is None else normalise(x[a:b], norm)[0]
            dy, h = grad[a:b], hidden[a:b]
            sums.add('w2', product(dy.t(), F.gelu(h)))
            sums.add('b2', dy.sum(0))
            dh = torch.ops.aten.gelu_backward(product(dy, w2), h)
            sums.add('w1', product(dh.t(), rows.to(w1.dtype)))
            sums.add('b1', dh.sum(0))
            drows = product(dh, w1)
            if norm is not None:
                drows, dweight, dbias = normalise_backward(drows, x[a:b], norm)
                sums.add('norm weight', dweight)
                sums.add('norm bias', dbias)
            dx[a:b] = drows
        names = ('norm weight', 'norm bias', 'w1', 'b1', 'w2', 'b2')
        return (dx, None, *map(sums.get, names,
                               (norm_weight, norm_bias, *weights)))
