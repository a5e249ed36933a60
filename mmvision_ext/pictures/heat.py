"""``picture heat``: heat through time and through the stages of vHeat."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..engine.errors import LaunchError
from ..vheat.diffusion import TIMES, diffusion_maps, point_spread
from ..vheat.network import VHeatNetwork
from .figure import bar, grid, name_row, new_figure, show
from .network import Network, check_point, normalise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Decades that a picture of a point's heat shows.
_DECADES = 4


def require_vheat(network: Network, picture: str) -> VHeatNetwork:
    """The vHeat backbone of a network.

    Args:
        network (Network): The network.
        picture (str): Name of the picture.

    Returns:
        VHeatNetwork: The backbone.

    Raises:
        LaunchError: If it is another backbone, or a deployed one, which no
            longer has its frequency tables.
    """
    backbone: VHeatNetwork = network.require(VHeatNetwork, picture, 'vHeat')
    if backbone.freq_embed is None:
        raise LaunchError(f'{network.name} is deployed (switch_to_deploy) '
                          'and has no frequency tables; give the network it '
                          'was made of')
    return backbone


def heat_picture(network: Network,
                 image: np.ndarray,
                 times: Sequence[float] = TIMES,
                 point: tuple[float, float] | None = None) -> Figure:
    """Heat in the last block of each stage, a row a stage, a column a time.

    Args:
        network (Network): With a vHeat backbone.
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        times (Sequence[float]): Times, 1 being the network's own. Defaults
            to :data:`TIMES`.
        point (tuple[float, float], optional): Show how one unit of heat at
            this place, x and y in pixels, spreads. Defaults to None: the
            heat that the network makes of the image.

    Returns:
        Figure: The picture.

    Raises:
        LaunchError: If the backbone is another, a time is negative, or the
            point is outside the image.
    """
    backbone = require_vheat(network, 'heat')
    if not times or min(times) < 0:
        raise LaunchError(f'--times {" ".join(map(str, times))}: expected '
                          'one or more numbers, each at least 0')
    height, width = image.shape[:2]
    if point is None:
        found = diffusion_maps(backbone, normalise(network, image), times)
        stages = [stage['heat'].numpy() for stage in found['stages']]
        title = 'Heat of an image, spreading through the stages of vHeat'
    else:
        x, y = check_point(point, image)
        stages = [stage.numpy() for stage in point_spread(
            backbone, (height, width), (y / height, x / width), times)]
        title = 'Heat of one point, spreading through the stages of vHeat'
    return _draw(network, image, stages, times, title, point)


def _draw(network: Network, image: np.ndarray, stages: list[np.ndarray],
          times: Sequence[float], title: str,
          point: tuple[float, float] | None) -> Figure:
    from matplotlib.colors import LogNorm
    columns = len(times) + 1
    ratio = image.shape[0] / image.shape[1]
    figure = new_figure(
        len(stages) * (ratio * 0.82 / columns + 0.028), title,
        f'{network.about}\nLast block of each stage, '
        + ('mean absolute heat over channels' if point is None else
           'mean over channels; the sum over a map stays 1, single places '
           f'may be below 0, and black is all below {10.**-_DECADES:g}')
        + '; t = 1 is what the network does.'
        + (' One scale a row.' if point is None else ''))
    cells = grid(figure, len(stages), columns)
    for number, (row, maps) in enumerate(zip(cells, stages)):
        tokens = maps.shape[1:]
        if point is None:
            # Single peaks do not set the scale.
            low, high = np.percentile(maps, (1, 99.5))
            scale = dict(vmin=low, vmax=max(high, low + 1e-9))
        else:
            scale = dict(norm=LogNorm(10.**-_DECADES, 1., clip=True))
        if number == 0:
            show(row[0], image, 'image')
            if point is not None:
                row[0].plot(*point, 'o', ms=7, mfc='none', mec='white',
                            mew=3)
                row[0].plot(*point, 'o', ms=7, mfc='none', mec='black',
                            mew=1.2)
        row[1].set_axis_on()
        name_row(row[1], f'stage {number + 1}\n{tokens[0]} × {tokens[1]}\n'
                 'tokens')
        for cell, time, values in zip(row[1:], times, maps):
            drawn = show(cell, values, f't = {time:g}' if not number else '',
                         cmap='inferno', **scale)
            cell.set_aspect(ratio * tokens[1] / tokens[0])
        bar(figure, drawn, row, 'heat')
    return figure
