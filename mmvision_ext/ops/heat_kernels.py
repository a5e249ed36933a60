"""Triton kernels of heat conduction on channels-last maps.

All compute parts of ``Y = D_H^T ((D_H X D_W^T) * E) D_W``, with D the
orthonormal DCT-II basis (row = frequency, column = position), X a plane
(H, W) of each channel and E the decay. Channels and one spatial axis together
are the wide side of every matrix product, so that the tensor cores are busy
with any basis; sums are in float32. Needs Triton: import it only where
:func:`mmvision_ext.ops.heat_triton.explain_unsupported` says None. Source:
vHeat (arXiv 2405.16555), equations 6 to 8.

Names, for all kernels: h, w positions; n, m the frequencies of rows and
columns; c channels; UPPERCASE letters of one or two the sizes of the map
and, as constants, of a block of it; stride_b, stride_h, stride_w in elements.
"""

import os

import triton
import triton.language as tl

# The interpreter multiplies the bits of bfloat16 as if they were integers,
# and cuts where a GPU rounds to the nearest. What it runs is made to do what
# a GPU does; products are not changed by wider operands.
INTERPRETED: tl.constexpr = tl.constexpr(
    os.environ.get('TRITON_INTERPRET') == '1')


@triton.jit
def _dot(a, b, total, DOT: tl.constexpr):
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, total, input_precision=DOT)


@triton.jit
def _wide(index):
    """``index`` as an int64; a plain int of the interpreter as well."""
    return tl.zeros((), tl.int64) + index


@triton.jit
def _narrow(x, dtype: tl.constexpr):
    """float32 to ``dtype``, to the nearest, ties to even."""
    if INTERPRETED and dtype == tl.bfloat16:
        bits = x.to(tl.int32, bitcast=True)
        bits = bits + 0x7fff + ((bits >> 16) & 1)
        x = bits.to(tl.float32, bitcast=True)
    return x.to(dtype)


@triton.jit
def _load_basis(pointer, rows, columns, SIDE: tl.constexpr):
    # (SIDE, SIDE) with zeros beyond the basis: no mask, aligned rows
    return tl.load(pointer + rows[:, None] * SIDE + columns[None, :])


@triton.jit
def _swap(x, P: tl.constexpr, Q: tl.constexpr, BC: tl.constexpr):
    """(P, Q*BC) -> (Q, P*BC): the other spatial axis becomes the rows."""
    # (P, Q*BC) -> (P, Q, BC) -> (Q, P, BC) -> (Q, P*BC)
    x = tl.permute(tl.reshape(x, (P, Q, BC)), (1, 0, 2))
    return tl.reshape(x, (Q, P * BC))


@triton.jit
def _load_plane(pointer, stride_h, stride_w, c, H, W, C, BH: tl.constexpr,
                BW: tl.constexpr, CENTRE: tl.constexpr):
    """Plane (BH, BW*BC) without its mean, and the mean (BC)."""
    h = tl.arange(0, BH)[:, None, None]
    w = tl.arange(0, BW)[None, :, None]
    inside = (h < H) & (w < W) & (c < C)[None, None, :]
    x = tl.load(pointer + h * stride_h + w * stride_w + c[None, None, :],
                mask=inside, other=0.)
    # float32 keeps its mean: it loses nothing by the large coefficient
    mean = tl.zeros((c.shape[0], ), tl.float32)
    if CENTRE:
        wide = x.to(tl.float32)
        mean = tl.sum(tl.sum(wide, axis=0), axis=0) / (H * W)
        # This is not 0 in the padding, but the basis is.
        x = _narrow(wide - mean[None, None, :], x.dtype)
    # (BH, BW, BC) -> (BH, BW*BC)
    return tl.reshape(x, (BH, BW * c.shape[0])), mean


@triton.jit
def _store_plane(pointer, y, c, H, W, C, BH: tl.constexpr, BW: tl.constexpr):
    h = tl.arange(0, BH)[:, None, None]
    w = tl.arange(0, BW)[None, :, None]
    inside = (h < H) & (w < W) & (c < C)[None, None, :]
    offsets = (h * W + w) * C + c[None, None, :]
    tl.store(pointer + offsets, _narrow(y, pointer.dtype.element_ty),
             mask=inside)


@triton.jit
def _decay_block(n, m, c, H, W, C):
    """Offsets and mask of E[n, m, c] in the order (m, n, c)."""
    n = n[None, :, None]
    m = m[:, None, None]
    c = c[None, None, :]
    return (n * W + m) * C + c, (n < H) & (m < W) & (c < C)


