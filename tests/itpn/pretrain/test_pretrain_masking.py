"""Which patches are hidden, and patches as sequences."""

import random

import pytest
import torch

from mmvision_ext.itpn.pretrain import block_mask, random_masking
from mmvision_ext.itpn.pretrain.patches import (
    gather_patches,
    images_to_patches,
    map_to_cells,
    patches_to_images,
)


def test_random_masking_keeps_the_lowest_noise():
    noise = torch.tensor([[.9, .1, .5, .3], [.2, .8, .1, .7]])
    hidden = random_masking(noise, 0.5)
    assert hidden.ids_keep.tolist() == [[1, 3], [2, 0]]
    assert hidden.ids_masked.tolist() == [[2, 0], [3, 1]]
    assert hidden.mask.tolist() == [[True, False, True, False],
                                    [False, True, False, True]]


@pytest.mark.parametrize('num, ratio, kept', [(196, 0.75, 49), (256, 0.75, 64),
                                              (16, 0.75, 4), (9, 0.5, 4)])
def test_random_masking_counts(num, ratio, kept):
    hidden = random_masking(torch.rand(3, num), ratio)
    assert hidden.ids_keep.shape == (3, kept)
    assert hidden.mask.sum(1).tolist() == [num - kept] * 3


@pytest.mark.parametrize('ratio', [0., 0.9, 1.])
def test_random_masking_refuses_all_or_nothing(ratio):
    with pytest.raises(ValueError, match='of 4 patches visible'):
        random_masking(torch.rand(1, 4), ratio)


def test_block_mask_statistics():
    rng = random.Random(0)
    masks = torch.stack([block_mask(14, 14, 75, rng=rng) for _ in range(400)])
    assert masks.sum((1, 2)).unique().tolist() == [75]
    share = masks.float().mean(0)
    # Blocks lie inside, so the middle is hidden more often, but every patch
    # is at times, and no side is preferred.
    assert share.min() > 0.02
    assert share[6:8, 6:8].mean() > 0.6
    for flipped in (share.flip(0), share.flip(1), share.T):
        assert (share - flipped).abs().max() < 0.12
    # Far more neighbours agree than of single patches: 1 - 2 p (1 - p).
    agree = (masks[:, 1:] == masks[:, :-1]).float().mean()
    assert agree > 0.75


def test_block_mask_is_seeded():
    first, again, other = (
        block_mask(14, 14, 75, rng=random.Random(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    random.seed(1)
    assert torch.equal(first, block_mask(14, 14, 75))


def test_block_mask_where_no_block_fits():
    # 16 patches, the least block, never fit a grid of 4 x 4
    masks = [
        block_mask(4, 4, 6, rng=random.Random(seed)) for seed in range(200)
    ]
    assert {int(mask.sum()) for mask in masks} == {6}
    assert torch.stack(masks).any(0).all()


@pytest.mark.parametrize('num', [0, 16, 75])
def test_block_mask_refuses(num):
    with pytest.raises(ValueError, match=f'{num} patches to hide out of 4 x'):
        block_mask(4, 4, num)


def test_patches_and_back():
    images = torch.arange(2 * 3 * 32 * 48.).reshape(2, 3, 32, 48)
    patches = images_to_patches(images)
    assert patches.shape == (2, 6, 768)
    # second patch of the second row; its row 3, column 5, green
    assert patches[1, 4, (3 * 16 + 5) * 3 + 1] == images[1, 1, 19, 21]
    assert torch.equal(patches_to_images(patches, (2, 3)), images)


def test_cells_and_gather():
    x = torch.arange(2 * 5 * 8 * 12.).reshape(2, 5, 8, 12)
    cells = map_to_cells(x, (2, 3))
    assert cells.shape == (2, 6, 4, 4, 5)
    assert torch.equal(cells[1, 4, 2, 3], x[1, :, 6, 7])
    ids = torch.tensor([[5, 0], [1, 1]])
    chosen = gather_patches(cells, ids)
    assert chosen.shape == (2, 2, 4, 4, 5)
    assert torch.equal(chosen[0, 0], cells[0, 5])
    assert torch.equal(chosen[1, 1], cells[1, 1])
