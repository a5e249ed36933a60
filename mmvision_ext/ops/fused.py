"""What the fused forms of layers have in common: norms, types, guards."""

from typing import Dict, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dct import can_keep


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


def has_hooks(module: nn.Module) -> bool:
    """Whether calling a module calls something else as well."""
    return bool(module._forward_hooks or module._forward_pre_hooks
                or module._backward_hooks or module._backward_pre_hooks)


def is_plain(*modules: nn.Module, bias: bool = True) -> bool:
    """Whether modules do no more than their parameters say.

    Hooks have to be called, and a module of another class (an adapter, a
    quantised layer) or one whose weight is no ordinary tensor may compute
    something else.

    Args:
        *modules (nn.Module): Linear layers, norms, convolutions.
        bias (bool): Whether they must have a bias. Defaults to True.

    Returns:
        bool: False where the modules themselves have to be called: also
        where functions with a backward pass of their own cannot be used, in
        a captured graph, whose compiler fuses for itself, and inside the
        transforms of ``torch.func``.
    """
    return can_keep() and all(
        type(m) in _PLAIN and type(m.weight) in (nn.Parameter, Tensor)
        and (m.bias is not None or not bias)
        and not has_hooks(m) for m in modules)


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


def normalise_backward(grad: Tensor, x: Tensor,
                       norm: Norm) -> Tuple[Tensor, Tensor, Tensor]:
    """Backward of :func:`normalise`.

    Args:
        grad (Tensor): Shape (N, C).
        x (Tensor): What went in, shape (N, C).
        norm (Norm): The norm.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Gradients of ``x``, of the weight and
        of the bias.
    """
    _, mean, rstd = normalise(x, norm)
    dx, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
        grad.to(norm.weight.dtype), x.to(norm.weight.dtype),
        norm.weight.shape, mean, rstd, norm.weight, norm.bias,
        [True, True, True])
    return dx.to(x.dtype), dweight, dbias


def finish_rows(rows: Tensor, norm: Optional[Norm],
                residual: Optional[Tensor], out: Tensor, start: int,
                stop: int) -> None:
    """Write ``residual + LN(rows)`` to its place, norm and sum optional.

    Args:
        rows (Tensor): Shape (stop - start, C).
        norm (Norm, optional): The norm.
        residual (Tensor, optional): Shape (N, C).
        out (Tensor): Shape (N, C), written to.
        start (int): First row in ``out`` and ``residual``.
        stop (int): The one after the last.
    """
    if norm is not None:
        rows = normalise(rows, norm)[0]
    if residual is None:
        out[start:stop] = rows
    else:
        torch.add(rows, residual[start:stop], out=out[start:stop])


class Sums:
    """Gradients of parameters, added up over chunks of rows."""

    def __init__(self) -> None:
        self._totals: Dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add a part to a sum, in float32 or better; it may be kept."""
        if name in self._totals:
            self._totals[name].add_(value)
        else:
            self._totals[name] = value.to(
                torch.promote_types(value.dtype, torch.float32))

    def get(self, name: str, like: Optional[Tensor]) -> Optional[Tensor]:
        """A sum in the type of its parameter; None without one."""
        return None if like is None else self._totals[name].to(like.dtype)
