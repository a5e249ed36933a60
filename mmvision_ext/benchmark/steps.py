"""A step of inference or of training."""

import torch
from torch import Tensor

from .case import DTYPES, Case
from .memory import Step
from .models import Program


def make_step(program: Program, case: Case) -> Step:
    """A step of the mode of a case.

    Args:
        program (Program): The model.
        case (Case): Mode and type.

    Returns:
        Step: In 'infer' it returns all outputs. In 'train' it goes forward
        and backward and returns the loss and the gradients of the
        parameters that have one, in their order, None for those that the
        loss does not depend on; they do not stay.
    """
    parameters = [x for x in program.module.parameters() if x.requires_grad]

    def autocast() -> torch.autocast:
        return torch.autocast(case.torch_device.type, DTYPES[case.dtype],
                              enabled=case.dtype != 'float32')

    @torch.no_grad()
    def infer() -> list[Tensor]:
        with autocast():
            return program.forward()

    def train() -> list[Tensor | None]:
        with autocast():
            loss = program.loss()
        return [loss.detach(), *torch.autograd.grad(
            loss, parameters, allow_unused=True)]

    return train if case.mode == 'train' else infer