@triton.jit
def conduct_plane(x_ptr, decay_ptr, rows_ptr, columns_ptr, out_ptr, H, W, C,
                  stride_b, stride_h, stride_w, BH: tl.constexpr,
                  BW: tl.constexpr, BC: tl.constexpr, BN: tl.constexpr,
                  CENTRE: tl.constexpr, DOT: tl.constexpr):
    """Conduct heat in one image and BC channels, in one pass over memory.

    The plane stays on chip. Its spectrum is made, decayed and turned back
    BN rows at a time, which keeps all but the result small.
    """
    blocks = tl.cdiv(C, BC)
    b = (tl.program_id(0) // blocks).to(tl.int64)
    c = (tl.program_id(0) % blocks) * BC + tl.arange(0, BC)
    x, mean = _load_plane(x_ptr + b * stride_b, stride_h, stride_w, c, H, W,
                          C, BH, BW, CENTRE)
    h = tl.arange(0, BH)
    m = tl.arange(0, BW)
    columns = _load_basis(columns_ptr, m, m, BW)
    heat = tl.zeros((BH, BW * BC), tl.float32)
    for first in range(0, H, BN):
        n = first + tl.arange(0, BN)
        rows = _load_basis(rows_ptr, n, h, BH)
        zeros = tl.zeros((BN, BW * BC), tl.float32)
        half = _narrow(_dot(rows, x, zeros, DOT), x.dtype)
        zeros = tl.zeros((BW, BN * BC), tl.float32)
        spectrum = _dot(columns, _swap(half, BN, BW, BC), zeros, DOT)
        offsets, inside = _decay_block(n, m, c, H, W, C)
        decay = tl.load(decay_ptr + offsets, mask=inside, other=0.)
        # (BW, BN, BC) -> (BW, BN*BC)
        spectrum *= tl.reshape(decay, (BW, BN * BC))
        half = _dot(tl.trans(columns), _narrow(spectrum, x.dtype), zeros,
                    DOT)
        half = _swap(_narrow(half, x.dtype), BW, BN, BC)
        heat = _dot(tl.trans(rows), half, heat, DOT)
    # (BH, BW*BC) -> (BH, BW, BC)
    heat = tl.reshape(heat, (BH, BW, BC)) + mean[None, None, :]
    _store_plane(out_ptr + b * H * W * C, heat, c, H, W, C, BH, BW)


@triton.jit
def _spectrum(x, rows, columns, BH: tl.constexpr, BW: tl.constexpr,
              BC: tl.constexpr, DOT: tl.constexpr):
    """(BH, BW*BC) positions -> (BW, BH*BC) frequencies."""
    zeros = tl.zeros((BH, BW * BC), tl.float32)
    half = _narrow(_dot(rows, x, zeros, DOT), x.dtype)
    half = _swap(half, BH, BW, BC)
    return _dot(columns, half, tl.zeros((BW, BH * BC), tl.float32), DOT)


@triton.jit
def conduct_plane_backward(grad_ptr, x_ptr, decay_ptr, rows_ptr, columns_ptr,
                           out_ptr, sums_ptr, B, H, W, C, grad_stride_b,
                           grad_stride_h, grad_stride_w, stride_b, stride_h,
                           stride_w, BH: tl.constexpr, BW: tl.constexpr,
                           BC: tl.constexpr, CENTRE: tl.constexpr,
                           DOT: tl.constexpr):
    """Both gradients, one pass over x and one over the gradient of Y.

    A program takes every k-th image and sums its share of the gradient of E
    in registers, in order; the shares are added up afterwards. No atomics.
    """
    blocks = tl.cdiv(C, BC)
    share = tl.program_id(0) // blocks
    c = (tl.program_id(0) % blocks) * BC + tl.arange(0, BC)
    n = tl.arange(0, BH)
    m = tl.arange(0, BW)
    rows = _load_basis(rows_ptr, n, n, BH)
    columns = _load_basis(columns_ptr, m, m, BW)
    offsets, inside = _decay_block(n, m, c, H, W, C)
    zeros = tl.zeros((BW, BH * BC), tl.float32)
    total = zeros
    for image in range(share, B, tl.num_programs(0) // blocks):
        b = _wide(image)
        x, _ = _load_plane(x_ptr + b * stride_b, stride_h, stride_w, c, H, W,
                           C, BH, BW, CENTRE)
        heat = _spectrum(x, rows, columns, BH, BW, BC, DOT)
        grad, mean = _load_plane(grad_ptr + b * grad_stride_b, grad_stride_h,
                                 grad_stride_w, c, H, W, C, BH, BW, CENTRE)
        spectrum = _spectrum(grad, rows, columns, BH, BW, BC, DOT)
        total += heat * spectrum
        decay = tl.load(decay_ptr + offsets, mask=inside, other=0.)
        # (BW, BH, BC) -> (BW, BH*BC)
        spectrum *= tl.reshape(decay, (BW, BH * BC))
        half = _dot(tl.trans(columns), _narrow(spectrum, x.dtype), zeros,
                    DOT)
        half = _swap(_narrow(half, x.dtype), BW, BH, BC)
        heat = _dot(tl.trans(rows), half,
                    tl.zeros((BH, BW * BC), tl.float32), DOT)
        # (BH, BW*BC) -> (BH, BW, BC)
        heat = tl.reshape(heat, (BH, BW, BC)) + mean[None, None, :]
        _store_plane(out_ptr + b * H * W * C, heat, c, H, W, C, BH, BW)
    # (BW, BH*BC) -> (BW, BH, BC)
    total = tl.reshape(total, (BW, BH, BC))
    if CENTRE:  # the mean is conducted apart, not by the decay
        total = tl.where(offsets < C, 0., total)
    tl.store(sums_ptr + share.to(tl.int64) * H * W * C + offsets, total,
             mask=inside)
