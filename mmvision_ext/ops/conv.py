"""Convolutions of channels-last maps on a CPU, where products are faster."""

from typing import Any, Iterator, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .dct import is_graph_capture, is_low_precision, no_autocast
from .fused import Sums, compute_dtype, is_plain
from .gemm import linear, product

#: Outputs up to which a product is faster than oneDNN's convolution, which
#: lays out its weights anew at each call.
FEW_OUTPUTS = 512
#: Bytes of the patches that are laid out at a time.
PATCH_BYTES = 4 << 20
#: Side up to which maps are narrow, see :func:`is_narrow`.
NARROW_SIDE = 2


def is_narrow(x: Tensor) -> bool:
    """Whether convolutions of a map are to be computed in float32.

    On CPUs torch's 16-bit convolutions of maps that are one pixel wide, before
    or after a stride of 2, give NaN as the gradient of the weights now and
    then.

    Args:
        x (Tensor): Shape (B, H, W, C).

    Returns:
        bool: True for 16-bit types, those of autocast included, on a CPU.
    """
    return (x.device.type == 'cpu' and is_low_precision(compute_dtype(x))
            and not is_graph_capture() and min(x.shape[1:3]) <= NARROW_SIDE)


def narrow_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution in float32, whatever its type and autocast.

    Args:
        conv (nn.Conv2d): Any convolution padded with zeros.
        x (Tensor): Shape (B, H, W, C), see :func:`is_narrow`.

    Returns:
        Tensor: Shape (B, H', W', D), in the type that the module would give.
    """
    dtype = compute_dtype(x)
    bias = None if conv.bias is None else conv.bias.to(dtype).float()
    with no_autocast(x):
        # rounded to 16 bits first, as the module would see them
        y = F.conv2d(
            x.to(dtype).float().permute(0, 3, 1, 2),
            conv.weight.to(dtype).float(), bias, conv.stride, conv.padding,
            conv.dilation, conv.groups)
    # (B, D, H', W') -> (B, H', W', D)
    return y.to(dtype).permute(0, 2, 3, 1)


def can_fuse_conv(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether :func:`strided_conv` may and should stand for a module.

    Args:
        conv (nn.Conv2d): A 3x3 convolution of stride 2 and padding 1.
        x (Tensor): Shape (B, H, W, C).

    Returns:
        bool: True for float32 on a CPU and more than the colours of an
        image, without autocast.
    """
    return (x.device.type == 'cpu' and x.shape[3] > 4
            and x.dtype == conv.weight.dtype == compute_dtype(x) ==
            torch.float32 and is_plain(conv, bias=False))


def strided_conv(x: Tensor, weight: Tensor,
                 bias: Optional[Tensor] = None) -> Tensor:
    """3x3 convolution of stride 2 and padding 1 of a channels-last map.

    On a CPU in float32 the backward pass is one of matrix products, and so
    is the forward pass of small maps.

    Args:
        x (Tensor): Shape (B, H, W, C).
        weight (Tensor): Shape (D, C, 3, 3).
        bias (Tensor, optional): Shape (D,).

    Returns:
        Tensor: Shape (B, ceil(H/2), ceil(W/2), D). On a CPU gradients of
        gradients are not available.
    """
    return _StridedConv.apply(x, weight, bias)


def _conv(x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    # (B, H, W, C) -> (B, C, H, W) -> (B, H', W', D), views throughout
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, stride=2, padding=1)
    return y.permute(0, 2, 3, 1)


def _pad(x: Tensor) -> Tensor:
    # an even height and width, so that every patch is whole
    _, h, w, _ = x.shape
    return F.pad(x, (0, 0, 1, 1 + w % 2, 1, 1 + h % 2))


def _taps(padded: Tensor, rows: slice) -> Iterator[Tuple[int, Tensor]]:
    """What each of the nine weights sees in some rows of output."""
    height = rows.stop - rows.start
    width = padded.shape[2] // 2 - 1
    for i in range(3):
        for j in range(3):
            start = 2 * rows.start + i
            yield 3 * i + j, padded[:, start:start + 2 * height - 1:2,
                                    j:j + 2 * width - 1:2]


def _patches(padded: Tensor, rows: slice) -> Tensor:
    b, _, w, c = padded.shape
    cut = padded.new_empty((b, rows.stop - rows.start, w // 2 - 1, 9, c))
    for k, seen in _taps(padded, rows):
        cut[..., k, :] = seen
    return cut.view(-1, 9 * c)  # (B, h, w, 9, C) -> (N, 9C)


def _matrix(weight: Tensor) -> Tensor:
    # (D, C, 3, 3) -> (D, 3, 3, C) -> (D, 9C)
    return weight.permute(0, 2, 3, 1).flatten(1)


class _StridedConv(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor,
                bias: Optional[Tensor]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.with_bias = bias is not None
        b, h, w, _ = x.shape
        size = (b, -(-h // 2), -(-w // 2))
        if size[0] * size[1] * size[2] > FEW_OUTPUTS:
            return _conv(x, weight, bias)
        patches = _patches(_pad(x), slice(0, size[1]))
        return linear(patches, _matrix(weight), bias).view(*size, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, weight = ctx.saved_tensors
        padded, matrix = _pad(x), _matrix(weight)
        dpadded = torch.zeros_like(padded) if ctx.needs_input_grad[0] \
            else None
        sums = Sums()
        b, height, width, _ = grad.shape
        row_bytes = b * width * matrix[0].nbytes
        step = max(PATCH_BYTES * torch.get_num_threads() // row_bytes, 1)
        for a in range(0, height, step):
            rows = slice(a, min(a + step, height))
            # (B, h, w, D) -> (N, D)
            dy = grad[:, rows].reshape(-1, grad.shape[3])
            sums.add('matrix', product(dy.t(), _patches(padded, rows)))
            if dpadded is not None:
                # (N, 9C) -> (B, h, w, 9, C)
                dcut = product(dy, matrix).view(
                    b, rows.stop - rows.start, width, 9, -1)
                for k, seen in _taps(dpadded, rows):
                    seen += dcut[..., k, :]
        # (D, 9C) -> (D, 3, 3, C) -> (D, C, 3, 3)
        dweight = sums.get('matrix', weight).view(
            len(matrix), 3, 3, -1).permute(0, 3, 1, 2)
        dx = None if dpadded is None else dpadded[:, 1:1 + x.shape[1],
                                                  1:1 + x.shape[2]]
        return dx, dweight, grad.sum((0, 1, 2)) if ctx.with_bias else None
