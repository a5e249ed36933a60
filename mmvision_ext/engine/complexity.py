"""The one counter of parameters and multiply-adds that the suite uses."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Complexity:
    """Size and cost of a network for one image.

    Args:
        params (int): Parameters.
        macs (int): Multiply-adds of convolutions, linear layers and matrix
            products, those inside an attention too, and five operations an
            element of a LayerNorm: what fvcore and mmengine.analysis count.
            Decay maps are included, as in training.
        inference_macs (int): The same for the second image of a size, when
            what depends on weights and size alone is there already.
    """

    params: int
    macs: int
    inference_macs: int


def _layer_norm_flops(shape: tuple[int, ...], *args: object,
                      **kwargs: object) -> int:
    # Everything is counted as two operations a multiply-add.
    return 2 * 5 * math.prod(shape)


def count_complexity(model: nn.Module,
                     image_size: tuple[int, int],
                     in_channels: int = 3) -> Complexity:
    """Count parameters and multiply-adds of one image.

    Args:
        model (nn.Module): Takes images of shape (1, in_channels, H, W). It
            is left as it was.
        image_size (tuple[int, int]): Height and width in pixels.
        in_channels (int): Channels of the image. Defaults to 3.

    Returns:
        Complexity: The counts.
    """
    # Shapes are enough to count, and on the meta device they cost nothing.
    # There no fused kernel hides the products of an attention.
    model = copy.deepcopy(model).to('meta')
    model.eval()
    image = torch.zeros(1, in_channels, *image_size, device='meta')
    # The first call fills the caches of evaluation.
    with torch.no_grad():
        first, second = (count_macs(lambda: model(image)) for _ in range(2))
    params = sum(p.numel() for p in model.parameters())
    return Complexity(params, first, second)


def count_macs(run: Callable[[], object]) -> int:
    """Count the multiply-adds of a computation, forward and backward.

    Args:
        run (Callable[[], object]): The computation. On the meta device
            nothing is computed, and no fused kernel hides the products of an
            attention.

    Returns:
        int: What :class:`Complexity` says of it. The backward pass of a
        LayerNorm counts for nothing.
    """
    with flop_counter() as counter:
        run()
    return counter.get_total_flops() // 2


def flop_counter() -> FlopCounterMode:
    """The counter itself, as a context.

    Returns:
        FlopCounterMode: It counts two operations a multiply-add.
    """
    mapping = {torch.ops.aten.native_layer_norm: _layer_norm_flops}
    return FlopCounterMode(display=False, custom_mapping=mapping)
