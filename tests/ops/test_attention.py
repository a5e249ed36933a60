"""Attention with and without relative positions, against plain softmax."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmvision_ext.ops import attention, attention_rows
from mmvision_ext.ops.attention import (
    attend,
    attend_axes,
    attend_offsets,
    attend_offsets_at,
)
from mmvision_ext.ops.rel_pos import (
    crop_axis_table,
    crop_bias_table,
    offset_bias,
    resize_axis_table,
    resize_bias_table,
    table_side,
)
from mmvision_ext.ops.resample import resample_grid, resample_matrix

SIZES = [(1, 1), (3, 4), (5, 2)]


def tensors(size, batch=2, heads=3, dims=6, tokens=None):
    """q, k, v, a bias table and two axis tables in float64, with grads."""
    shapes = [(batch, heads, tokens or size[0] * size[1], dims)] * 3
    shapes += [(2 * size[0] - 1, 2 * size[1] - 1, heads),
               (2 * size[0] - 1, dims), (2 * size[1] - 1, dims)]
    return [
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]


def offsets(size, ids=None):
    """Row and column offsets between queries and keys, (B, K, K)."""
    if ids is None:
        ids = torch.arange(size[0] * size[1])[None]
    y, x = ids // size[1], ids % size[1]
    return (y[:, :, None] - y[:, None] + size[0] - 1,
            x[:, :, None] - x[:, None] + size[1] - 1)


def naive(q, k, v, bias):
    scores = q @ k.transpose(-2, -1) / q.shape[-1]**0.5 + bias
    return scores.softmax(-1) @ v


def naive_offsets(q, k, v, table, size, ids=None):
    return naive(q, k, v, table[offsets(size, ids)].permute(0, 3, 1, 2))


def naive_axes(q, k, v, rel_h, rel_w, size, ids=None):
    bias = sum(
        torch.einsum('bnqd,bqkd->bnqk', q,
                     table[place].expand(q.shape[0], -1, -1, -1))
        for table, place in zip((rel_h, rel_w), offsets(size, ids)))
    return naive(q, k, v, bias)


def assert_same(outs, inputs):
    """Equal values and, for a fixed functional of them, equal gradients."""
    assert torch.allclose(*outs, atol=1e-12)
    probe = torch.linspace(-1, 1, outs[0].numel(),
                           dtype=torch.float64).reshape(outs[0].shape)
    grads = [torch.autograd.grad((out * probe).sum(), inputs) for out in outs]
    for a, b in zip(*grads):
        assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.parametrize('size', SIZES)
def test_equal_softmax_of_all_pairs(size):
    q, k, v, table, rel_h, rel_w = tensors(size)
    assert_same((attend(q, k, v), naive(q, k, v, 0)), (q, k, v))
    assert_same((attend_offsets(q, k, v, table),
                 naive_offsets(q, k, v, table, size)), (q, k, v, table))
    assert_same((attend_axes(q, k, v, rel_h, rel_w),
                 naive_axes(q, k, v, rel_h, rel_w, size)),
                (q, k, v, rel_h, rel_w))


def test_some_tokens_of_a_map():
    size, ids = (4, 5), torch.tensor([[3, 19, 0, 7], [12, 11, 5, 6]])
    q, k, v, table, rel_h, rel_w = tensors(size, tokens=4)
    assert_same((attend_offsets_at(q, k, v, table, ids),
                 naive_offsets(q, k, v, table, size, ids)), (q, k, v, table))
    assert_same((attend_axes(q, k, v, rel_h, rel_w, ids),
                 naive_axes(q, k, v, rel_h, rel_w, size, ids)),
                (q, k, v, rel_h, rel_w))


@pytest.mark.parametrize('limit', [1, 200, 500])
def test_bias_made_in_parts_changes_nothing(monkeypatch, limit):
    size = (5, 4)  # 3 heads: 240 entries a row of queries
    q, k, v, table, _, _ = tensors(size)
    whole = attend_offsets(q, k, v, table)
    monkeypatch.setattr(attention, 'MAX_BIAS_ENTRIES', limit)
    assert_same((attend_offsets(q, k, v, table), whole), (q, k, v, table))
    with torch.no_grad():
        assert torch.allclose(attend_offsets(q, k, v, table), whole)


class LargestOutput(TorchDispatchMode):
    """Notes the elements of the largest tensor that an operation makes."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outs = func(*args, **(kwargs or {}))
        for out in outs if isinstance(outs, (tuple, list)) else [outs]:
            if isinstance(out, torch.Tensor):
                self.elements = max(self.elements, out.numel())
        return outs


