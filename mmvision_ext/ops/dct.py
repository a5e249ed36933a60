"""Orthonormal cosine transforms of channels-last maps.

Every function takes maps of shape (B, H, W, C) and transforms the two middle
axes by matrix products that need no permutation. Source: the DCT-II basis.
"""

import math
from collections import OrderedDict
from contextlib import nullcontext
from typing import ContextManager, Optional, Tuple, Union

import torch
from torch import Tensor

#: How many bases are kept; one of 304 x 304 in float32 takes 361 KiB.
_MAX_BASES = 64
_bases: 'OrderedDict[Tuple[int, torch.dtype, torch.device], Tensor]' = \
    OrderedDict()


def is_low_precision(dtype: torch.dtype) -> bool:
    """Whether ``dtype`` is float16 or bfloat16."""
    return dtype in (torch.float16, torch.bfloat16)


def is_graph_capture() -> bool:
    """Whether torch is compiling, exporting or tracing right now.

    Nothing that lives longer than the capture may be read or written then.
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def can_keep() -> bool:
    """Whether tensors made right now may be kept for later calls.

    Returns:
        bool: False while torch captures a graph, and inside the transforms
        of ``torch.func``, whose tensors must not leave them.
    """
    return not (is_graph_capture()
                or torch._C._are_functorch_transforms_active())


def no_autocast(x: Tensor) -> ContextManager:
    """Context in which operations keep the types they are given.

    Args:
        x (Tensor): Any tensor of the device meant.

    Returns:
        ContextManager: One that switches autocast off where it is on.
    """
    device = x.device.type
    if device == 'meta' or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def _build_basis(length: int, dtype: torch.dtype,
                 device: torch.device) -> Tensor:
    # float64 keeps the rows orthogonal to 1e-15: cos of a large argument in
    # float32 is wrong by 1e-5.
    index = torch.arange(length, dtype=torch.float64, device=device)
    # A size may be symbolic, and only tensor arithmetic keeps it so.
    size = torch.full((), length, dtype=torch.float64, device=device)
    # (N, 1) frequencies times (N,) positions -> (N, N)
    angle = index[:, None] * (index + 0.5) * (math.pi / size)
    basis = angle.cos() * (2. / size).sqrt()
    first = (index == 0).to(basis)[:, None]
    return (basis * (1. - first * (1. - math.sqrt(0.5)))).to(dtype)


def dct_basis(length: int,
              dtype: torch.dtype = torch.float32,
              device: Optional[Union[str, torch.device]] = None) -> Tensor:
    """Orthonormal DCT-II basis, row = frequency, column = position.

    ``D[n, x] = a_n cos(pi n (x + 1/2) / N)`` with ``a_0 = sqrt(1/N)`` and
    ``a_n = sqrt(2/N)``. Built in float64 and rounded once. The 64 bases last
    used are kept and shared; do not write to the result.

    Args:
        length (int): N, at least 1.
        dtype (torch.dtype): Type of the result. Defaults to float32.
        device (str | torch.device, optional): Where to build it. Defaults
            to the CPU.

    Returns:
        Tensor: Shape (N, N); its transpose is its inverse.

    Raises:
        ValueError: If ``length`` is below 1.
    """
    device = torch.device('cpu' if device is None else device)
    if not can_keep():
        return _build_basis(length, dtype, device)
    if length < 1:
        raise ValueError(f'length is {length}; a transform needs at least 1')
    key = (length, dtype, device)
    basis = _bases.get(key)
    if basis is None:
        # A tensor made in inference mode could not be saved for a later
        # backward pass.
        with torch.inference_mode(False), torch.no_grad():
            basis = _build_basis(length, dtype, device)
        if type(basis) is Tensor:  # never keep a fake or wrapped tensor
            _bases[key] = basis
            while len(_bases) > _MAX_BASES:
                _bases.popitem(last=False)
    else:
        _bases.move_to_end(key)
    return basis


def _transform(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    # (torch.compile takes this branch too: to it, the answer is yes)
    if torch.compiler.is_exporting():
        # Splitting (W*C) again would bind an exported graph to the widths
        # that divide it, so there it is two products on (B, C, H, W).
        x = rows @ x.permute(0, 3, 1, 2) @ columns.t()
        return x.permute(0, 2, 3, 1)
    b, h, w, c = x.shape
    # (B, H, W, C) -> (B, H, W*C): the row transform is one product an image
    x = torch.bmm(rows.expand(b, h, h), x.flatten(2))
    # (B, H, W*C) -> (B*H, W, C): the column transform is one product a row
    x = x.unflatten(2, (w, c)).flatten(0, 1)
    x = torch.bmm(columns.expand(b * h, w, w), x)
    return x.unflatten(0, (b, h))


def _bases_of(x: Tensor) -> Tuple[Tensor, Tensor]:
    _, h, w, _ = x.shape
    if torch.jit.is_tracing():  # sizes are tensors there
        h, w = int(h), int(w)
    return (dct_basis(h, x.dtype, x.device), dct_basis(w, x.dtype, x.device))


def dct_2d(x: Tensor) -> Tensor:
    """Two-dimensional orthonormal DCT-II.

    Args:
        x (Tensor): Shape (B, H, W, C), floating point, H and W in tokens.

    Returns:
        Tensor: Coefficients of shape (B, H, W, C), indexed by frequency.
    """
    rows, columns = _bases_of(x)
    return _transform(x, rows, columns)


def idct_2d(x: Tensor) -> Tensor:
    """Inverse of :func:`dct_2d` (the DCT-III), same shapes."""
    rows, columns = _bases_of(x)
    return _transform(x, rows.t(), columns.t())


def squared_frequencies(height: int,
                        width: int,
                        dtype: torch.dtype = torch.float32,
                        device: Optional[Union[str, torch.device]] = None
                        ) -> Tensor:
    """``w_n^2 + w_m^2`` with ``w_n = pi n / H`` and ``w_m = pi m / W``.

    Args:
        height (int): H, tokens in a column.
        width (int): W, tokens in a row.
        dtype (torch.dtype): Type of the result. Defaults to float32.
        device (str | torch.device, optional): Defaults to the CPU.

    Returns:
        Tensor: Shape (H, W), in squared radians a token; 0 at [0, 0].
    """
    squares = []
    for length in (height, width):
        index = torch.arange(length, dtype=torch.float64, device=device)
        size = torch.full((), length, dtype=torch.float64, device=device)
        squares.append((index * (math.pi / size)).square())
    # (H, 1) + (W,) -> (H, W)
    return (squares[0][:, None] + squares[1]).to(dtype)
