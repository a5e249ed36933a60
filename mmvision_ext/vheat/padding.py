"""Keeping the padding of a batch out of a transform that sees all of it."""

from typing import Callable, List, Sequence, Tuple

import torch
from torch import Tensor

Size = Tuple[int, int]


def find_valid_sizes(x: Tensor) -> List[Size]:
    """Sizes of the images inside a canvas padded with zeros.

    Padding is what the data preprocessors of mmdetection and mmsegmentation
    add at the bottom and on the right, after normalisation: exact zeros in
    all channels. A normalised 8-bit pixel is never exactly zero under the
    usual means, which are no whole numbers.

    Args:
        x (Tensor): Padded images of shape (B, C, H, W).

    Returns:
        list[tuple[int, int]]: Height and width of each image in pixels; the
        whole canvas for an image of zeros only.
    """
    filled = (x != 0).any(dim=1)  # (B, C, H, W) -> (B, H, W)
    height, width = x.shape[2:]
    # the number of the last filled row and column, 0 where there is none:
    # (B, H, W) -> (B, H) and (B, W) -> (B,)
    rows = (filled.any(dim=2) * torch.arange(
        1, height + 1, device=x.device)).amax(dim=1)
    columns = (filled.any(dim=1) * torch.arange(
        1, width + 1, device=x.device)).amax(dim=1)
    return [(int(row) or height, int(column) or width)
            for row, column in zip(rows.tolist(), columns.tolist())]


def run_on_valid_areas(forward: Callable[[Tensor], Tuple[Tensor, ...]],
                       x: Tensor, valid_sizes: Sequence[Size],
                       strides: Sequence[int]) -> Tuple[Tensor, ...]:
    """Run each image of a padded batch at its own size.

    Images of one size run together. The results stand in the top left
    corner of maps of the canvas' size, with zeros around.

    Args:
        forward (Callable): From images (B, C, H, W) to maps of shape
            (B, C_i, ceil(H / s_i), ceil(W / s_i)).
        x (Tensor): Padded images of shape (B, C, H, W).
        valid_sizes (Sequence[tuple[int, int]]): Height and width of each
            image, in pixels.
        strides (Sequence[int]): The stride s_i of each map.

    Returns:
        tuple[Tensor]: The maps, of the sizes that ``forward`` would give
        for the canvas.

    Raises:
        ValueError: If there is not one size for each image, or one does not
            fit into the canvas.
    """
    canvas = (x.shape[2], x.shape[3])
    sizes = [(int(h), int(w)) for h, w in valid_sizes]
    if len(sizes) != x.shape[0]:
        raise ValueError(f'{len(sizes)} valid_sizes for a batch of '
                         f'{x.shape[0]} images; expected one for each')
    for size in sizes:
        if not (1 <= size[0] <= canvas[0] and 1 <= size[1] <= canvas[1]):
            raise ValueError(f'valid size {size} does not fit into the '
                             f'canvas of {canvas} pixels (height, width)')
    if all(size == canvas for size in sizes):
        return forward(x)
    parts: List[Tuple[Tensor, ...]] = [()] * len(sizes)
    for size in sorted(set(sizes)):
        members = [i for i, other in enumerate(sizes) if other == size]
        maps = forward(x[members, :, :size[0], :size[1]])
        for position, i in enumerate(members):
            parts[i] = tuple(m[position] for m in maps)
    return tuple(
        _paste(level, (-(-canvas[0] // stride), -(-canvas[1] // stride)))
        for level, stride in zip(zip(*parts), strides))


def _paste(maps: Sequence[Tensor], size: Size) -> Tensor:
    # each (C, h, w) -> (B, C, H, W)
    out = maps[0].new_zeros((len(maps), maps[0].shape[0], *size))
    for i, part in enumerate(maps):
        out[i, :, :part.shape[1], :part.shape[2]] = part
    return out
