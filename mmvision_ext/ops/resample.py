"""Interpolation of grids as products with small matrices.

The values are those of ``torch.nn.functional.interpolate`` without
antialiasing and with ``align_corners=False``. Written as matrices, the
gradient is the same in every run on a GPU, a captured graph serves every
size, and the step between samples may be any number.
"""

from typing import Optional, Tuple, Union

import torch
from torch import Tensor

from .dct import no_autocast

#: The free parameter of the cubic kernel, as torch has it.
_CUBIC = -0.75


def _tap_weights(fraction: Tensor, mode: str) -> Tuple[Tensor, Tensor]:
    # (N,) distances to the left neighbour -> (taps, N) and their offsets
    if mode == 'linear':
        offsets = fraction.new_tensor((0., 1.))
        return 1. - (fraction - offsets[:, None]).abs(), offsets
    offsets = fraction.new_tensor((-1., 0., 1., 2.))
    d = (fraction - offsets[:, None]).abs()
    near = ((_CUBIC + 2.) * d - (_CUBIC + 3.)) * d * d + 1.
    far = ((d - 5.) * d + 8.) * d * _CUBIC - 4. * _CUBIC
    return torch.where(d <= 1., near, far), offsets


def resample_matrix(old: int,
                    new: int,
                    mode: str,
                    step: Optional[Union[float, Tensor]] = None,
                    like: Optional[Tensor] = None) -> Tensor:
    """The matrix that interpolates ``old`` samples at ``new`` places.

    Output i is read at ``(i + 1/2) step - 1/2``; what lies outside repeats
    the first or last sample.

    Args:
        old (int): Samples there are.
        new (int): Samples wanted.
        mode (str): 'linear' or 'cubic' (a = -0.75).
        step (float | Tensor, optional): Distance of two outputs in input
            samples. Defaults to ``old / new``.
        like (Tensor, optional): Gives device and type of the result.
            Defaults to float32 on the CPU.

    Returns:
        Tensor: Shape (new, old), each row of sum 1. Built in float64 and
        rounded once; the identity where ``old == new`` and ``step`` is 1.
    """
    like = torch.empty(0) if like is None else like
    kwargs = dict(dtype=torch.float64, device=like.device)
    if step is None:
        # a size may be symbolic, and only tensor arithmetic keeps it so
        step = old / torch.full((), new, **kwargs)
    place = (torch.arange(new, **kwargs) + 0.5) * step - 0.5
    left = place.floor()
    weights, offsets = _tap_weights(place - left, mode)
    # (taps, new) indices; outside is the border
    index = (left + offsets[:, None]).clamp(0, old - 1)
    source = torch.arange(old, **kwargs)
    # (taps, new, 1) == (old,) -> (taps, new, old) -> (new, old)
    hits = (index[..., None] == source) * weights[..., None]
    return hits.sum(0).to(like.dtype)


def resample_grid(
    grid: Tensor,
    size: Tuple[int, int],
    steps: Tuple[Optional[Union[float, Tensor]], ...] = (None, None)
) -> Tensor:
    """Bicubic interpolation of a grid with channels last. Differentiable.

    Args:
        grid (Tensor): Shape (R_h, R_w, C).
        size (tuple[int, int]): The grid wanted, (H, W).
        steps (tuple): Distance of two outputs in input samples, for rows
            and columns; None for input size over output size. Defaults to
            (None, None).

    Returns:
        Tensor: Shape (H, W, C), the type of ``grid``; computed in float32
        or better.
    """
    values = grid.to(torch.promote_types(grid.dtype, torch.float32))
    rows, columns = (
        resample_matrix(old, new, 'cubic', step, values)
        for old, new, step in zip(grid.shape, size, steps))
    with no_autocast(values):
        # (R_h, R_w, C) -> (R_h, R_w*C) -> (H, R_w*C) -> (H, R_w, C)
        values = (rows @ values.flatten(1)).unflatten(1, grid.shape[1:])
        # (H, W, R_w) and (H, R_w, C) -> (H, W, C)
        values = torch.matmul(columns, values)
    return values.to(grid.dtype)
