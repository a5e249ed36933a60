"""The decay of heat, from a table of frequencies."""

from typing import Any, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .chunks import row_chunks
from .dct import can_keep, no_autocast, squared_frequencies
from .fused import Sums
from .gemm import linear, product


def decay_map(freq_embed: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``exp(-k (w_n^2 + w_m^2))`` with ``k = ReLU(W freq_embed + b)``.

    Computed in float32 or better, whatever the parameters' type and
    autocast. Source: vHeat (arXiv 2405.16555), equations 7 and 8.

    Args:
        freq_embed (Tensor): Frequency values of shape (H, W, C).
        weight (Tensor): Shape (C, C), from values to diffusivities.
        bias (Tensor): Shape (C,).

    Returns:
        Tensor: Shape (H, W, C), in (0, 1], exactly 1 at [0, 0]. Gradients of
        gradients are not available.
    """
    dtype = torch.promote_types(freq_embed.dtype, torch.float32)
    height, width, _ = freq_embed.shape
    with no_autocast(freq_embed):
        freq_embed, weight, bias = (t.to(dtype)
                                    for t in (freq_embed, weight, bias))
        squared = squared_frequencies(height, width, dtype, freq_embed.device)
        if can_keep():
            return _Decay.apply(freq_embed, squared, weight, bias)
        diffusivity = F.relu(F.linear(freq_embed, weight, bias))
        # (H, W, C) * (H, W, 1) -> (H, W, C)
        return torch.exp(-diffusivity * squared[..., None])


class _Decay(torch.autograd.Function):
    """Keeps the decay alone; diffusivities are made again."""

    @staticmethod
    def forward(ctx: Any, freq_embed: Tensor, squared: Tensor, weight: Tensor,
                bias: Tensor) -> Tensor:
        # (H, W, C) -> (N, C) and (H, W) -> (N, 1)
        values, exponents = freq_embed.flatten(0, 1), squared.view(-1, 1)
        decay = torch.empty_like(values)
        for a, b in row_chunks(len(values), 2 * values[:1].nbytes,
                               values.device):
            rows = linear(values[a:b], weight, bias).relu_()
            torch.exp(rows.mul_(exponents[a:b]).neg_(), out=decay[a:b])
        decay = decay.view(freq_embed.shape)
        ctx.save_for_backward(freq_embed, squared, weight, bias, decay)
        return decay

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Any, ...]:
        freq_embed, squared, weight, bias, decay = ctx.saved_tensors
        # (H, W, C) -> (N, C) and (H, W) -> (N, 1)
        values, decay, grad = (t.flatten(0, 1)
                               for t in (freq_embed, decay, grad))
        exponents = squared.view(-1, 1)
        dvalues = torch.empty_like(values)
        sums = Sums()
        for a, b in row_chunks(len(values), 4 * values[:1].nbytes,
                               values.device):
            rows = linear(values[a:b], weight, bias)
            dk = (grad[a:b] * decay[a:b]).mul_(exponents[a:b]).neg_()
            dk.masked_fill_(rows <= 0, 0.)
            sums.add('weight', product(dk.t(), values[a:b]))
            sums.add('bias', dk.sum(0))
            dvalues[a:b] = product(dk, weight)
        return (dvalues.view(freq_embed.shape), None,
                sums.get('weight', weight), sums.get('bias', bias))
