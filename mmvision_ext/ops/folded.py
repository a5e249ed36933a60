"""Heat conduction on a CPU: folded transforms, a few rows at a time.

A row of the DCT-II basis is even or odd about the middle, so each transform
is two of half the length, of the sum and of the difference of the two halves:
half the multiplications. Frequencies stay sorted by parity in between. The
transform along a row, the decay and the way back are done for some rows at a
time while they are in the cache.
"""

from typing import Any, Iterator, List, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dct import dct_basis

#: Below this side the products are too small to be worth the additions.
MIN_SIDE = 32
_CHUNK_BYTES = 1 << 20

#: Indices of a chunk: images from a to b, rows of a parity from c to d.
_Chunk = Tuple[int, int, int, int]


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
        ctx.save_for_backward(decay, *spectrum)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        # The operator is its own transpose, and the decay's gradient is the
        # product of the spectra of what came in and of what comes back.
        decay, *spectrum = ctx.saved_tensors
        ddecay = torch.zeros_like(decay) if spectrum else None
        return _conduct(grad, decay, spectrum, ddecay)[0], ddecay


def _halves(length: int, like: Tensor) -> Tuple[Tensor, Tensor]:
    basis = dct_basis(length, like.dtype, like.device)
    # (N, N) -> (ceil(N/2), ceil(N/2)) and (floor(N/2), floor(N/2))
    even = basis[0::2, :length - length // 2]
    return even.contiguous(), basis[1::2, :length // 2].contiguous()


def _fold(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Sum and difference of the two halves of axis 1, the second flipped."""
    length = x.shape[1]
    half = length // 2
    first, last = x[:, :half], x[:, length - half:].flip(1)
    difference = first - last
    if length % 2 == 0:
        return last.add_(first), difference
    total = x.new_empty((x.shape[0], half + 1, *x.shape[2:]))
    torch.add(first, last, out=total[:, :half])
    total[:, half] = x[:, half]
    return total, difference


def _unfold(even: Tensor, odd: Tensor, out: Tensor) -> Tensor:
    """The transpose of :func:`_fold`, into ``out``; ``even`` is used up."""
    half = odd.shape[1]
    torch.add(even[:, :half], odd, out=out[:, :half])
    if even.shape[1] > half:
        out[:, half] = even[:, half]
    out[:, out.shape[1] - half:] = even[:, :half].sub_(odd).flip(1)
    return out


def _apply(basis: Tensor, x: Tensor) -> Tensor:
    # (N, N) and (B, N, C) -> (B, N, C)
    return torch.bmm(basis.expand(len(x), *basis.shape), x)


def _conduct(x: Tensor,
             decay: Tensor,
             spectrum: Optional[List[Tensor]] = None,
             ddecay: Optional[Tensor] = None,
             keep: bool = False) -> Tuple[Tensor, List[Tensor]]:
    """Conduct; with a spectrum of the same maps add to the decay's gradient.

    Returns:
        tuple: Heat of shape (B, H, W, C), and with ``keep`` the spectrum
        before the decay: of the even and of the odd rows, (B, H/2, W, C)
        each, columns sorted by parity.
    """
    b, h, w, c = x.shape
    bases = _halves(h, x)
    # (B, H, W, C) -> (B, H, W*C) -> two of (B, H/2, W*C)
    parts = list(_fold(x.reshape(b, h, w * c)))
    kept = []
    for i, basis in enumerate(bases):
        # the sum is not needed after its transform: parts holds it alone
        part = parts[i] = _apply(basis, parts[i])
        part = part.view(b, len(basis), w, c)
        if keep:
            kept.append(torch.empty_like(part))
        _conduct_rows(part, decay[i::2], kept[i] if keep else None,
                      spectrum[i] if spectrum else None,
                      ddecay[i::2] if ddecay is not None else None)
        parts[i] = _apply(basis.t(), parts[i])
    out = x.new_empty((b, h, w * c))
    return _unfold(parts[0], parts[1], out).view(b, h, w, c), kept


def _chunks(part: Tensor) -> Iterator[_Chunk]:
    """Rows of some images, or some rows of one image."""
    images, rows, w, c = part.shape
    budget = _CHUNK_BYTES * torch.get_num_threads()
    fits = max(budget // (w * c * part.element_size()), 1)
    if fits >= rows:
        step = fits // rows
        for a in range(0, images, step):
            yield a, min(a + step, images), 0, rows
    else:
        for a in range(images):
            for r in range(0, rows, fits):
                yield a, a + 1, r, min(r + fits, rows)


def _conduct_rows(part: Tensor, decay: Tensor, keep: Optional[Tensor],
                  spectrum: Optional[Tensor],
                  ddecay: Optional[Tensor]) -> None:
    """Transform, decay and transform back along axis 2, in place.

    Args:
        part (Tensor): Shape (B, R, W, C), contiguous.
        decay (Tensor): Shape (R, W, C).
        keep (Tensor, optional): Where the spectrum goes.
        spectrum (Tensor, optional): Spectrum of the forward pass.
        ddecay (Tensor, optional): Gradient of the decay, added to.
    """
    w = part.shape[2]
    bases = _halves(w, part)
    split = len(bases[0])
    for a, b, c, d in _chunks(part):
        chunk = part[a:b, c:d].flatten(0, 1)  # (n, W, C), a view
        halves = []
        for i, (basis, half) in enumerate(zip(bases, _fold(chunk))):
            columns = slice(0, split) if i == 0 else slice(split, w)
            half = _apply(basis, half).unflatten(0, (b - a, d - c))
            if keep is not None:
                keep[a:b, c:d, columns] = half
            if ddecay is not None:
                product = half * spectrum[a:b, c:d, columns]
                ddecay[c:d, i::2] += product.sum(0)
            half.mul_(decay[c:d, i::2])
            halves.append(_apply(basis.t(), half.flatten(0, 1)))
        _unfold(halves[0], halves[1], chunk)
