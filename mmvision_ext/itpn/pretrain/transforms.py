"""Data transforms of CLIP pre-training, for mmpretrain's pipelines.

mmpretrain's own ``BEiTMaskGenerator`` never hides the last row and the last
column of patches, because it draws the place of a block with an excluded
upper end, and its ``RandomResizedCropAndInterpolationWithTwoPic`` shrinks
without a low-pass filter, which the released recipe has, and never reaches
the last places either. A pipeline as released::

    data_preprocessor = dict(
        type='TwoNormDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        # the model brings the second view, in [0, 1], to the teacher's scale
        second_mean=[0., 0., 0.],
        second_std=[255., 255., 255.],
        to_rgb=True)
    train_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='ColorJitter', brightness=0.4, contrast=0.4,
             saturation=0.4),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='mmvision_ext.TwoViewRandomResizedCrop', size=224,
             second_size=224, scale=(0.08, 1.0)),
        dict(type='mmvision_ext.BlockMaskGenerator', input_size=14,
             num_masking_patches=75),
        dict(type='PackInputs')
    ]
"""

import math
import random
from typing import Any, Optional, Tuple, Union

import numpy as np
from PIL import Image

from ...registry import TRANSFORMS
from .masking import Randomness, block_mask

#: Resampling of the view of the student and of that of the teacher.
_RESAMPLING = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)

_TRIES = 10

Size = Union[int, Tuple[int, int]]


def _pair(size: Size) -> Tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


@TRANSFORMS.register_module()
class BlockMaskGenerator:
    """Chooses the patches to hide, mostly in blocks; adds ``mask``.

    Exactly ``num_masking_patches`` are hidden, see :func:`block_mask`. The
    arguments are those of mmpretrain's ``BEiTMaskGenerator``; the randomness
    is that of the module ``random``, which mmengine seeds in every worker.

    Args:
        input_size (int | tuple[int, int]): Patches of the image, one side or
            (rows, columns).
        num_masking_patches (int): Patches to hide.
        min_num_patches (int): Least area of a block. Defaults to 16.
        max_num_patches (int, optional): Largest area of a block. Defaults to
            None, ``num_masking_patches``.
        min_aspect (float): Least ratio of height to width. Defaults to 0.3.
        max_aspect (float, optional): Largest. Defaults to None, the inverse
            of ``min_aspect``.

    Raises:
        ValueError: If more patches are to be hidden than there are.
    """

    def __init__(self,
                 input_size: Size,
                 num_masking_patches: int,
                 min_num_patches: int = 16,
                 max_num_patches: Optional[int] = None,
                 min_aspect: float = 0.3,
                 max_aspect: Optional[float] = None) -> None:
        self.settings = dict(
            zip(('height', 'width'), _pair(input_size)),
            num_masked=num_masking_patches,
            min_block=min_num_patches,
            max_block=max_num_patches,
            min_aspect=min_aspect,
            max_aspect=max_aspect)
        block_mask(**self.settings)

    def __call__(self, results: dict) -> dict:
        """Add ``mask``, an array (rows, columns) of bool, True if hidden."""
        results['mask'] = block_mask(**self.settings).numpy()
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.settings})'


@TRANSFORMS.register_module()
class TwoViewRandomResizedCrop:
    """The same random crop at two sizes: for the student and the teacher.

    The first is resampled bicubically, the second by Lanczos, both with a
    low-pass filter where they shrink. ``img`` becomes a list of both.

    Args:
        size (int | tuple[int, int]): Of the first view, one side or (height,
            width) in pixels.
        second_size (int | tuple[int, int]): Of the second view.
        scale (tuple[float, float]): Area of the crop over that of the image.
            Defaults to (0.08, 1).
        ratio (tuple[float, float]): Width over height of the crop. Defaults
            to (3/4, 4/3).
        num_crops (int, optional): Choose among this number of crops, which
            are always the same for an image of the same ``img_path``. The
            features of the teacher, cached, are then found again. Flips
            before the crop double the number, and a random change of colour
            makes it endless. Defaults to None, a new crop each time.

    Raises:
        ValueError: If a range is empty or ``num_crops`` less than 1.
    """

    def __init__(self,
                 size: Size,
                 second_size: Size,
                 scale: Tuple[float, float] = (0.08, 1.),
                 ratio: Tuple[float, float] = (3 / 4, 4 / 3),
                 num_crops: Optional[int] = None) -> None:
        for name, (low, high) in dict(scale=scale, ratio=ratio).items():
            if not 0 < low <= high:
                raise ValueError(f'{name} is {(low, high)}; expected two '
                                 'positive numbers, the larger one last')
        if num_crops is not None and num_crops < 1:
            raise ValueError(f'num_crops is {num_crops}; expected at least 1, '
                             'or None for a new crop each time')
        self.sizes = _pair(size), _pair(second_size)
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.num_crops = num_crops

    def __call__(self, results: dict) -> dict:
        """Replace ``img`` by its two views.

        Args:
            results (dict): With ``img``, (H, W, C) uint8, and, if
                ``num_crops`` is set, ``img_path``.

        Returns:
            dict: The same, with a list of two arrays as ``img``.
        """
        rng: Any = random
        if self.num_crops is not None:
            # a string is seeded by its content, the same in every process
            rng = random.Random(
                f"{random.randrange(self.num_crops)} {results['img_path']}")
        image = results['img']
        top, left, height, width = self._box(*image.shape[:2], rng)
        crop = Image.fromarray(
            np.ascontiguousarray(image[top:top + height, left:left + width]))
        # PIL takes (width, height)
        results['img'] = [
            np.array(crop.resize(size[::-1], method))
            for size, method in zip(self.sizes, _RESAMPLING)
        ]
        results['img_shape'] = self.sizes[0]
        return results

    def _box(self, height: int, width: int,
             rng: Randomness) -> Tuple[int, int, int, int]:
        """Top, left, height and width of a crop, all within the image."""
        log_ratio = [math.log(value) for value in self.ratio]
        for _ in range(_TRIES):
            area = rng.uniform(*self.scale) * height * width
            ratio = math.exp(rng.uniform(*log_ratio))
            w, h = round(math.sqrt(area * ratio)), round(
                math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return (rng.randint(0, height - h),
                        rng.randint(0, width - w), h, w)
        # the largest part in the middle that keeps to the ratio
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (height - h) // 2, (width - w) // 2, h, w

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(sizes={self.sizes}, '
                f'scale={self.scale}, ratio={self.ratio}, '
                f'num_crops={self.num_crops})')
