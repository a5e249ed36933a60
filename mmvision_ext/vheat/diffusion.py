"""How heat spreads through the stages of a vHeat network."""

from typing import Any, Dict, List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import conduct_heat, resize_table
from .deploy import token_sizes
from .network import VHeatNetwork

#: Multiples of the network's own conduction: none, its own, and beyond.
TIMES = (0., 1., 10., 100., 1000.)


@torch.no_grad()
def diffusion_maps(backbone: VHeatNetwork,
                   image: Tensor,
                   times: Sequence[float] = TIMES) -> Dict[str, Any]:
    """Heat in the last block of each stage, before and after conduction.

    The network conducts for one unit of time: it multiplies the cosine
    coefficients of the heat by ``E = exp(-k (w_n^2 + w_m^2))``. ``E ** t``
    is what the same medium would do in ``t`` units.

    Args:
        backbone (VHeatNetwork): The network, left as it was.
        image (Tensor): One normalised image of shape (1, C, H, W), where the
            network is.
        times (Sequence[float]): Times, each at least 0; 0 is the heat before
            conduction. Defaults to :data:`TIMES`.

    Returns:
        dict: ``times``, a tuple, and ``stages``, a dict a stage, fine to
        coarse: ``heat``, the mean over channels of the absolute heat, shape
        (len(times), H_i, W_i); ``diffusivity``, the mean over channels of
        ``k(w_n, w_m)``, shape (H_i, W_i), and ``decay``, that of ``E``.

    Raises:
        ValueError: If ``image`` is not one image or a time is negative.
    """
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f'image has shape {tuple(image.shape)}; expected '
                         'one image, (1, C, H, W)')
    if not times or min(times) < 0:
        raise ValueError(f'times is {tuple(times)}; expected one or more '
                         'numbers, each at least 0')
    stages = []
    for i, heat in enumerate(_record_heat(backbone, image)):
        size = (heat.shape[1], heat.shape[2])
        k, decay = medium(backbone, i, size)
        maps = [conduct_heat(heat, decay**t).abs().mean(-1)[0] for t in times]
        stages.append(
            dict(
                heat=torch.stack(maps),
                diffusivity=k.mean(-1),
                decay=decay.mean(-1)))
    return dict(times=tuple(times), stages=stages)


@torch.no_grad()
def medium(backbone: VHeatNetwork, stage: int, size: Tuple[int, int],
           block: int = -1) -> Tuple[Tensor, Tensor]:
    """What a block has learnt of its medium.

    Args:
        backbone (VHeatNetwork): The network, not deployed.
        stage (int): Stage, 0 to 3.
        size (tuple[int, int]): Height and width in tokens.
        block (int): Block of the stage. Defaults to the last.

    Returns:
        tuple[Tensor, Tensor]: The diffusivity ``k(w_n, w_m)`` and the decay
        ``exp(-k (w_n^2 + w_m^2))`` of each channel, both of shape (H, W, C).
    """
    op = backbone.stages[stage].blocks[block].op
    freq_embed = backbone.freq_embed[stage]
    table = resize_table(freq_embed, size, op.table_resize)
    return F.relu(op.to_k(table)), op.decay(freq_embed, size)


@torch.no_grad()
def point_spread(backbone: VHeatNetwork,
                 size: Tuple[int, int],
                 place: Tuple[float, float],
                 times: Sequence[float] = TIMES) -> List[Tensor]:
    """How one unit of heat at one token spreads in each stage.

    Args:
        backbone (VHeatNetwork): The network; the last block of each stage
            conducts.
        size (tuple[int, int]): Height and width of the image, in pixels.
        place (tuple[float, float]): Where the heat is, as shares of height
            and width, each at least 0 and below 1.
        times (Sequence[float]): As in :func:`diffusion_maps`.

    Returns:
        list[Tensor]: A map a stage, shape (len(times), H_i, W_i), the mean
        over channels; each sums up to 1, since no heat is lost.
    """
    spread = []
    for i, tokens in enumerate(token_sizes(size, backbone.num_stages)):
        decay = medium(backbone, i, tokens)[1]
        heat = decay.new_zeros(1, *decay.shape)
        y, x = (int(share * side) for share, side in zip(place, tokens))
        heat[0, y, x] = 1.
        spread.append(torch.stack(
            [conduct_heat(heat, decay**t).mean(-1)[0] for t in times]))
    return spread


def _record_heat(backbone: VHeatNetwork, image: Tensor) -> List[Tensor]:
    """Input of the conduction in the last block of each stage run."""
    heats: List[Tensor] = []

    def keep(_module: object, _args: object, output: Tensor) -> None:
        # (B, H, W, 2C): the heat, then the gate
        heats.append(output.chunk(2, dim=-1)[0])

    training = backbone.training
    hooks = [
        stage.blocks[-1].op.linear.register_forward_hook(keep)
        for stage in backbone.stages
    ]
    try:
        backbone.eval()
        backbone(image)
    finally:
        for hook in hooks:
            hook.remove()
        backbone.train(training)
    return heats
