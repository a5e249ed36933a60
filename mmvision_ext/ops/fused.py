"""What the fused forms of layers have in common: norms, types, guards."""

from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dct import is_graph_capture
from .gemm import product


class Norm(NamedTuple):
    """A LayerNorm over the last axis.

    Args:
        weight (Tensor): Shape (C,).
        bias (Tensor): Shape (C,).
        eps (float): Added to the variance.
    """

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """The norm of (..., C), in the type of its parameters."""
        return F.layer_norm(
            x.to(self.weight.dtype), self.weight.shape, self.weight,
            self.bias, self.eps)

    def scaled(self, gamma: Optional[Tensor]) -> 'Norm':
        """The norm followed by a factor a channel."""
        if gamma is None:
            return self
        return Norm(self.weight * gamma, self.bias * gamma, self.eps)


def norm_of(norm: nn.LayerNorm) -> Norm:
    """The parameters of a norm with weight and bias."""
    return Norm(norm.weight, norm.bias, norm.eps)


_PLAIN = (nn.Linear, nn.LayerNorm, nn.Conv2d)


def is_plain(*modules: nn.Module) -> bool:
    """Whether modules do no more than their parameters say.

    Hooks have to be called, and a module of another class (an adapter, a
    quantised layer) or one whose weight is no ordinary tensor may compute
    something else.

    Args:
        *modules (nn.Module): Linear layers, norms, convolutions.

    Returns:
        bool: False where the modules themselves have to be called: also
        while torch captures a graph, whose compiler fuses for itself, and
        inside the transforms of ``torch.func``.
    """
    if is_graph_capture() or torch._C._are_functorch_transforms_active():
        return False
    return all(
        type(m) in _PLAIN and m.weight is not None and m.bias is not None
        and type(m.weight) in (nn.Parameter, Tensor) and
        not (m._forward_hooks or m._forward_pre_hooks or m._backward_hooks
             or m._backward_pre_hooks) for m in modules)


def compute_dtype(x: Tensor) -> torch.dtype:
    """Type of matrix products of ``x``: that of autocast where it is on."""
    device = x.device.type
    if device == 'meta' or not torch.is_autocast_enabled(device):
        return x.dtype
    return torch.get_autocast_dtype(device)


def wants_grad(*tensors: Tensor) -> bool:
    """Whether a gradient of one of the tensors is wanted."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def normalise(x: Tensor, norm: Norm) -> Tuple[Tensor, Tensor, Tensor]:
    """LayerNorm in the type of its parameters or better.

    Args:
        x (Tensor): Shape (N, C).
        norm (Norm): The norm.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Result, mean and reciprocal deviation,
        shapes (N, C), (N, 1) and (N, 1).
    """
    return torch.native_layer_norm(
        x.to(norm.weight.dtype), norm.weight.shape, norm.weight, norm.bias,
        norm.eps)


def normalise_backward(grad: Tensor, x: Tensor, norm: Norm,
                       sums: Tuple[Tensor, Tensor]) -> Tensor:
    """Backward of :func:`normalise`.

    Args:
        grad (Tensor): Shape (N, C).
        x (Tensor): What went in, shape (N, C).
        norm (Norm): The norm.
        sums (tuple[Tensor, Tensor]): Gradients of weight and bias, which
            are added to.

    Returns:
        Tensor: Gradient of ``x``, shape (N, C).
    """
    _, mean, rstd = normalise(x, norm)
    dx, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
        grad.to(norm.weight.dtype), x.to(norm.weight.dtype),
        norm.weight.shape, mean, rstd, norm.weight, norm.bias,
        [True, True, True])
    sums[0].add_(dweight)
    sums[1].add_(dbias)
    return dx.to(x.dtype)


def add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """``total += a @ b``, in the type of ``total``."""
    total.add_(product(a, b))


def sums_like(*tensors: Tensor) -> Tuple[Tensor, ...]:
    """Zeros to add gradients to, in float32 or better."""
    return tuple(
        torch.zeros_like(
            t,
            dtype=torch.promote_types(t.dtype, torch.float32),
            memory_format=torch.contiguous_format) for t in tensors)
