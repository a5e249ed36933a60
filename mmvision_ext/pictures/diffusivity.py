"""``picture diffusivity``: what the frequencies of vHeat have learnt."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..engine.errors import LaunchError
from ..vheat.deploy import token_sizes
from ..vheat.diffusion import medium
from .figure import bar, grid, name_row, new_figure, show
from .heat import require_vheat
from .network import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Channels shown, by their rank among those of the stage.
_RANKS = (('least k', 0.), ('median k', 0.5), ('greatest k', 1.))


def diffusivity_picture(network: Network,
                        size: int,
                        block: int = -1) -> Figure:
    """Diffusivity and decay over frequencies, a row a stage.

    Args:
        network (Network): With a vHeat backbone.
        size (int): Side of the image in pixels, which sets the frequencies.
        block (int): Block of each stage. Defaults to -1, the last.

    Returns:
        Figure: Mean over channels of k, of single channels, and mean of the
        decay.

    Raises:
        LaunchError: If the backbone is another or has no such block.
    """
    backbone = require_vheat(network, 'diffusivity')
    if size < 32:
        raise LaunchError(f'--size {size}: expected at least 32 pixels, one '
                          'token of the last stage')
    depths = backbone.arch_settings.depths
    if not -min(depths) <= block < min(depths):
        raise LaunchError(f'--block {block}: the stages have '
                          f'{", ".join(map(str, depths))} blocks; expected '
                          f'0 to {min(depths) - 1}, or -1 for the last')
    stages = [medium(backbone, i, tokens, block) for i, tokens in
              enumerate(token_sizes((size, size), backbone.num_stages))]
    which = 'last block' if block == -1 else f'block {block}'
    figure = new_figure(
        0.67, 'Diffusivity and decay that vHeat has learnt',
        f'{network.about}\n{which.capitalize()} of each stage, images of '
        f'{size} × {size} pixels. Frequency 0 is at the upper left; the '
        'decay is exp(−k (ωₙ² + ωₘ²)), 1 where nothing fades. k has one '
        'scale a row, the decay one for all.')
    cells = grid(figure, len(stages), len(_RANKS) + 2)
    for i, (row, (k, decay)) in enumerate(zip(cells, stages)):
        _row(row, k.numpy(), i == 0)
        drawn = row[0].images[0]
        drawn_decay = show(
            row[-1], decay.mean(-1).numpy(), 'decay,\nmean of channels'
            if i == 0 else '', cmap='cividis', vmin=0., vmax=1.)
        name_row(row[0], f'stage {i + 1}\n{k.shape[0]} × {k.shape[1]}\n'
                 f'{k.shape[2]} channels')
        bar(figure, drawn, row[:-1], 'k')
        bar(figure, drawn_decay, row[-1:], 'decay')
    return figure


def _row(row: np.ndarray, k: np.ndarray, first: bool) -> None:
    """The mean, then single channels, of k with shape (H, W, C)."""
    order = k.mean((0, 1)).argsort()
    maps = [('mean of channels', k.mean(-1))]
    for name, rank in _RANKS:
        channel = int(order[round(rank * (len(order) - 1))])
        maps.append((f'channel {channel}', k[..., channel]))
    high = max(np.percentile(values, 99.5) for _, values in maps)
    heads = ('k,\n', *(f'{name},\n' for name, _ in _RANKS))
    for cell, head, (title, values) in zip(row, heads, maps):
        show(cell, values, (head if first else '') + title, cmap='viridis',
             vmin=0., vmax=max(high, 1e-9))
