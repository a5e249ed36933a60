"""Compare an exported file with the network that it came from."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .formats import Run

#: Shapes (batch, height, width) that a file of any size is checked at: odd
#: ones, squares, thin ones.
SHAPES = ((1, 80, 112), (2, 70, 53), (1, 64, 64), (1, 101, 51), (1, 50, 203))


@dataclass(frozen=True)
class Comparison:
    """What a file and its network say about some images.

    Args:
        shape (tuple[int, int, int]): Batch, height and width.
        difference (float): Largest absolute difference over the largest
            absolute output, or over 1 where that is smaller.
        agreement (float): Share of images, or pixels, of the same class; 1
            for maps.
    """

    shape: tuple[int, int, int]
    difference: float
    agreement: float


def compare(network: nn.Module, run: Run,
            shapes: tuple[tuple[int, int, int], ...], scores: bool,
            scale: float) -> list[Comparison]:
    """Run both at some sizes.

    Args:
        network (nn.Module): The network.
        run (Callable): The file.
        shapes (tuple): Batch, height and width, each.
        scores (bool): Whether axis 1 of the output is classes.
        scale (float): What uniform random images are multiplied by.

    Returns:
        list[Comparison]: One a shape.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    for batch, height, width in shapes:
        images = scale * torch.rand(batch, 3, height, width,
                                    generator=generator)
        with torch.inference_mode():
            expected = network(images)
            outs = run(images)
        found.append(Comparison(
            (batch, height, width), _difference(outs, expected),
            (outs[0].argmax(1) == expected[0].argmax(1)).float().mean().item()
            if scores else 1.))
    return found


def _difference(outs: list[Tensor], expected: tuple[Tensor, ...]) -> float:
    worst = 0.
    for out, wanted in zip(outs, expected, strict=True):
        if out.shape != wanted.shape or not out.isfinite().all():
            return float('inf')
        largest = max(wanted.abs().max().item(), 1.)
        worst = max(worst, (out - wanted).abs().max().item() / largest)
    return worst
