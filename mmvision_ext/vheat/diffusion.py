"""How heat spreads through the stages of a vHeat network."""

from typing import Any, Dict, List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import conduct_heat, resize_table
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
        op = backbone.stages[i].blocks[-1].op
        size = (heat.shape[1], heat.shape[2])
        table = resize_table(backbone.freq_embed[i], size, op.table_resize)
        decay = op.decay(backbone.freq_embed[i], size)
        maps = [conduct_heat(heat, decay**t).abs().mean(-1)[0] for t in times]
        stages.append(
            dict(
                heat=torch.stack(maps),
                diffusivity=F.relu(op.to_k(table)).mean(-1),
                decay=decay.mean(-1)))
    return dict(times=tuple(times), stages=stages)


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
