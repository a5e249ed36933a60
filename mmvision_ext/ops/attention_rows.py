"""Attention on a CPU: some queries at a time against all keys."""

from typing import Any, Iterator, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .fused import Sums
from .gemm import linear, product

#: Keys from which on the products are large enough to be worth the calls.
MIN_PRODUCT_KEYS = 512
#: Bytes of scores that are made at a time, for each core: larger
#: ones leave the cache, smaller ones lay out the keys more often.
SCORE_BYTES = 4 << 20


def attend_rows(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Attention of which the scores never leave the cache.

    A query sees all keys at once, so the backward pass makes the very same
    scores again from queries and keys; nothing else is kept.

    Args:
        q (Tensor): Queries, (B, heads, N, D).
        k (Tensor): Keys, (B, heads, M, D).
        v (Tensor): Values, (B, heads, M, D').
        scale (float): Factor of the scores.

    Returns:
        Tensor: Shape (B, heads, N, D'). Gradients of gradients are not
        available.
    """
    return _Attention.apply(q, k, v, scale)


def _heads(*tensors: Tensor) -> Iterator[Tuple[Tensor, ...]]:
    """The tensors of each image and head, (N, D) each, views."""
    for images in zip(*tensors):
        yield from zip(*images)


def _dense(tensors: Tuple[Tensor, ...]) -> Tuple[Tensor, ...]:
    return tuple(t.contiguous() for t in tensors)


def _chunks(q: Tensor, k: Tensor) -> Iterator[slice]:
    budget = SCORE_BYTES * torch.get_num_threads()
    step = max(budget // (len(k) * k.element_size()), 16)
    for a in range(0, len(q), step):
        yield slice(a, a + step)


def _probabilities(q: Tensor, k: Tensor, scale: float) -> Tensor:
    # (n, D) and (M, D) -> (n, M)
    scores = linear(q * scale, k)
    return torch.softmax(scores, -1, out=scores)


class _Attention(torch.autograd.Function):
    """See :func:`attend_rows`."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor,
                scale: float) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.scale = scale
        # tokens before heads, as the layer behind reads it
        out = q.new_empty((q.shape[0], q.shape[2], q.shape[1], v.shape[3]))
        out = out.transpose(1, 2)
        for *inputs, head in _heads(q, k, v, out):
            query, key, value = _dense(inputs)
            for rows in _chunks(query, key):
                weights = _probabilities(query[rows], key, scale)
                head[rows] = product(weights, value)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any,
                 grad: Tensor) -> Tuple[Tensor, Tensor, Tensor, None]:
        # Under checkpointing they can be had but once.
        saved = ctx.saved_tensors
        grads = tuple(torch.empty_like(t) for t in saved)
        for heads in _heads(*saved, grad, *grads):
            query, key, value, dout = _dense(heads[:4])
            dquery, dkey, dvalue = heads[4:]
            sums = Sums()
            for rows in _chunks(query, key):
                part, dpart = query[rows], dout[rows]
                weights = _probabilities(part, key, ctx.scale)
                # (n, M)^T (n, D') -> (M, D')
                sums.add('value', product(weights.t(), dpart))
                # (n, D') and (M, D') -> (n, M)
                dscores = torch._softmax_backward_data(
                    linear(dpart, value), weights, -1, weights.dtype)
                dscores.mul_(ctx.scale)
                dquery[rows] = product(dscores, key)
                sums.add('key', product(dscores.t(), part))
            dkey.copy_(sums.get('key', key))
            dvalue.copy_(sums.get('value', value))
        return *grads, None
