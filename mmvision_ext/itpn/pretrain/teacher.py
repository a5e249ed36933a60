"""The teacher of CLIP pre-training: a frozen tower, perhaps with a cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional, Union

import torch
from torch import Tensor, nn

from .clip_tower import build_clip_tower, read_clip_weights
from .feature_cache import FeatureCache, digest_of

#: Of red, green and blue in [0, 1], as CLIP was trained with.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

TEACHER_SCALINGS = ('correct', 'released')


def scale_for_clip(images: Tensor, scaling: str) -> Tensor:
    """Bring images in [0, 1] to what CLIP is given.

    Args:
        images (Tensor): (B, 3, H, W), RGB in [0, 1].
        scaling (str): 'correct', mean and standard deviation of CLIP; or
            'released', the same after (x + 1) / 2, which the released
            pre-training applied although its images were in [0, 1] already:
            its teacher saw them in half the contrast, brightened.

    Returns:
        Tensor: The same shape.

    Raises:
        ValueError: If ``scaling`` is unknown.
    """
    if scaling not in TEACHER_SCALINGS:
        raise ValueError(f'teacher_scaling is {scaling!r}; choose one of '
                         f'{TEACHER_SCALINGS}')
    if scaling == 'released':
        images = (images + 1) / 2
    # (3,) -> (3, 1, 1)
    mean, std = (
        images.new_tensor(values)[:, None, None]
        for values in (CLIP_MEAN, CLIP_STD))
    return (images - mean) / std


class CLIPTeacher(nn.Module):
    """The visual tower of CLIP from a file on disk.

    ViT-B/16 and ViT-L/14, or any other vision transformer of CLIP: its shape
    is read from the weights. Nothing is downloaded. The tower is no part of
    the state dict, and not of the parameters that are trained.

    Args:
        checkpoint (str | Path): A released file (a TorchScript archive, such
            as ViT-B-16.pt) or a state dict with its names. It is read when
            the teacher is built.
        img_size (int): Side of the images in pixels. The student needs as
            many patches: 224 for ViT-B/16 and 196 for ViT-L/14 both go with
            224 for the student. Defaults to 224.
        cache_dir (str | Path, optional): Folder where features are kept, in
            float32, to be computed once only; about 0.4 MB an image for
            ViT-B/16 at 224. They are found by the pixels, see
            :class:`FeatureCache`. Defaults to None, no cache.
        compile (bool): Compile the tower with ``torch.compile`` at its first
            use, which takes a minute and needs Triton on a GPU, or a C++
            compiler. Features differ by rounding; a copy of the teacher is
            not compiled. Defaults to False.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointError: If it cannot or must not be read.
        ValueError: If the patches do not tile the image.
    """

    def __init__(self,
                 checkpoint: Union[str, Path],
                 img_size: int = 224,
                 cache_dir: Optional[Union[str, Path]] = None,
                 compile: bool = False) -> None:
        super().__init__()
        self.img_size = img_size
        tower = build_clip_tower(read_clip_weights(checkpoint), img_size)
        if compile:
            tower.compile(fullgraph=True)
        # A tuple hides it from the state dict, the optimiser and DDP.
        self._hidden = (tower, )
        self.out_dims: int = tower.proj.shape[1]
        self.cache = None
        if cache_dir is not None:
            self.cache = FeatureCache(
                cache_dir, digest_of(*tower.state_dict().values()))

    def _apply(self, fn: Callable, recurse: bool = True) -> 'CLIPTeacher':
        # moves and conversions of the model reach the tower
        self._hidden[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of all patches.

        Args:
            images (Tensor): (B, 3, S, S) with S = ``img_size``, normalised
                as :func:`scale_for_clip` does.

        Returns:
            Tensor: (B, N, T).

        Raises:
            ValueError: If the images have another size.
        """
        if images.shape[1:] != (3, self.img_size, self.img_size):
            raise ValueError(
                f'the teacher is given {tuple(images.shape)}; expected (B, '
                f'3, {self.img_size}, {self.img_size}): give the second view '
                'of the pipeline that size, or img_size to the teacher')
        if self.cache is None:
            return self._hidden[0](images)
        with torch.autocast(images.device.type, enabled=False):
            return self.cache.fetch(images.float(), self._hidden[0])

    def extra_repr(self) -> str:
        """Width, depth and output, for ``print(model)``."""
        tower = self._hidden[0]
        settings: dict[str, Any] = dict(
            width=tower.proj.shape[0],
            depth=len(tower.layers),
            out_dims=self.out_dims,
            img_size=self.img_size)
        return ', '.join(f'{key}={value}' for key, value in settings.items())
