"""The layers around heat conduction, some rows at a time.

Source: vHeat (arXiv 2405.16555), section 3.
"""

from typing import Any, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .chunks import row_chunks
from .conv import is_narrow
from .fused import (
    Norm,
    Sums,
    finish_rows,
    normalise,
    normalise_backward,
)
from .gemm import linear, product


class Linear(NamedTuple):
    """Weight (D, C) and bias (D,) of a linear layer."""

    weight: Tensor
    bias: Tensor


def depthwise(x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    """Depthwise 3x3 convolution of channels-last maps.

    Args:
        x (Tensor): Shape (B, H, W, C).
        weight (Tensor): Shape (C, 1, 3, 3).
        bias (Tensor, optional): Shape (C,).

    Returns:
        Tensor: Shape (B, H, W, C).
    """
    # (B, H, W, C) -> (B, C, H, W) is a view in channels_last order, as is
    # what the convolution makes of it: no copy either way
    dtype = x.dtype
    if is_narrow(x):
        x, weight = x.float(), weight.float()
        bias = None if bias is None else bias.float()
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1,
                 groups=len(weight))
    return y.permute(0, 2, 3, 1).to(dtype)


def heat_and_gate(x: Tensor, norm: Optional[Norm], conv: Linear,
                  heat: Linear, gate: Linear) -> Tuple[Tensor, Tensor]:
    """Heat and gate of a map, which alone is kept for the backward pass.

    Args:
        x (Tensor): Shape (B, H, W, C).
        norm (Norm, optional): Norm of ``x``.
        conv (Linear): Depthwise convolution, (C, 1, 3, 3) and (C,).
        heat (Linear): From C channels to C.
        gate (Linear): From C channels to C.

    Returns:
        tuple[Tensor, Tensor]: Heat and gate, before its SiLU; (B, H, W, C)
        each. Gradients of gradients are not available.
    """
    return _Source.apply(x, norm, *(norm or (None, None, None))[:2], *conv,
                         *heat, *gate)


class _Source(torch.autograd.Function):
    """See :func:`heat_and_gate`: norm and convolution are made again."""

    @staticmethod
    def _mixed(x: Tensor, norm: Optional[Norm], conv: Linear
               ) -> Tuple[Tensor, Tensor]:
        y = x
        if norm is not None:
            # (B, H, W, C) -> (N, C) -> (B, H, W, C)
            y = normalise(x.flatten(0, 2), norm)[0].view(x.shape)
        y = y.to(conv.weight.dtype)
        return y, depthwise(y, *conv)

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: Optional[Norm],
                *params: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
        conv, heat, gate = (Linear(*params[i:i + 2]) for i in (2, 4, 6))
        _, mixed = _Source._mixed(x, norm, conv)
        ctx.eps = None if norm is None else norm.eps
        ctx.save_for_backward(x, *params)
        # (B, H, W, C) -> (N, C) -> (B, H, W, C)
        mixed = mixed.flatten(0, 2)
        return tuple(linear(mixed, *to).view(x.shape) for to in (heat, gate))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dheat: Tensor,
                 dgate: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, *params = ctx.saved_tensors
        norm = None if ctx.eps is None else Norm(*params[:2], ctx.eps)
        conv, heat, gate = (Linear(*params[i:i + 2]) for i in (2, 4, 6))
        y, mixed = _Source._mixed(x, norm, conv)
        # (B, H, W, C) -> (N, C)
        mixed, dheat, dgate = (t.flatten(0, 2) for t in (mixed, dheat, dgate))
        sums = Sums()
        dmixed = torch.empty_like(mixed)
        for a, b in row_chunks(len(mixed), 4 * mixed[:1].nbytes, x.device):
            for name, d in (('heat', dheat[a:b]), ('gate', dgate[a:b])):
                sums.add(name, product(d.t(), mixed[a:b]))
                sums.add(f'{name} bias', d.sum(0))
            torch.add(product(dheat[a:b], heat.weight),
                      product(dgate[a:b], gate.weight), out=dmixed[a:b])
        maps = [dmixed.view(x.shape), y, conv.weight]
        if is_narrow(y):
            maps = [t.float() for t in maps]
        # (B, H, W, C) -> (B, C, H, W)
        dy, dweight, dbias = torch.ops.aten.convolution_backward(
            maps[0].permute(0, 3, 1, 2), maps[1].permute(0, 3, 1, 2), maps[2],
            [len(conv.bias)], [1, 1], [1, 1], [1, 1], False, [0, 0],
            len(conv.weight), [True, True, True])
        # (B, C, H, W) -> (B, H, W, C) -> (N, C)
        dx = dy.permute(0, 2, 3, 1).reshape(-1, x.shape[-1])
        dnorm: Tuple[Optional[Tensor], ...] = (None, None)
        if norm is not None:
            dx, *dnorm = normalise_backward(dx, x.flatten(0, 2), norm)
        grads = map(sums.get, ('heat', 'heat bias', 'gate', 'gate bias'),
                    (*heat, *gate))
        return (dx.view(x.shape), None, *dnorm, dweight, dbias, *grads)


