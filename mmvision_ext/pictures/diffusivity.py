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

#: Channels shown, by the share of the others that have a lower mean of k.
_RANKS = (0.5, 0.9, 1.)


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
        0.72, 'Diffusivity and decay that vHeat has learnt',
        f'{network.about}\n{which.capitalize()} of each stage, images of '
        f'{size} × {size} pixels. Frequency 0 is at the upper left; the '
        'decay is exp(−k (ωₙ² + ωₘ²)), 1 where nothing fades.\nThe '
        'channels of a row share a scale, the decay has one for all. Ranks '
        'are by the mean of k.')
    cells = grid(figure, len(stages), len(_RANKS) + 2)
    for i, (row, (k, decay)) in enumerate(zip(cells, stages)):
        _draw_k(figure, row, k.numpy(), i == 0)
        drawn_decay = show(
            row[-1], decay.mean(-1).numpy(), 'decay,\nmean of channels'
            if i == 0 else '', cmap='cividis', vmin=0., vmax=1.)
        name_row(row[0], f'stage {i + 1}\n{k.shape[0]} × {k.shape[1]}\n'
                 f'{k.shape[2]} channels')
        bar(figure, drawn_decay, row[-1:], 'decay')
    return figure


def _draw_k(figure: Figure, row: np.ndarray, k: np.ndarray,
            first: bool) -> None:
    """The mean, then single channels, of k with shape (H, W, C)."""
    mean = show(row[0], k.mean(-1), 'k,\nmean of channels' if first else '',
                cmap='viridis', vmin=0.)
    bar(figure, mean, row[:1], 'mean of k')
    order = k.mean((0, 1)).argsort()
    chosen = [int(order[round(rank * (len(order) - 1))]) for rank in _RANKS]
    high = max(np.percentile(k[..., chosen], 99.5), 1e-9)
    for cell, rank, channel in zip(row[1:], _RANKS, chosen):
        place = len(order) - round(rank * (len(order) - 1))
        drawn = show(cell, k[..., channel], f'channel {channel},\n'
                     f'rank {place} of {len(order)}', cmap='viridis',
                     vmin=0., vmax=high)
    bar(figure, drawn, row[1:1 + len(_RANKS)], 'k')
