"""Transforms of CLIP pre-training."""

import random

import numpy as np
import pytest
from PIL import Image

from mmvision_ext.itpn.pretrain.transforms import (
    BlockMaskGenerator,
    TwoViewRandomResizedCrop,
)


def slope(height, width):
    """Red tells the row, green the column."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    return image


def test_mask_generator():
    generator = BlockMaskGenerator(14, 75)
    random.seed(5)
    first = generator({'kept': 1})
    assert first['kept'] == 1
    assert first['mask'].shape == (14, 14)
    assert first['mask'].dtype == bool
    assert first['mask'].sum() == 75
    random.seed(5)
    assert np.array_equal(generator({})['mask'], first['mask'])
    masks = np.stack([generator({})['mask'] for _ in range(200)])
    # also at the bottom and at the right
    assert masks[:, -1].any(0).all() and masks[:, :, -1].any(0).all()
    wide = BlockMaskGenerator((6, 9), 20, min_num_patches=4)({})['mask']
    assert wide.shape == (6, 9) and wide.sum() == 20
    with pytest.raises(ValueError, match='75 patches to hide out of 8 x 8'):
        BlockMaskGenerator(8, 75)


def test_two_views_are_of_one_box():
    transform = TwoViewRandomResizedCrop(64, 32)
    image = slope(120, 200)
    for seed in range(20):
        random.seed(seed)
        results = transform(dict(img=image, img_path='a.png'))
        student, teacher = results['img']
        assert student.shape == (64, 64, 3)
        assert teacher.shape == (32, 32, 3)
        assert results['img_shape'] == (64, 64)
        # centres of rows and columns agree to a level of the slope
        half = student.reshape(32, 2, 32, 2, 3).mean((1, 3))
        assert np.abs(half - teacher)[2:-2, 2:-2].max() < 1.5


def test_views_are_those_of_pil():
    transform = TwoViewRandomResizedCrop((24, 40), (12, 20))
    transform._box = lambda *_: (3, 5, 50, 60)
    image = np.random.RandomState(0).randint(0, 256, (70, 80, 3), np.uint8)
    views = transform(dict(img=image))['img']
    crop = Image.fromarray(image).crop((5, 3, 65, 53))
    expected = (crop.resize((40, 24), Image.Resampling.BICUBIC),
                crop.resize((20, 12), Image.Resampling.LANCZOS))
    for view, picture in zip(views, expected):
        assert np.array_equal(view, np.asarray(picture))


def test_boxes():
    transform = TwoViewRandomResizedCrop(8, 8, scale=(0.08, 1.))
    rng = random.Random(0)
    boxes = [transform._box(60, 80, rng) for _ in range(3000)]
    for top, left, height, width in boxes:
        assert 0 <= top <= 60 - height and 0 <= left <= 80 - width
        # sides are rounded
        assert (width + 0.5) / (height - 0.5) >= 3 / 4
        assert (width - 0.5) / (height + 0.5) <= 4 / 3
    areas = np.array([h * w for _, _, h, w in boxes]) / 4800
    assert areas.min() == pytest.approx(0.08, abs=0.01)
    # uniform up to one half, where every ratio fits
    small = areas[areas < 0.5]
    assert np.mean(small < 0.29) == pytest.approx(0.5, abs=0.04)
    # places at the far ends are reached
    assert any(top + h == 60 for top, _, h, _ in boxes if h < 60)
    assert any(left + w == 80 for _, left, _, w in boxes if w < 80)


def test_box_of_a_narrow_image():
    transform = TwoViewRandomResizedCrop(8, 8, scale=(0.9, 1.))
    # 10 x 100: no ratio from 3/4 to 4/3 covers nine tenths of it
    assert transform._box(10, 100, random.Random(0)) == (0, 43, 10, 13)
    assert transform._box(100, 10, random.Random(0)) == (43, 0, 13, 10)


def test_fixed_crops():
    transform = TwoViewRandomResizedCrop(16, 16, num_crops=3)
    image = slope(90, 90)

    def crops(path):
        views = (transform(dict(img=image, img_path=path))['img'][0]
                 for _ in range(40))
        return {view.tobytes() for view in views}

    random.seed(0)
    first = crops('a.png')
    random.seed(1)
    assert crops('a.png') == first
    assert len(first) == 3
    assert not crops('b.png') & first


@pytest.mark.parametrize('change, message', [
    (dict(scale=(1., 0.5)), r'scale is \(1.0, 0.5\)'),
    (dict(ratio=(0., 1.)), r'ratio is \(0.0, 1.0\)'),
    (dict(num_crops=0), 'num_crops is 0'),
])
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        TwoViewRandomResizedCrop(8, 8, **change)
