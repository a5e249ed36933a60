"""Matrix products by the faster of torch's libraries.

In float32 on x86, oneDNN is as fast as MKL on Intel's processors and twice as
fast where MKL does not use AVX-512, on AMD's. torch takes MKL for plain
products and oneDNN for convolutions. Both round as float32 products do.
"""

import platform
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dct import can_keep


def _find_product() -> Optional[torch._ops.OpOverloadPacket]:
    known = platform.machine() in ('x86_64', 'AMD64') and \
        torch.backends.mkldnn.is_available()
    return getattr(torch.ops.mkldnn, '_linear_pointwise', None) \
        if known else None


_product = _find_product()


def _by_onednn(*tensors: Optional[Tensor]) -> bool:
    # without autograd behind it
    return _product is not None and torch.backends.mkldnn.enabled and all(
        t is None or (t.device.type == 'cpu' and t.dtype == torch.float32 and
                      t.numel() > 0) for t in tensors)


def _dense(weight: Tensor) -> Tensor:
    # of a matrix with gaps oneDNN has but a reference, a thousandth as fast
    if weight.is_contiguous() or weight.t().is_contiguous():
        return weight
    return weight.contiguous()


def linear(x: Tensor, weight: Tensor,
           bias: Optional[Tensor] = None) -> Tensor:
    """``x W^T + b``, for use where no gradient is recorded.

    Args:
        x (Tensor): Shape (N, C).
        weight (Tensor): Shape (D, C).
        bias (Tensor, optional): Shape (D,).

    Returns:
        Tensor: Shape (N, D).
    """
    if _by_onednn(x, weight, bias):
        return _product(x, _dense(weight), bias, 'none', [], '')
    return F.linear(x, weight, bias)


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``, for use where no gradient is recorded.

    Args:
        a (Tensor): Shape (N, K).
        b (Tensor): Shape (K, M).

    Returns:
        Tensor: Shape (N, M).
    """
    if _by_onednn(a, b):
        return _product(a, _dense(b.t()), None, 'none', [], '')
    return a @ b


def by_products(x: Tensor) -> bool:
    """Whether layers on ``x`` are faster with the products of this module.

    Args:
        x (Tensor): Any shape.

    Returns:
        bool: True in float32 on a CPU where oneDNN can be called, without
        autocast and while no graph is captured.
    """
    return (_by_onednn(x) and not torch.is_autocast_enabled('cpu')
            and can_keep())


def fast_linear(x: Tensor, weight: Tensor,
                bias: Optional[Tensor] = None) -> Tensor:
    """``torch.nn.functional.linear`` by the faster library.

    Args:
        x (Tensor): Shape (..., C).
        weight (Tensor): Shape (D, C).
        bias (Tensor, optional): Shape (D,).

    Returns:
        Tensor: Shape (..., D). Where :func:`by_products` is true, gradients
        of gradients are not available.
    """
    if not (by_products(x) and _by_onednn(weight)):
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)


class _Linear(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor,
                bias: Optional[Tensor]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.with_bias = bias is not None
        # (..., C) -> (N, C) -> (..., D)
        rows = x.reshape(-1, x.shape[-1])
        return linear(rows, weight, bias).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, weight = ctx.saved_tensors
        # (..., D) -> (N, D) and (..., C) -> (N, C)
        grad, rows = (t.reshape(-1, t.shape[-1]) for t in (grad, x))
        needed = ctx.needs_input_grad
        return (product(grad, weight).view(x.shape) if needed[0] else None,
                product(grad.t(), rows) if needed[1] else None,
                grad.sum(0) if ctx.with_bias else None)
