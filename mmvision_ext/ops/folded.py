"""Heat conduction on a CPU: folded transforms, a few rows at a time.

A row of the DCT-II basis is even or odd about the middle, so each transform
is two of half the length, of the sum and of the difference of the two halves:
half the multiplications. Frequencies stay sorted by parity in between. The
transform along a row, the decay and the way back are done for some rows at a
time while they are in the cache.
"""

from functools import lru_cache
from typing import Any, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dct import dct_basis
from .gemm import product

#: Below this side the products are too small to be worth the additions.
MIN_SIDE = 24
CHUNK_BYTES = 2 << 20


def can_fold(x: Tensor) -> bool:
    """Whether :func:`conduct_folded` serves maps such as ``x``.

    Args:
        x (Tensor): Shape (B, H, W, C).

    Returns:
        bool: True for float32 and float64 on a CPU from 32 x 32 on.
    """
    return (x.device.type == 'cpu'
            and x.dtype in (torch.float32, torch.float64)
            and min(x.shape[1:3]) >= MIN_SIDE)


def conduct_folded(x: Tensor, decay: Tensor) -> Tensor:
    """Transform, multiply by the decay, transform back.

    Args:
        x (Tensor): Heat of shape (B, H, W, C), see :func:`can_fold`.
        decay (Tensor): Shape (H, W, C), same type.

    Returns:
        Tensor: Shape (B, H, W, C). Gradients of gradients are not available.
    """
    if torch.is_grad_enabled() and (x.requires_grad or decay.requires_grad):
        return _Conduct.apply(x, decay)
    return _conduct(x, decay)[0]


class _Conduct(torch.autograd.Function):
    """Keeps the spectrum only if the decay needs a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, decay: Tensor) -> Tensor:
        out, spectrum = _conduct(x, decay, keep=ctx.needs_input_grad[1])
        ctx.save_for_backward(decay, spectrum)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        # The operator is its own transpose, and the decay's gradient is the
        # product of the spectra of what came in and of what comes back.
        decay, spectrum = ctx.saved_tensors
        ddecay = None if spectrum is None else torch.zeros_like(decay)
        return _conduct(grad, decay, spectrum, ddecay)[0], ddecay


@lru_cache(maxsize=64)
def _halves(length: int, dtype: torch.dtype) -> Tuple[Tuple[Tensor, ...], ...]:
    """Even and odd half of a basis, each with its transpose."""
    with torch.inference_mode(False), torch.no_grad():
        basis = dct_basis(length, dtype)
        # (N, N) -> (ceil(N/2), ceil(N/2)) and (floor(N/2), floor(N/2))
        halves = (basis[0::2, :length - length // 2],
                  basis[1::2, :length // 2])
        return tuple((t.contiguous(), t.t().contiguous()) for t in halves)


def _fold(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Sum and difference of the halves of axis 0, the second turned round.

    Args:
        x (Tensor): Shape (N, ...).

    Returns:
        tuple[Tensor, Tensor]: Shapes (ceil(N/2), M) and (floor(N/2), M).
    """
    length = x.shape[0]
    half = length // 2
    first, last = x[:half], x[length - half:].flip(0)
    total = x.new_empty((length - half, *x.shape[1:]))
    torch.add(first, last, out=total[:half])
    if length % 2:
        total[half] = x[half]
    difference = torch.sub(first, last, out=last)
    return total.flatten(1), difference.flatten(1)


def _unfold(even: Tensor, odd: Tensor, out: Tensor) -> Tensor:
    """The transpose of :func:`_fold`, into ``out``; ``even`` is used up."""
    half = len(odd)
    even, odd = (t.view(-1, *out.shape[1:]) for t in (even, odd))
    torch.add(even[:half], odd, out=out[:half])
    if len(even) > half:
        out[half] = even[half]
    out[len(out) - half:] = even[:half].sub_(odd).flip(0)
    return out


def _conduct(x: Tensor,
             decay: Tensor,
             spectrum: Optional[Tensor] = None,
             ddecay: Optional[Tensor] = None,
             keep: bool = False) -> Tuple[Tensor, Optional[Tensor]]:
    """Conduct; given a spectrum, add to the gradient of the decay too.

    Returns:
        tuple: Heat of shape (B, H, W, C), and with ``keep`` its spectrum
        before the decay, same shape, rows and columns sorted by parity.
    """
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    kept = torch.empty_like(out) if keep else None
    for i in range(len(x)):
        _conduct_image(x[i], decay, out[i], None if kept is None else kept[i],
                       None if spectrum is None else spectrum[i], ddecay)
    return out, kept


def _conduct_image(x: Tensor, decay: Tensor, out: Tensor,
                   keep: Optional[Tensor], spectrum: Optional[Tensor],
                   ddecay: Optional[Tensor]) -> None:
    h, w, c = x.shape
    halves = list(_fold(x))  # (H, W, C) -> two of (H/2, W*C)
    start = 0
    for i, (basis, back) in enumerate(_halves(h, x.dtype)):
        part = product(basis, halves[i]).view(-1, w, c)
        rows = slice(start, start + len(part))
        start = rows.stop
        _conduct_rows(part, decay[i::2], None if keep is None else keep[rows],
                      None if spectrum is None else spectrum[rows],
                      None if ddecay is None else ddecay[i::2])
        halves[i] = product(back, part.flatten(1))
    _unfold(halves[0], halves[1], out)


def _conduct_rows(part: Tensor, decay: Tensor, keep: Optional[Tensor],
                  spectrum: Optional[Tensor],
                  ddecay: Optional[Tensor]) -> None:
    """Transform, decay and transform back along axis 1, in place.

    Args:
        part (Tensor): Shape (R, W, C), contiguous.
        decay (Tensor): Shape (R, W, C).
        keep (Tensor, optional): Where the spectrum goes.
        spectrum (Tensor, optional): Spectrum of the forward pass.
        ddecay (Tensor, optional): Gradient of the decay, added to.
    """
    w, c = part.shape[1:]
    bases = _halves(w, part.dtype)
    budget = CHUNK_BYTES * torch.get_num_threads()
    step = max(budget // (w * c * part.element_size()), 1)
    for a in range(0, len(part), step):
        b = min(a + step, len(part))
        chunk = part[a:b].transpose(0, 1)  # (n, W, C) -> (W, n, C), a view
        halves = list(_fold(chunk))  # two of (W/2, n*C)
        start = 0
        for i, (basis, back) in enumerate(bases):
            half = product(basis, halves[i]).view(-1, b - a, c)
            columns = slice(start, start + len(half))
            start = columns.stop
            # (W/2, n, C) -> (n, W/2, C), a view
            rows = half.transpose(0, 1)
            if keep is not None:
                keep[a:b, columns] = rows
            if ddecay is not None:
                ddecay[a:b, i::2] += rows * spectrum[a:b, columns]
            rows.mul_(decay[a:b, i::2])
            halves[i] = product(back, half.flatten(1))
        _unfold(halves[0], halves[1], chunk)
