"""Which patches are hidden: random ones (MAE) or random blocks (BEiT)."""

import math
import random
from typing import NamedTuple, Optional, Protocol

import torch
from torch import Tensor

#: Tries to place one block before the rest is filled with single patches.
_TRIES = 10


class RandomMask(NamedTuple):
    """A random choice of patches, the same number for each image.

    Args:
        ids_keep (Tensor): Visible patches, (B, K) int64, in random order.
        ids_masked (Tensor): Hidden patches, (B, N - K) int64.
        mask (Tensor): (B, N) bool, True where hidden.
    """

    ids_keep: Tensor
    ids_masked: Tensor
    mask: Tensor


def random_masking(noise: Tensor, mask_ratio: float) -> RandomMask:
    """Keep the patches of the lowest noise.

    Source: "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022.

    Args:
        noise (Tensor): One number a patch, (B, N).
        mask_ratio (float): Share of hidden patches; ``int(N * (1 -
            mask_ratio))`` stay visible.

    Returns:
        RandomMask: Visible and hidden patches.

    Raises:
        ValueError: If all or no patches would be hidden.
    """
    num_patches = noise.shape[1]
    num_keep = int(num_patches * (1 - mask_ratio))
    if not 0 < num_keep < num_patches:
        raise ValueError(
            f'mask_ratio {mask_ratio} leaves {num_keep} of {num_patches} '
            'patches visible; choose one that leaves some and hides some')
    order = noise.argsort(dim=1)
    ids_keep, ids_masked = order[:, :num_keep], order[:, num_keep:]
    mask = torch.ones_like(noise, dtype=torch.bool)
    return RandomMask(ids_keep, ids_masked,
                      mask.scatter(1, ids_keep, torch.zeros_like(
                          ids_keep, dtype=torch.bool)))


class Randomness(Protocol):
    """What is used of :class:`random.Random`, or of the module itself."""

    def uniform(self, a: float, b: float) -> float:
        """A number between a and b."""

    def randint(self, a: int, b: int) -> int:
        """An integer from a to b, both included."""

    def sample(self, population: list, k: int) -> list:
        """Different entries, k of them."""


def block_mask(height: int,
               width: int,
               num_masked: int,
               min_block: int = 16,
               max_block: Optional[int] = None,
               min_aspect: float = 0.3,
               max_aspect: Optional[float] = None,
               rng: Randomness = random) -> Tensor:
    """Hide exactly ``num_masked`` patches, most of them in blocks.

    Blocks of random area (uniform between ``min_block`` and what is left to
    hide) and random aspect ratio (log-uniform) are placed at random until
    enough is hidden. If ten tries in a row hide nothing new without hiding
    too much, single patches make up the rest. Source: "BEiT: BERT
    Pre-Training of Image Transformers", ICLR 2022.

    Args:
        height (int): Patches from top to bottom.
        width (int): Patches from left to right.
        num_masked (int): Patches to hide.
        min_block (int): Least area of a block. Defaults to 16.
        max_block (int, optional): Largest area of a block. Defaults to None,
            ``num_masked``.
        min_aspect (float): Least ratio of height to width. Defaults to 0.3.
        max_aspect (float, optional): Largest. Defaults to None, the inverse
            of ``min_aspect``.
        rng (Randomness): Source of randomness. Defaults to the module
            ``random``.

    Returns:
        Tensor: (height, width) bool, True where hidden.

    Raises:
        ValueError: If more patches are to be hidden than there are.
    """
    if not 0 < num_masked < height * width:
        raise ValueError(
            f'{num_masked} patches to hide out of {height} x {width}; choose '
            f'between 1 and {height * width - 1}')
    max_block = num_masked if max_block is None else max_block
    log_aspect = math.log(min_aspect), math.log(max_aspect or 1 / min_aspect)
    mask = torch.zeros(height, width, dtype=torch.bool)
    left = num_masked
    while left > 0:
        hidden = _hide_block(mask, min_block, min(left, max_block),
                             log_aspect, rng)
        if hidden == 0:
            visible = mask.flatten().logical_not().nonzero().flatten()
            mask.view(-1)[rng.sample(visible.tolist(), left)] = True
            hidden = left
        left -= hidden
    return mask


def _hide_block(mask: Tensor, min_block: int, most: int,
                log_aspect: tuple[float, float], rng: Randomness) -> int:
    """Hide one more block; returns how many patches that were visible."""
    height, width = mask.shape
    for _ in range(_TRIES):
        area = rng.uniform(min_block, most)
        aspect = math.exp(rng.uniform(*log_aspect))
        h = round(math.sqrt(area * aspect))
        w = round(math.sqrt(area / aspect))
        if h >= height or w >= width:
            continue
        top, left = rng.randint(0, height - h), rng.randint(0, width - w)
        block = mask[top:top + h, left:left + w]
        fresh = h * w - int(block.sum())
        if 0 < fresh <= most:
            block.fill_(True)
            return fresh
    return 0
