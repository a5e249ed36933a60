"""Absolute position embeddings: sine-cosine values, other sizes."""

import math

import torch
from torch import Tensor

from ..ops import resample_grid
from ..ops.dct import is_graph_capture
from ..ops.rel_pos import Size


def sincos_position(embed_dims: int, size: Size) -> Tensor:
    """Two-dimensional sine-cosine embedding of the MAE kind.

    The first half of the channels encodes the column and the second the
    row, each as [sin | cos] at wavelengths from 2 pi to 10000 * 2 pi.
    Source: "Masked Autoencoders Are Scalable Vision Learners", appendix A,
    after "Attention Is All You Need", section 3.5.

    Args:
        embed_dims (int): Channels C, a multiple of 4.
        size (tuple[int, int]): The map, (H, W) in tokens.

    Returns:
        Tensor: Shape (1, H * W, C), float32.

    Raises:
        ValueError: If ``embed_dims`` is not a multiple of 4.
    """
    if embed_dims % 4:
        raise ValueError(f'embed_dims is {embed_dims}; a sine-cosine '
                         'position needs a multiple of 4')
    quarter = embed_dims // 4
    rates = 1e4**(-torch.arange(quarter, dtype=torch.float64) / quarter)
    halves = []
    for length, shape in ((size[1], (1, -1, 1)), (size[0], (-1, 1, 1))):
        # (L, 1) * (C/4,) -> (L, C/4) -> (L, C/2)
        angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
        half = torch.cat((angles.sin(), angles.cos()), 1)
        # (L, C/2) -> (1, W, C/2) or (H, 1, C/2) -> (H, W, C/2)
        half = half.reshape(*shape[:2], 2 * quarter)
        halves.append(half.expand(*size, -1))
    # (H, W, C) -> (1, H*W, C)
    return torch.cat(halves, -1).flatten(0, 1)[None].float()


def resize_position(position: Tensor,
                    size: Size,
                    num_tokens: int,
                    excess: float = 0.1) -> Tensor:
    """An embedding of a square map for a map of another size.

    The original resamples bicubically with the scale factor
    ``(H + 0.1) / S`` and leaves the ratio of sampling at that value; weights
    have learnt with it, and a plain resize changes the outputs by 1e-2. It
    does so whenever the number of tokens *at hand* is not S^2: also at the
    very size of the embedding if only some tokens are visible.

    Args:
        position (Tensor): Shape (1, S * S, C).
        size (tuple[int, int]): The map, (H, W) in tokens.
        num_tokens (int): Tokens at hand, H * W or fewer.
        excess (float): What the size is taken to be larger by when sampling;
            0 for a plain resize. Defaults to 0.1.

    Returns:
        Tensor: Shape (1, H * W, C), same type. Differentiable. ``position``
        itself for all S * S tokens of its own map.
    """
    side = grid_side(position)
    height, width = size
    if is_graph_capture():
        # A captured graph serves every size: a step of 1 copies the values.
        kwargs = dict(dtype=torch.float64, device=position.device)
        h, w, n = (torch.full((), s, **kwargs) for s in (*size, num_tokens))
        same = (h == side) & (w == side) & (n == side * side)
        steps = tuple(
            torch.where(same, 1., side / (s + excess)) for s in (h, w))
    elif height == width == side and num_tokens == side * side:
        return position
    else:
        steps = side / (height + excess), side / (width + excess)
    # (1, S*S, C) -> (S, S, C) -> (H, W, C) -> (1, H*W, C)
    grid = position[0].unflatten(0, (side, side))
    resized = resample_grid(grid, size, steps).flatten(0, 1)[None]
    if not is_graph_capture() and (height, width) == (side, side):
        # The original's gradient: where an interpolation keeps the size,
        # torch sends it back as it is, whatever the step of sampling.
        resized = resized.detach() + (position - position.detach())
    return resized


def grid_side(position: Tensor) -> int:
    """Tokens a side of the square map that an embedding is for.

    Args:
        position (Tensor): Shape (1, S * S, C).

    Returns:
        int: S.

    Raises:
        ValueError: If the number of tokens is no square.
    """
    side = math.isqrt(position.shape[1])
    if side * side != position.shape[1]:
        raise ValueError(
            f'a position embedding of {position.shape[1]} tokens; expected '
            'the tokens of a square map')
    return side
