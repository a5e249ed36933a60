"""``picture attention``: what a token of iTPN or Fast-iTPN looks at."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..engine.errors import LaunchError
from ..itpn.attention_maps import attention_rows
from ..itpn.network import ITPNNetwork
from .figure import bar, grid, name_row, new_figure, show
from .network import Network, check_point, normalise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Blocks and heads shown at most, evenly spread over those there are.
_BLOCKS, _HEADS = 4, 4
#: Least attention told from none.
_LOW = 0.1


def attention_picture(network: Network,
                      image: np.ndarray,
                      point: tuple[float, float] | None = None) -> Figure:
    """Attention of the token at a point, a row a block, a column a head.

    Args:
        network (Network): With an iTPN or Fast-iTPN backbone.
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        point (tuple[float, float], optional): x and y in pixels. Defaults to
            the middle.

    Returns:
        Figure: The picture.

    Raises:
        LaunchError: If the backbone is another or has windows, or the point
            is outside.
    """
    backbone = network.require(ITPNNetwork, 'attention',
                               'iTPN and Fast-iTPN')
    x, y = check_point(point, image)
    height, width = image.shape[:2]
    # Zeros are added inside up to whole tokens; they are part of the map.
    full = tuple(-(-side // 16) * 16 for side in (height, width))
    try:
        blocks = [block.numpy() for block in attention_rows(
            backbone, normalise(network, image), (y / full[0], x / full[1]))]
    except ValueError as error:
        raise LaunchError(f'{network.name}: {error}') from error
    return _draw(network, image, blocks, (x, y))


def _spread(count: int, wanted: int) -> list[int]:
    """Numbers out of ``range(count)``, the first and the last among them."""
    return sorted({round(i * (count - 1) / max(wanted - 1, 1))
                   for i in range(wanted)})


def _draw(network: Network, image: np.ndarray, blocks: list[np.ndarray],
          point: tuple[float, float]) -> Figure:
    from matplotlib.colors import LogNorm
    ratio = image.shape[0] / image.shape[1]
    chosen = _spread(len(blocks), _BLOCKS)
    heads = _spread(blocks[0].shape[0], _HEADS)
    columns = 2 + len(heads)
    rpe = getattr(network.backbone.blocks[-1].attn, 'rpe', 'none')
    position = 'without relative position' if rpe == 'none' else \
        f'relative position ({rpe}) included'
    figure = new_figure(
        len(chosen) * (ratio * 0.85 / columns + 0.028),
        'What a token looks at, from block to block',
        f'{network.about}\nAttention of the token in the ring to all '
        f'{blocks[0][0].size}, {position}, on one logarithmic scale; 1 is '
        'what each would get if all got the same.')
    cells = grid(figure, len(chosen), columns)
    high = max(np.percentile(np.stack([blocks[b] for b in chosen]), 99.9)
               * blocks[0][0].size, 10.)
    scale = LogNorm(_LOW, high, clip=True)
    for i, (row, block) in enumerate(zip(cells, chosen)):
        # 1 / N, even attention, becomes 1.
        weights = blocks[block] * blocks[block][0].size
        maps = [('mean of heads', weights.mean(0))]
        maps += [(f'head {head + 1}', weights[head]) for head in heads]
        if i == 0:
            show(row[0], image, 'image')
            _ring(row[0], point)
        for j, (title, values) in enumerate(maps, 1):
            drawn = show(
                row[j], values, title if i == 0 else '', cmap='cividis',
                norm=scale,
                extent=(0, values.shape[1] * 16, values.shape[0] * 16, 0))
            row[j].set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0))
            _ring(row[j], point)
        name_row(row[1], f'block {block + 1}\nof {len(blocks)}')
    bar(figure, drawn, cells.ravel(), 'attention, times the even share')
    return figure


def _ring(cell: object, point: tuple[float, float]) -> None:
    for colour, width in (('white', 3.), ('black', 1.2)):
        cell.plot(*point, 'o', ms=8, mfc='none', mec=colour, mew=width)
