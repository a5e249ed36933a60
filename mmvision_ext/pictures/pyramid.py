"""``picture pyramid``: features of the levels of a pyramid."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.errors import LaunchError
from ..itpn.pyramid import ITPNPyramidNetwork
from .colours import component_colours
from .figure import bar, grid, name_row, new_figure, show
from .network import Network, normalise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Pixels a side of the patches that iTPN splits its finer levels out of.
_PATCH = 16


@torch.no_grad()
def pyramid_maps(model: nn.Module, inputs: Tensor,
                 size: tuple[int, int]) -> list[np.ndarray]:
    """The levels of the neck for one image.

    Args:
        model (nn.Module): With ``backbone`` and ``neck``.
        inputs (Tensor): Normalised, (1, 3, H, W), perhaps padded.
        size (tuple[int, int]): Height and width of the image in it.

    Returns:
        list[np.ndarray]: Shapes (C, size[0] // s, size[1] // s) for the
        strides s, fine to coarse: without places that see the padding.
    """
    levels = model.neck(model.backbone(inputs))
    found = []
    for level in levels:
        stride = round(inputs.shape[2] / level.shape[2])
        height, width = (max(side // stride, 1) for side in size)
        found.append(level[0, :, :height, :width].numpy())
    return found


def colour_levels(maps: Sequence[Sequence[np.ndarray]],
                  split: bool) -> list[list[np.ndarray]]:
    """Colours of the levels of several images, each level on its own scale.

    Args:
        maps (Sequence[Sequence[np.ndarray]]): Of each image its levels, fine
            to coarse, (C, H_i, W_i), the first three with strides 4, 8, 16.
        split (bool): Whether finer levels are split out of patches of 16
            pixels, as iTPN's; what they owe to the place in the patch alone
            is then taken off.

    Returns:
        list[list[np.ndarray]]: Of each level the pictures of the images,
        (H_i, W_i, 3), RGB, uint8.
    """
    return [
        component_colours(level, max(_PATCH // (4 << i), 1) if split else 1)
        for i, level in enumerate(zip(*maps))
    ]


def pyramid_picture(network: Network,
                    images: Sequence[np.ndarray]) -> Figure:
    """Principal components and norms of every level, two rows an image.

    Args:
        network (Network): With a neck that makes a pyramid, iTPN's or
            another.
        images (Sequence[np.ndarray]): Shapes (H_i, W_i, 3), RGB, uint8.

    Returns:
        Figure: The picture.

    Raises:
        LaunchError: If the network has no neck that makes several maps.
    """
    neck = getattr(network.module, 'neck', None)
    if not hasattr(neck, 'out_channels') or not hasattr(neck, 'num_outs'):
        found = 'no neck' if neck is None else f'the neck ' \
            f'{type(neck).__name__}, which makes no pyramid'
        raise LaunchError(f'{network.name} has {found}; the picture '
                          "'pyramid' is of a detector, a segmentor with a "
                          'pyramid as its neck, or a pre-training')
    maps = []
    for image in images:
        inputs = normalise(network, image)
        maps.append(pyramid_maps(network.module, inputs, image.shape[:2]))
    split = isinstance(neck, ITPNPyramidNetwork)
    return _draw(network, images, maps, colour_levels(maps, split))


def _draw(network: Network, images: Sequence[np.ndarray],
          maps: list[list[np.ndarray]],
          colours: list[list[np.ndarray]]) -> Figure:
    levels = len(colours)
    ratio = sum(image.shape[0] / image.shape[1] for image in images)
    figure = new_figure(
        2 * ratio * 0.82 / (levels + 1) + 0.05 * len(images),
        'Features of the levels of the pyramid',
        f'{network.about}\nComponents: brightness is the first principal '
        'component, hue the next two, for each level anew: within a level '
        'like colours are like features.\nNorm: length of the feature at '
        'each place, one scale a level for all images.')
    cells = grid(figure, 2 * len(images), levels + 1)
    norms = [[np.linalg.norm(level, axis=0) for level in own]
             for own in maps]
    for i, image in enumerate(images):
        upper, lower = cells[2 * i], cells[2 * i + 1]
        show(upper[0], image, 'image' if i == 0 else '')
        for j in range(levels):
            shape = norms[i][j].shape
            aspect = image.shape[0] / image.shape[1] * shape[1] / shape[0]
            show(upper[j + 1], colours[j][i],
                 f'level {j + 1}, {shape[0]} × {shape[1]}',
                 interpolation='nearest')
            own = [n[j] for n in norms]
            drawn = show(
                lower[j + 1], norms[i][j], cmap='viridis',
                vmin=min(n.min() for n in own), vmax=max(n.max() for n in own))
            for cell in (upper[j + 1], lower[j + 1]):
                cell.set_aspect(aspect)
            bar(figure, drawn, [lower[j + 1]], '')
        name_row(upper[1], 'components')
        name_row(lower[1], 'norm')
    return figure
