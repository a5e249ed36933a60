"""``picture field``: which pixels the middle of the last map depends on."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.errors import LaunchError
from .figure import bar, grid, new_figure, show
from .network import Network, normalise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Share of the gradient that is measured.
SHARE = 0.95
_DECADES = 4


def receptive_field(module: nn.Module, images: Sequence[Tensor]) -> Tensor:
    """Gradient of the middle of the last map with respect to the pixels.

    Source: "Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks" (arXiv 1701.04128); with what is above 0
    alone, as "Scaling Up Your Kernels to 31x31" (arXiv 2203.06717) has it:
    behind a LayerNorm the sum over all channels is constant.

    Args:
        module (nn.Module): A backbone; of a tuple of maps the last counts.
        images (Sequence[Tensor]): Normalised, (1, C, H, W), all of one size.

    Returns:
        Tensor: Mean over the images of the absolute gradient of the middle
        token's sum over channels above 0, summed over colours, shape (H, W).
        Of an even number of tokens the middle is the lower right of four.

    Raises:
        LaunchError: If the module does not return maps.
    """
    total: Any = 0.
    for image in images:
        x = image.detach().clone().requires_grad_()
        with torch.enable_grad():
            out = module(x)
            while isinstance(out, (tuple, list)) and out:
                out = out[-1]
            if not isinstance(out, Tensor) or out.ndim != 4:
                raise LaunchError(
                    f'{type(module).__name__} returns no maps (B, C, H, W); '
                    'expected a backbone with maps, not pooled features')
            middle = out[0, :, out.shape[2] // 2, out.shape[3] // 2]
            gradient = torch.autograd.grad(middle.relu().sum(), x)[0]
        total = total + gradient[0].abs().sum(0)
    return total / len(images)


def area_of(field: np.ndarray, share: float = SHARE) -> float:
    """How concentrated a field is.

    Args:
        field (np.ndarray): Shape (H, W), at least 0.
        share (float): Part of the sum, in (0, 1]. Defaults to :data:`SHARE`.

    Returns:
        float: The least share of pixels that hold that part of the sum, in
        [0, 1]; 0 if all of it is 0.
    """
    values = np.sort(field.ravel().astype(float))[::-1]
    sums = np.cumsum(values)
    if sums[-1] == 0:
        return 0.
    # One rounding must not cost a pixel.
    needed = int(np.searchsorted(sums, share * sums[-1] * (1 - 1e-9))) + 1
    return needed / values.size


def field_picture(networks: Sequence[Network],
                  images: Sequence[np.ndarray]) -> tuple[Figure, list[float]]:
    """Effective receptive fields side by side on one scale.

    Args:
        networks (Sequence[Network]): One or more.
        images (Sequence[np.ndarray]): Shapes (S, S, 3), RGB, uint8.

    Returns:
        tuple[Figure, list[float]]: The picture; and of each network the
        share of pixels that hold 95 % of the gradient.

    Raises:
        LaunchError: If a network does not return maps.
    """
    from matplotlib.colors import LogNorm
    fields = []
    for network in networks:
        inputs = [normalise(network, image) for image in images]
        field = receptive_field(network.backbone, inputs).numpy()
        fields.append(field / max(field.max(), 1e-30))
    areas = [area_of(field) for field in fields]
    side = images[0].shape[0]
    columns = min(len(networks), 4)
    rows = -(-len(networks) // columns)
    figure = new_figure(
        rows * (0.86 / max(columns, 2) + 0.055),
        'Effective receptive field of the middle of the last map',
        f'Absolute gradient with respect to the pixels, mean of '
        f'{len(images)} images of {side} × {side}, each network over its '
        'own greatest value, one logarithmic scale.\nThe percentage is the '
        f'least share of pixels that hold {SHARE:.0%} of the gradient.')
    cells = grid(figure, rows, columns)
    for cell, network, field, area in zip(cells.flat, networks, fields,
                                          areas):
        drawn = show(
            cell, field, f'{network.name}\n{network.weights or "random"}'
            f'{"" if network.weights else " weights"}\n{area:.1%} of pixels',
            cmap='magma', norm=LogNorm(10.**-_DECADES, 1., clip=True))
    bar(figure, drawn, cells.ravel(), 'gradient over its greatest value')
    return figure, areas
