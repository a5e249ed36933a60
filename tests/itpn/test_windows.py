"""Attention within windows, against one window at a time."""

import pytest
import torch

from mmvision_ext.itpn import ITPNNetwork
from mmvision_ext.itpn.attention import Attention


def perturbed(rpe, window_size) -> Attention:
    module = Attention(24, 3, rpe, window_size=window_size).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return module


def plain(module, x, window):
    """Softmax over the pairs of each window, with their true offsets."""
    batch, height, width, dims = x.shape
    out = torch.empty_like(x)
    side = 2 * window - 1
    for top in range(0, height, window):
        for left in range(0, width, window):
            part = x[:, top:top + window, left:left + window]
            h, w = part.shape[1:3]
            q, k, v = (
                y.reshape(batch, h * w, 3, -1).transpose(1, 2)
                for y in module.qkv(part).chunk(3, -1))
            scores = q @ k.transpose(-2, -1) / 8**0.5
            place = torch.arange(h * w)
            dy = place[:, None] // w - place // w + window - 1
            dx = place[:, None] % w - place % w + window - 1
            if module.rpe == 'table':
                table = module.relative_position_bias_table
                scores = scores + table.reshape(side, side, 3)[
                    dy, dx].permute(2, 0, 1)
            elif module.rpe == 'decomposed':
                for table, offset in ((module.rel_pos_h, dy),
                                      (module.rel_pos_w, dx)):
                    scores = scores + torch.einsum('bnqd,qkd->bnqk', q,
                                                   table[offset])
            y = (scores.softmax(-1) @ v).transpose(1, 2)
            out[:, top:top + h, left:left + w] = y.reshape(
                batch, h, w, dims)
    return module.proj(out)


@pytest.mark.parametrize('rpe', ['none', 'table', 'decomposed'])
@pytest.mark.parametrize('size', [(6, 6), (7, 5), (3, 8), (2, 1)])
@torch.no_grad()
def test_equals_one_window_at_a_time(size, rpe):
    module = perturbed(rpe, 3)
    x = torch.randn(2, *size, 24, dtype=torch.float64)
    out = module(x.flatten(1, 2), size)
    assert torch.allclose(out, plain(module, x, 3).flatten(1, 2), atol=1e-12)


@torch.no_grad()
def test_one_window_over_all_is_global_attention():
    for rpe in ('none', 'table', 'decomposed'):
        windowed = perturbed(rpe, 4)
        plain = Attention(24, 3, rpe, rpe_size=4).double()
        plain.load_state_dict(windowed.state_dict())
        x = torch.randn(2, 16, 24, dtype=torch.float64)
        assert torch.allclose(windowed(x, (4, 4)), plain(x, (4, 4)))


def test_which_blocks_have_windows():
    def windows(depth, **kwargs):
        with torch.device('meta'):
            network = ITPNNetwork(
                dict(embed_dims=16, depths=(1, 1, depth), num_heads=2),
                rpe='table', **kwargs)
        return [block.attn.window_size for block in network.blocks[4:]], [
            len(block.attn.relative_position_bias_table)
            for block in network.blocks[4:]]

    kinds, lengths = windows(24, window_size=8)
    assert [i for i, w in enumerate(kinds) if w is None] == [5, 11, 17, 23]
    assert kinds[0] == 8
    assert lengths[0] == 15**2 and lengths[5] == 27**2
    assert windows(3, window_size=8, global_indices=(1, ))[0] == [8, None, 8]
    assert windows(2, window_size=8, global_indices=())[0] == [8, 8]
    assert windows(3)[0] == [None] * 3
    assert windows(4, window_size=8)[0] == [None] * 4


@torch.no_grad()
def test_network_of_windows():
    arch = dict(embed_dims=16, depths=(1, 1, 2), num_heads=2)
    network = ITPNNetwork(arch, img_size=64, window_size=2,
                          global_indices=())
    x = torch.randn(1, 3, 64, 96)
    other = x.clone()
    other[:, :, :32, :32] += 1.  # the first window
    changed = (network(x)[2] != network(other)[2]).any(1)[0]
    assert changed[:2, :2].all() and changed.sum() == 4
