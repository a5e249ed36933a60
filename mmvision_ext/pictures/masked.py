"""``picture masked``: what iTPN's pixel pre-training makes of few patches."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..engine.errors import LaunchError
from .figure import grid, new_figure, show
from .network import Network, normalise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PATCH = 16
#: Images beside one another.
_ACROSS = 2
_HEADS = ('image', 'what is seen', 'reconstruction')


def masked_picture(network: Network,
                   images: Sequence[np.ndarray],
                   ratio: float | None = None,
                   seed: int = 0) -> tuple[Figure, list[float]]:
    """Image, visible patches and reconstruction.

    Args:
        network (Network): An ``ITPNPixelPretrain``.
        images (Sequence[np.ndarray]): Shapes (H_i, W_i, 3), RGB, uint8; cut
            to multiples of 16 pixels at the bottom and on the right.
        ratio (float, optional): Share of hidden patches. Defaults to that of
            the training.
        seed (int): Of which patches are hidden. Defaults to 0.

    Returns:
        tuple[Figure, list[float]]: The picture; and of each image the root
        of the mean squared error over hidden pixels, in levels of 0 to 255.

    Raises:
        LaunchError: If the network is no pixel pre-training, an image is
            smaller than a patch, or the ratio hides all or nothing.
    """
    from ..itpn.pretrain.pixel_model import ITPNPixelPretrain
    if not isinstance(network.module, ITPNPixelPretrain):
        raise LaunchError(
            f"{network.name} is a {type(network.module).__name__}; the "
            "picture 'masked' is of a pixel pre-training of iTPN, such as "
            'configs/itpn/itpn-nano_pretrain_pixel.py')
    model = network.module
    if ratio is not None:
        if not 0 < ratio < 1:
            raise LaunchError(f'--ratio {ratio:g}: expected a share of '
                              'hidden patches between 0 and 1')
        model.mask_ratio = ratio
    torch.manual_seed(seed)
    rows, errors = [], []
    for image in images:
        height, width = (side - side % _PATCH for side in image.shape[:2])
        if height * width < 2 * _PATCH**2:
            raise LaunchError(
                f'an image of {image.shape[1]} x {image.shape[0]} pixels; '
                'expected at least two patches of 16 x 16')
        image = image[:height, :width]
        sample = model.predict(normalise(network, image))[0]
        masked, filled = (
            # (3, H, W) -> (H, W, 3)
            value.permute(1, 2, 0).round().byte().numpy()
            for value in (sample.masked_input, sample.reconstruction))
        hidden = sample.mask.numpy().repeat(_PATCH, 0).repeat(_PATCH, 1)
        difference = filled[hidden].astype(float) - image[hidden]
        errors.append(float(np.sqrt(np.square(difference).mean())))
        rows.append((image, masked, filled))
    return _draw(network, rows, errors), errors


def _draw(network: Network, rows: list[tuple[np.ndarray, ...]],
          errors: list[float]) -> Figure:
    across = min(_ACROSS, len(rows))
    down = -(-len(rows) // across)
    ratio = max(row[0].shape[0] / row[0].shape[1] for row in rows)
    figure = new_figure(
        down * (ratio / (len(_HEADS) * across) + 0.03),
        'Hidden patches, filled in by iTPN’s pixel pre-training',
        f'{network.about}\n{network.module.mask_ratio:.0%} of the patches '
        'of 16 × 16 pixels are hidden. Predicted are pixels relative to '
        'mean and contrast of their patch, which are put back from the '
        'image.\nrms: error over hidden pixels, in levels of 0 to 255.')
    cells = grid(figure, down, across * len(_HEADS))
    for i, (row, error) in enumerate(zip(rows, errors)):
        start = i % across * len(_HEADS)
        own = cells[i // across][start:start + len(_HEADS)]
        for cell, head, values in zip(own, _HEADS, row):
            text = f'{head}, rms {error:.1f}' if values is row[-1] else head
            show(cell, values, text)
    return figure
