"""Launches the Triton kernels of heat conduction. Importing needs Triton."""

from contextlib import nullcontext
from functools import lru_cache
from typing import ContextManager, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .dct import dct_basis, is_low_precision
from .heat_kernels import conduct_plane, conduct_plane_backward
from .heat_pass_kernels import (
    conduct_columns,
    sum_decay_gradient,
    transform_rows,
)
from .heat_plans import PassPlan, PlanePlan, plan_passes, plan_plane


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@lru_cache(maxsize=64)
def _padded_basis(length: int, side: int, dtype: torch.dtype,
                  device: torch.device) -> Tensor:
    pad = side - length
    return F.pad(dct_basis(length, dtype, device), (0, pad, 0, pad))


@lru_cache(maxsize=32)
def _processors(device: torch.device) -> int:
    if device.type != 'cuda':  # the interpreter
        return 4
    return torch.cuda.get_device_properties(device).multi_processor_count


def _on_device(x: Tensor) -> ContextManager:
    # Triton launches on the current device, wherever its arguments are.
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def _precision(x: Tensor) -> str:
    # float32 follows what torch may do in a product of matrices.
    exact = torch.get_float32_matmul_precision() == 'highest'
    return 'ieee' if exact or x.dtype != torch.float32 else 'tf32'


def _readable(x: Tensor) -> Tensor:
    """``x`` with its channels side by side; half of a chunk is as it is."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _plane_forward(x: Tensor, decay: Tensor, plan: PlanePlan) -> Tensor:
    b, h, w, c = x.shape
    out = torch.empty((b, h, w, c), dtype=x.dtype, device=x.device)
    conduct_plane[(b * _ceil_div(c, plan.channels), )](
        x, decay, _padded_basis(h, plan.height, x.dtype, x.device),
        _padded_basis(w, plan.width, x.dtype, x.device), out, h, w, c,
        *x.stride()[:3], BH=plan.height, BW=plan.width, BC=plan.channels,
        BN=plan.rows, CENTRE=is_low_precision(x.dtype), DOT=_precision(x),
        num_warps=plan.warps, num_stages=1)
    return out


def _plane_backward(grad: Tensor, x: Tensor, decay: Tensor,
                    plan: PlanePlan) -> Tuple[Tensor, Tensor]:
    b, h, w, c = x.shape
    blocks = _ceil_div(c, plan.backward_channels)
    # Enough programs for every processor, no more: each share is a map of
    # its own in float32.
    shares = min(b, _ceil_div(_processors(x.device), blocks))
    out = torch.empty((b, h, w, c), dtype=x.dtype, device=x.device)
    sums = torch.empty((shares, h, w, c), device=x.device)
    conduct_plane_backward[(shares * blocks, )](
        grad, x, decay, _padded_basis(h, plan.height, x.dtype, x.device),
        _padded_basis(w, plan.width, x.dtype, x.device), out, sums, b, h, w,
        c, *grad.stride()[:3], *x.stride()[:3], BH=plan.height,
        BW=plan.width, BC=plan.backward_channels,
        CENTRE=is_low_precision(x.dtype), DOT=_precision(x),
        num_warps=plan.warps, num_stages=1)
    return out, sums.sum(0)


def _rows_pass(x: Tensor, offset: Optional[Tensor], inverse: bool,
               plan: PassPlan) -> Tensor:
    b, h, w, c = x.shape
    out = torch.empty((b, h, w, c), dtype=x.dtype, device=x.device)
    grid = b * _ceil_div(h, plan.outputs) * _ceil_div(
        w, plan.columns) * _ceil_div(c, plan.channels)
    transform_rows[(grid, )](
        x, _padded_basis(h, plan.height, x.dtype, x.device),
        x if offset is None else offset, out, h, w, c, *x.stride()[:3],
        SIDE=plan.height, BM=plan.outputs, BK=plan.inner, BW=plan.columns,
        BC=plan.channels, INVERSE=inverse, CENTRE=offset is not None,
        DOT=_precision(x), num_warps=plan.warps, num_stages=plan.stages)
    return out


def _to_rows(x: Tensor, plan: PassPlan) -> Tuple[Tensor, Optional[Tensor]]:
    """Spectrum of the rows, and the offset (B, C) that is not in it."""
    offset = None
    if is_low_precision(x.dtype):
        # Frequency 0 is not decayed, so any value near the mean serves as
        # well as the mean; the 16th part of the tokens gives one.
        offset = x[:, ::4, ::4].mean((1, 2), dtype=torch.float32)
    return _rows_pass(x, offset, False, plan), offset


def _from_rows(rows: Tensor, offset: Optional[Tensor], decay: Tensor,
               plan: PassPlan) -> Tensor:
    b, h, w, c = rows.shape
    heat = torch.empty_like(rows)
    grid = b * _ceil_div(h, plan.rows) * _ceil_div(c, plan.channels)
    conduct_columns[(grid, )](
        rows, decay, _padded_basis(w, plan.width, rows.dtype, rows.device),
        heat, b, h, w, c, SIDE=plan.width, BM=plan.frequencies,
        BK=plan.inner, BN=plan.rows, BC=plan.channels, DOT=_precision(rows),
        num_warps=plan.warps, num_stages=plan.stages)
    return _rows_pass(heat, offset, True, plan)


def _decay_gradient(grad: Tensor, rows: Tensor, plan: PassPlan) -> Tensor:
    b, h, w, c = rows.shape
    out = torch.empty((h, w, c), device=rows.device)
    grid = _ceil_div(w, plan.sum_frequencies) * _ceil_div(
        h, plan.rows) * _ceil_div(c, plan.channels)
    sum_decay_gradient[(grid, )](
        grad, rows, _padded_basis(w, plan.width, rows.dtype, rows.device),
        out, b, h, w, c, SIDE=plan.width, BM=plan.sum_frequencies,
        BK=plan.inner, BN=plan.rows, BC=plan.channels,
        CENTRE=is_low_precision(rows.dtype), DOT=_precision(rows),
        num_warps=plan.warps, num_stages=plan.stages)
    return out


def conduct(x: Tensor, decay: Tensor) -> Tensor:
    """Heat conduction by the kernels.

    Args:
        x (Tensor): Shape (B, H, W, C), of any strides.
        decay (Tensor): Shape (H, W, C), float32, 1 at [0, 0].

    Returns:
        Tensor: Shape and type of ``x``, contiguous.
    """
    _, h, w, _ = x.shape
    x, decay = _readable(x), decay.contiguous()
    with _on_device(x):
        plane = plan_plane(h, w, x.dtype)
        if plane is not None:
            return _plane_forward(x, decay, plane)
        plan = plan_passes(h, w, x.dtype)
        return _from_rows(*_to_rows(x, plan), decay, plan)


def conduct_backward(grad: Tensor, x: Tensor,
                     decay: Tensor) -> Tuple[Tensor, Tensor]:
    """Gradients of :func:`conduct`; the same bits on every run.

    Args:
        grad (Tensor): Gradient of the result, shape (B, H, W, C).
        x (Tensor): Shape (B, H, W, C).
        decay (Tensor): Shape (H, W, C), float32.

    Returns:
        tuple[Tensor, Tensor]: Gradients of ``x``, in its type, and of
        ``decay``, in float32. In 16 bits that of ``decay[0, 0]`` is 0, since
        the mean is conducted apart.
    """
    _, h, w, _ = x.shape
    grad, x, decay = _readable(grad), _readable(x), decay.contiguous()
    with _on_device(x):
        plane = plan_plane(h, w, x.dtype)
        if plane is not None and plane.backward_channels:
            return _plane_backward(grad, x, decay, plane)
        plan = plan_passes(h, w, x.dtype)
        grad_rows, offset = _to_rows(grad, plan)
        grad_decay = _decay_gradient(grad_rows, _to_rows(x, plan)[0], plan)
        if plane is not None:
            return _plane_forward(grad, decay, plane), grad_decay
        return _from_rows(grad_rows, offset, decay, plan), grad_decay
