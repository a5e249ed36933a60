"""Networks for inference at sizes that are known before."""

from typing import Iterable, List, Sequence, Tuple

import torch
from torch import Tensor

from .operator import HeatConduction2d

Size = Tuple[int, int]


def token_sizes(image: Size, stages: int) -> List[Size]:
    """Sizes of the maps of each stage, strides 4, 8 and so on.

    Args:
        image (tuple[int, int]): Height and width in pixels.
        stages (int): How many stages.

    Returns:
        list[tuple[int, int]]: Height and width in tokens.
    """
    return [(-(-image[0] // (4 << i)), -(-image[1] // (4 << i)))
            for i in range(stages)]


def check_sizes(sizes: Iterable[Sequence[int]]) -> List[Size]:
    """Image sizes as sorted pairs.

    Args:
        sizes (Iterable[Sequence[int]]): Heights and widths in pixels.

    Returns:
        list[tuple[int, int]]: Smallest area first, each once.

    Raises:
        ValueError: If there is none, or one is no pair of positive numbers.
    """
    pairs = [tuple(size) if isinstance(size, Sequence) else size
             for size in sizes]
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(
                isinstance(side, int) and side > 0 for side in pair):
            raise ValueError(f'size {pair!r}; expected (height, width) in '
                             'pixels')
    if not pairs:
        raise ValueError('sizes is empty; name the (height, width) of the '
                         'images that will come')
    return sorted(set(pairs), key=lambda pair: (pair[0] * pair[1], pair))


def pick_bucket(image: Size, sizes: Sequence[Size], pad: bool) -> Size:
    """The prepared size that an image is run at.

    Args:
        image (tuple[int, int]): Height and width in pixels.
        sizes (Sequence[tuple[int, int]]): What was prepared, smallest first.
        pad (bool): Whether a larger one will do.

    Returns:
        tuple[int, int]: One of ``sizes``.

    Raises:
        ValueError: If there is none.
    """
    for size in sizes:
        if size == image or (pad and size[0] >= image[0]
                             and size[1] >= image[1]):
            return size
    known = ', '.join(f'{h}x{w}' for h, w in sizes)
    raise ValueError(f'image of {image[0]}x{image[1]} pixels; the network was '
                     f'prepared by switch_to_deploy for {known}: resize the '
                     'image or name its size there')


@torch.no_grad()
def freeze_decay(op: HeatConduction2d, freq_embed: Tensor,
                 sizes: Iterable[Size]) -> None:
    """Put decay maps in the place of what they are computed from.

    Args:
        op (HeatConduction2d): Changed in place: it has a buffer a size, and
            no ``to_k`` any more.
        freq_embed (Tensor): Frequency table (R_h, R_w, C).
        sizes (Iterable[tuple[int, int]]): (H, W) in tokens.
    """
    maps = {size: op.decay(freq_embed, size).detach().clone()
            for size in sizes}
    for (height, width), decay in maps.items():
        op.register_buffer(f'decay_{height}x{width}', decay)
    op.to_k = None
    op.decay_cache.clear()
