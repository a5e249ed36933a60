"""Triton kernels of heat conduction for planes too large to stay on chip.

Three passes over memory: rows are transformed, columns transformed, decayed
and turned back in one kernel, rows turned back. Between the passes lie maps
of the type of the input; its mean, or what stands for it, is not in them.
Names and source as in :mod:`mmvision_ext.ops.heat_kernels`.
"""

import triton
import triton.language as tl

from .heat_kernels import _decay_block, _dot, _load_basis, _narrow, _wide


@triton.jit
def transform_rows(x_ptr, basis_ptr, offset_ptr, out_ptr, H, W, C, stride_b,
                   stride_h, stride_w, SIDE: tl.constexpr, BM: tl.constexpr,
                   BK: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr,
                   INVERSE: tl.constexpr, CENTRE: tl.constexpr,
                   DOT: tl.constexpr):
    """BM rows of D_H X or, ``INVERSE``, of D_H^T X, for BW columns.

    ``CENTRE``: an offset (B, C) is taken from X first, or added to D_H^T X.
    """
    tiles = tl.cdiv(H, BM)
    blocks = tl.cdiv(C, BC)
    # Programs that read the same part of X follow one another.
    i = tl.program_id(0) % tiles * BM + tl.arange(0, BM)
    rest = tl.program_id(0) // tiles
    c = rest % blocks * BC + tl.arange(0, BC)
    rest = rest // blocks
    w = rest % tl.cdiv(W, BW) * BW + tl.arange(0, BW)
    b = (rest // tl.cdiv(W, BW)).to(tl.int64)
    offset = tl.zeros((BC, ), tl.float32)
    if CENTRE:
        offset = tl.load(offset_ptr + b * C + c, mask=c < C, other=0.)
    inside = (w < W)[None, :, None] & (c < C)[None, None, :]
    source = x_ptr + b * stride_b + w[None, :, None] * stride_w \
        + c[None, None, :]
    total = tl.zeros((BM, BW * BC), tl.float32)
    for first in range(0, H, BK):
        k = first + tl.arange(0, BK)
        x = tl.load(source + k[:, None, None] * stride_h,
                    mask=inside & (k < H)[:, None, None], other=0.)
        if CENTRE and not INVERSE:
            x = _narrow(x.to(tl.float32) - offset[None, None, :], x.dtype)
        if INVERSE:
            basis = tl.trans(_load_basis(basis_ptr, k, i, SIDE))
        else:
            basis = _load_basis(basis_ptr, i, k, SIDE)
        # (BK, BW, BC) -> (BK, BW*BC)
        total = _dot(basis, tl.reshape(x, (BK, BW * BC)), total, DOT)
    # (BM, BW*BC) -> (BM, BW, BC)
    out = tl.reshape(total, (BM, BW, BC))
    if CENTRE and INVERSE:
        out += offset[None, None, :]
    target = out_ptr + b * H * W * C + (
        i[:, None, None] * W + w[None, :, None]) * C + c[None, None, :]
    tl.store(target, _narrow(out, out_ptr.dtype.element_ty),
             mask=inside & (i < H)[:, None, None])


@triton.jit
def _transform_columns(x_ptr, basis_ptr, m, n, c, H, W, C,
                       SIDE: tl.constexpr, BM: tl.constexpr, BK: tl.constexpr,
                       BN: tl.constexpr, BC: tl.constexpr, DOT: tl.constexpr):
    """Spectrum (BM, BN*BC) of rows n of the map (H, W, C) at ``x_ptr``."""
    total = tl.zeros((BM, BN * BC), tl.float32)
    for first in range(0, W, BK):
        w = first + tl.arange(0, BK)
        # a map has the order of the decay: rows, columns, channels
        offsets, inside = _decay_block(n, w, c, H, W, C)
        x = tl.load(x_ptr + offsets, mask=inside, other=0.)
        basis = _load_basis(basis_ptr, m, w, SIDE)
        # (BK, BN, BC) -> (BK, BN*BC)
        total = _dot(basis, tl.reshape(x, (BK, BN * BC)), total, DOT)
    return total


@triton.jit
def conduct_columns(x_ptr, decay_ptr, basis_ptr, out_ptr, B, H, W, C,
                    SIDE: tl.constexpr, BM: tl.constexpr, BK: tl.constexpr,
                    BN: tl.constexpr, BC: tl.constexpr, DOT: tl.constexpr):
    """Transform, decay and turn back the columns of BN rows of an image.

    The whole width SIDE of the result is summed in registers, over blocks of
    BM frequencies; the map (B, H, W, C) is contiguous.
    """
    blocks = tl.cdiv(C, BC)
    # Images follow one another, so that they find the decay in the cache.
    b = (tl.program_id(0) % B).to(tl.int64)
    rest = tl.program_id(0) // B
    c = rest % blocks * BC + tl.arange(0, BC)
    n = rest // blocks * BN + tl.arange(0, BN)
    w = tl.arange(0, SIDE)
    start = b * H * W * C
    heat = tl.zeros((SIDE, BN * BC), tl.float32)
    for first in range(0, W, BM):
        m = first + tl.arange(0, BM)
        spectrum = _transform_columns(x_ptr + start, basis_ptr, m, n, c, H,
                                      W, C, SIDE, BM, BK, BN, BC, DOT)
        offsets, inside = _decay_block(n, m, c, H, W, C)
        decay = tl.load(decay_ptr + offsets, mask=inside, other=0.)
        # (BM, BN, BC) -> (BM, BN*BC)
        spectrum *= tl.reshape(decay, (BM, BN * BC))
        basis = tl.trans(_load_basis(basis_ptr, m, w, SIDE))
        heat = _dot(basis, _narrow(spectrum, basis.dtype), heat, DOT)
    offsets, inside = _decay_block(n, w, c, H, W, C)
    # (SIDE, BN*BC) -> (SIDE, BN, BC)
    heat = tl.reshape(heat, (SIDE, BN, BC))
    tl.store(out_ptr + start + offsets,
             _narrow(heat, out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def sum_decay_gradient(grad_ptr, x_ptr, basis_ptr, out_ptr, B, H, W, C,
                       SIDE: tl.constexpr, BM: tl.constexpr, BK: tl.constexpr,
                       BN: tl.constexpr, BC: tl.constexpr,
                       CENTRE: tl.constexpr, DOT: tl.constexpr):
    """Gradient of E: products of two spectra, summed over images in order.

    Both maps (B, H, W, C) are contiguous, with their rows transformed.
    """
    tiles = tl.cdiv(W, BM)
    blocks = tl.cdiv(C, BC)
    m = tl.program_id(0) % tiles * BM + tl.arange(0, BM)
    rest = tl.program_id(0) // tiles
    c = rest % blocks * BC + tl.arange(0, BC)
    n = rest // blocks * BN + tl.arange(0, BN)
    total = tl.zeros((BM, BN * BC), tl.float32)
    for image in range(0, B):
        start = _wide(image) * H * W * C
        grad = _transform_columns(grad_ptr + start, basis_ptr, m, n, c, H, W,
                                  C, SIDE, BM, BK, BN, BC, DOT)
        heat = _transform_columns(x_ptr + start, basis_ptr, m, n, c, H, W, C,
                                  SIDE, BM, BK, BN, BC, DOT)
        total += grad * heat
    offsets, inside = _decay_block(n, m, c, H, W, C)
    # (BM, BN*BC) -> (BM, BN, BC)
    total = tl.reshape(total, (BM, BN, BC))
    if CENTRE:  # the mean is conducted apart, not by the decay
        total = tl.where(offsets < C, 0., total)
    tl.store(out_ptr + offsets, total, mask=inside)