def gated_projection(heat: Tensor, gate: Tensor, norm: Norm,
                     out: Linear) -> Tensor:
    """``W (LN(heat) * SiLU(gate)) + b``, keeping heat and gate alone.

    Args:
        heat (Tensor): Shape (B, H, W, C).
        gate (Tensor): Shape (B, H, W, C).
        norm (Norm): Norm of the heat.
        out (Linear): From C channels to C.

    Returns:
        Tensor: Shape (B, H, W, C). Gradients of gradients are not available.
    """
    # (B, H, W, C) -> (N, C)
    rows = _Gate.apply(heat.flatten(0, 2), gate.flatten(0, 2), norm,
                       *norm[:2], *out)
    return rows.unflatten(0, heat.shape[:3])


class _Gate(torch.autograd.Function):
    """See :func:`gated_projection`; all of shape (N, C)."""

    @staticmethod
    def forward(ctx: Any, heat: Tensor, gate: Tensor, norm: Norm,
                norm_weight: Tensor, norm_bias: Tensor, weight: Tensor,
                bias: Tensor) -> Tensor:
        out = gate.new_empty((len(gate), len(weight)))
        for a, b in row_chunks(len(gate), 2 * gate[:1].nbytes, gate.device):
            mixed = normalise(heat[a:b], norm)[0] * F.silu(gate[a:b])
            out[a:b] = linear(mixed.to(weight.dtype), weight, bias)
        ctx.eps = norm.eps
        ctx.save_for_backward(heat, gate, norm_weight, norm_bias, weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        heat, gate, norm_weight, norm_bias, weight = ctx.saved_tensors
        norm = Norm(norm_weight, norm_bias, ctx.eps)
        dheat, dgate = torch.empty_like(heat), torch.empty_like(gate)
        sums = Sums()
        for a, b in row_chunks(len(gate), 4 * gate[:1].nbytes, gate.device):
            normed = normalise(heat[a:b], norm)[0]
            opened = F.silu(gate[a:b])
            dy = grad[a:b]
            sums.add('out', product(dy.t(),
                                    (normed * opened).to(weight.dtype)))
            sums.add('out bias', dy.sum(0))
            dmixed = product(dy, weight)
            dgate[a:b] = torch.ops.aten.silu_backward(
                (dmixed * normed).to(gate.dtype), gate[a:b])
            dheat[a:b], dweight, dbias = normalise_backward(
                dmixed * opened, heat[a:b], norm)
            sums.add('weight', dweight)
            sums.add('bias', dbias)
        names = ('weight', 'bias', 'out', 'out bias')
        likes = (norm_weight, norm_bias, weight, weight)
        return (dheat, dgate, None, *map(sums.get, names, likes))


def infer_gated(heat: Tensor, mixed: Tensor, gate: Linear, norm: Norm,
                out: Linear, post_norm: Optional[Norm],
                residual: Optional[Tensor]) -> Tensor:
    """``residual + LN(W (LN(heat) * SiLU(gate(mixed))) + b)``, no gradients.

    Args:
        heat (Tensor): Shape (B, H, W, C).
        mixed (Tensor): What the gate is made from, shape (B, H, W, C).
        gate (Linear): From C channels to C.
        norm (Norm): Norm of the heat.
        out (Linear): From C channels to C.
        post_norm (Norm, optional): Norm of the result.
        residual (Tensor, optional): Shape (B, H, W, C).

    Returns:
        Tensor: Shape (B, H, W, C).
    """
    size = mixed.shape
    # (B, H, W, C) -> (N, C)
    heat, mixed = heat.flatten(0, 2), mixed.flatten(0, 2)
    dtype = mixed.dtype if post_norm is None else post_norm.weight.dtype
    if residual is not None:
        residual = residual.flatten(0, 2)
        dtype = torch.promote_types(dtype, residual.dtype)
    done = torch.empty_like(mixed, dtype=dtype)
    for a, b in row_chunks(len(done), 3 * mixed[:1].nbytes, done.device):
        rows = linear(mixed[a:b], *gate)
        rows = torch.ops.aten.silu_(rows) * normalise(heat[a:b], norm)[0]
        rows = linear(rows.to(out.weight.dtype), *out)
        finish_rows(rows, post_norm, residual, done, a, b)
    return done.view(size)
