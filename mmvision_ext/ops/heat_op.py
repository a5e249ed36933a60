"""Registers heat conduction by Triton as an operator of torch.

To ``torch.compile`` it is one node, into which it does not look. Importing
needs Triton.
"""

from typing import Any, Callable, Optional, Tuple

import torch
from torch import Tensor

from .dct import dct_2d, is_low_precision, no_autocast
from .heat import conduct_heat_plain
from .heat_launch import conduct, conduct_backward
from .heat_triton import failure_key, failures, warn_once


def _plain_backward(grad: Tensor, x: Tensor,
                    decay: Tensor) -> Tuple[Tensor, Tensor]:
    """Both gradients in operators of torch, so differentiable themselves."""
    with no_autocast(x):
        grad_x = conduct_heat_plain(grad, decay)
        if is_low_precision(x.dtype):  # the mean is conducted apart
            grad, x = (t - t.mean((1, 2), keepdim=True) for t in (grad, x))
        return grad_x, (dct_2d(grad).float() * dct_2d(x).float()).sum(0)


def _run(kernels: Callable, plain: Callable, x: Tensor,
         args: Tuple[Tensor, ...]) -> Any:
    """``kernels``, or ``plain`` from the first time they cannot be built."""
    key = failure_key(x)
    if key not in failures:
        try:
            return kernels(*args)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            # No compiler for Triton's launchers, too little shared memory, a
            # defect of a version of Triton: each has an error of its own.
            failures[key] = f'they could not be built ({error!r:.200})'
            warn_once(failures[key])
    return plain(*args)


@torch.library.custom_op('mmvision_ext::conduct_heat', mutates_args=())
def conduct_heat_op(x: Tensor, decay: Tensor) -> Tensor:
    """See :func:`mmvision_ext.ops.heat_triton.conduct_heat_triton`."""
    out = _run(conduct, conduct_heat_plain, x, (x, decay))
    return out.contiguous()


@torch.library.custom_op('mmvision_ext::conduct_heat_backward',
                         mutates_args=())
def conduct_heat_backward_op(grad: Tensor, x: Tensor,
                             decay: Tensor) -> Tuple[Tensor, Tensor]:
    """See :func:`mmvision_ext.ops.heat_launch.conduct_backward`."""
    grad_x, grad_decay = _run(conduct_backward, _plain_backward, x,
                              (grad, x, decay))
    return grad_x.contiguous(), grad_decay.contiguous()


@conduct_heat_op.register_fake
def _(x: Tensor, decay: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@conduct_heat_backward_op.register_fake
def _(grad: Tensor, x: Tensor, decay: Tensor) -> Tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), decay.new_empty(decay.shape)


def _setup_context(ctx: Any, inputs: Tuple[Tensor, Tensor],
                   output: Tensor) -> None:
    # The map itself is all that is kept: its spectrum would take memory of
    # its own, where the heat shares that of the gate.
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any,
              grad: Tensor) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    x, decay = ctx.saved_tensors
    if torch.is_grad_enabled():  # create_graph=True
        return _plain_backward(grad, x, decay)
    if ctx.needs_input_grad[1]:
        return conduct_heat_backward_op(grad, x, decay)
    # conduction is its own transpose
    return conduct_heat_op(grad, decay), None


conduct_heat_op.register_autograd(_backward, setup_context=_setup_context)