def test_memory_is_linear_in_the_tokens(monkeypatch):
    """No tensor of all pairs, forward or backward."""
    size = (24, 32)
    q, k, v, table, rel_h, rel_w = (
        t.float().detach().requires_grad_()
        for t in tensors(size, batch=1, heads=2, dims=8))
    pairs = 2 * (size[0] * size[1])**2
    monkeypatch.setattr(attention_rows, 'SCORE_BYTES', 1)  # 16 rows
    for call, largest in (
        (lambda: attend(q, k, v), 4 * q.numel()),
        (lambda: attend_axes(q, k, v, rel_h, rel_w), 10 * q.numel())):
        with LargestOutput() as mode:
            call().sum().backward()
        assert mode.elements <= largest < pairs / 5
    monkeypatch.setattr(attention, 'MAX_BIAS_ENTRIES', pairs // 12)
    kept = []
    with LargestOutput() as mode, \
            torch.autograd.graph.saved_tensors_hooks(
                lambda x: (kept.append(x.numel()), x)[1], lambda x: x):
        attend_offsets(q, k, v, table).sum().backward()
    assert mode.elements <= pairs // 12
    assert max(kept) <= pairs // 12


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision(dtype):
    size = (6, 7)
    exact = tensors(size, dims=16)
    low = [t.detach().to(dtype) for t in exact]
    for call, parts in ((attend, (0, 1, 2)), (attend_offsets, (0, 1, 2, 3)),
                        (attend_axes, (0, 1, 2, 4, 5))):
        out = call(*(low[i] for i in parts))
        reference = call(*(exact[i] for i in parts))
        assert out.dtype == dtype
        error = (out.double() - reference).square().mean().sqrt()
        bound = 0.02 if dtype == torch.bfloat16 else 0.003
        assert error / reference.square().mean().sqrt() < bound


@pytest.mark.parametrize(('mode', 'name'), [('cubic', 'bicubic'),
                                            ('linear', 'bilinear')])
@pytest.mark.parametrize(('old', 'new'), [(27, 63), (27, 9), (5, 1), (1, 7),
                                          (4, 4)])
def test_resampling_equals_interpolate(mode, name, old, new):
    x = torch.randn(1, 2, old, 1, dtype=torch.float64)
    matrix = resample_matrix(old, new, mode, like=x)
    assert torch.allclose(matrix.sum(1), torch.ones(new).double())
    expected = F.interpolate(x, size=(new, 1), mode=name)
    assert torch.allclose(matrix @ x, expected, atol=1e-12)
    if old == new:
        assert torch.equal(matrix, torch.eye(old, dtype=torch.float64))


@pytest.mark.parametrize('scale', [0.7, 14.1 / 14, 61.1 / 14])
def test_resampling_at_a_given_step(scale):
    x = torch.randn(1, 2, 14, 14, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=scale, mode='bicubic')[0]
    grid = resample_grid(x[0].permute(1, 2, 0), expected.shape[1:],
                         (1 / scale, 1 / scale))
    assert torch.allclose(grid.permute(2, 0, 1), expected, atol=1e-12)


def test_tables_of_other_maps():
    table = torch.randn(49, 3)  # 4 x 4 tokens
    grid = table.reshape(7, 7, 3)
    assert resize_bias_table(table, (4, 4)).data_ptr() == table.data_ptr()
    resized = resize_bias_table(table, (6, 3))
    expected = F.interpolate(
        grid.permute(2, 0, 1)[None], size=(11, 5), mode='bicubic')
    assert torch.allclose(resized.permute(2, 0, 1), expected[0], atol=1e-5)
    assert torch.equal(crop_bias_table(table, (2, 4)), grid[2:5])
    # the offset of no shift stays in the middle
    assert torch.equal(crop_bias_table(table, (1, 1))[0, 0], grid[3, 3])

    axis = torch.randn(7, 5)
    assert resize_axis_table(axis, 4) is axis
    expected = F.interpolate(axis.t()[None], size=13, mode='linear')
    assert torch.allclose(resize_axis_table(axis, 7).t(), expected[0],
                          atol=1e-6)
    assert torch.equal(crop_axis_table(axis, 3), axis[1:6])


def test_bias_of_some_rows_of_queries():
    size = (5, 4)
    table = tensors(size)[3]
    whole = table[offsets(size)][0].permute(2, 0, 1)
    assert torch.equal(offset_bias(table, slice(0, 5)), whole)
    assert torch.equal(offset_bias(table, slice(2, 4)), whole[:, 8:16])


@pytest.mark.parametrize('length', [48, 36])
def test_a_table_that_is_no_square(length):
    with pytest.raises(ValueError, match=rf'{length} entries.*\(2S - 1\)'):
        table_side(torch.zeros(length, 2))
