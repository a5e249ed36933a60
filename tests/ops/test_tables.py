"""Rules that bring a frequency table to another grid."""

import pytest
import torch
import torch.nn.functional as F

from mmvision_ext.ops import TABLE_RULES, DropPath, resize_table


@pytest.mark.parametrize('rule', TABLE_RULES)
def test_same_grid_is_untouched(rule):
    table = torch.randn(5, 7, 3)
    assert resize_table(table, (5, 7), rule) is table


def test_bicubic_is_that_of_torch():
    table = torch.randn(5, 7, 3)
    expected = F.interpolate(
        table.permute(2, 0, 1)[None], (9, 4), mode='bicubic')
    torch.testing.assert_close(
        resize_table(table, (9, 4), 'bicubic'),
        expected[0].permute(1, 2, 0), rtol=0, atol=5e-6)


def test_pad_keeps_indices_and_undoes_itself():
    table = torch.randn(5, 7, 3)
    large = resize_table(table, (8, 9), 'pad')
    assert torch.equal(large[:5, :7], table)
    assert large[5:].abs().sum() == 0 and large[:, 7:].abs().sum() == 0
    assert torch.equal(resize_table(large, (5, 7), 'pad'), table)
    mixed = resize_table(table, (3, 9), 'pad')
    assert torch.equal(mixed[:, :7], table[:3])


def test_aligned_keeps_a_function_of_frequency():
    def sample(rows, columns):  # linear in the frequency, so exact
        n = torch.arange(rows)[:, None] / rows
        m = torch.arange(columns) / columns
        return torch.stack([2 * n + m, n - 3 * m], dim=-1)

    small = resize_table(sample(16, 12), (8, 6), 'aligned')
    assert torch.allclose(small, sample(8, 6), atol=1e-6)
    large = resize_table(sample(8, 6), (16, 12), 'aligned')
    # beyond the last known frequency the last value stays
    assert torch.allclose(large[:15, :11], sample(16, 12)[:15, :11],
                          atol=1e-6)
    assert torch.equal(large[15], large[14])
    table = torch.randn(7, 5, 2)
    assert torch.equal(
        resize_table(table, (11, 3), 'aligned')[0, 0], table[0, 0])


@pytest.mark.parametrize('rule', TABLE_RULES)
def test_gradient_and_types(rule):
    table = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda t: resize_table(t, (4, 3), rule), (table, ))
    for dtype in (torch.float16, torch.bfloat16):
        assert resize_table(table.to(dtype), (6, 6), rule).dtype == dtype


def test_unknown_rule():
    with pytest.raises(ValueError, match="'nearest' is unknown.*bicubic"):
        resize_table(torch.zeros(2, 2, 1), (3, 3), 'nearest')


def test_drop_path_drops_samples_and_keeps_the_mean():
    drop = DropPath(0.25)
    out = drop(torch.ones(4000, 2, 3))
    kept = out[:, 0, 0] != 0
    assert torch.equal(out[kept], torch.full_like(out[kept], 1 / 0.75))
    assert (out[~kept] == 0).all()
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    x = torch.randn(3, 2)
    assert drop.eval()(x) is x
    with pytest.raises(ValueError, match='drop_prob is 1.5'):
        DropPath(1.5)
