"""Nominal operations of a step."""

import copy

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..engine.complexity import count_macs
from .case import Case
from .models import Program


def count_flops(program: Program, case: Case) -> int:
    """Floating-point operations of a step, by the one counter of the suite.

    Two operations a multiply-add. Inference is counted for the second batch,
    when what depends on weights and size alone is there already; training
    forward and backward, nothing recomputed, product by product. The count
    is that of plain matrix products: a fused attention counts as the products
    of its scores. What a function with a backward pass of its own does not do
    as a matrix product or convolution is not seen.

    Args:
        program (Program): The model, not changed.
        case (Case): Batch and mode.

    Returns:
        int: The number.
    """
    try:
        # Shapes are enough, and on the meta device they cost nothing.
        return _count(program, case, 'meta')
    except Exception:  # whatever a model does that needs numbers
        with sdpa_kernel(SDPBackend.MATH):
            return _count(program, case, case.device)


def _count(program: Program, case: Case, device: str) -> int:
    module = copy.deepcopy(program.module).to(device)
    module.train(case.mode == 'train')
    for part in module.modules():
        if isinstance(getattr(part, 'with_cp', None), bool):
            part.with_cp = False
    twin = program.with_module(module)
    if case.mode == 'train':
        return 2 * count_macs(lambda: twin.loss().backward())
    with torch.no_grad():
        twin.forward()
        return 2 * count_macs(twin.forward)


def count_params(module: nn.Module) -> int:
    """Parameters of a model.

    Args:
        module (nn.Module): The model.

    Returns:
        int: Their number.
    """
    return sum(x.numel() for x in module.parameters())
