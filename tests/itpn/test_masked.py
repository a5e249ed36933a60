"""The masked paths compute what the dense path computes."""

import pytest
import torch

from mmvision_ext.itpn import ITPNNetwork

SMALL = dict(embed_dims=32, depths=(1, 2, 2), num_heads=2)
SIZES = [(64, 64), (48, 80)]


def perturbed(**kwargs) -> ITPNNetwork:
    network = ITPNNetwork(SMALL, img_size=64, **kwargs)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def cells(x: torch.Tensor, side: int) -> torch.Tensor:
    """(B, C, H, W) as the cells of patches, (B, N, side, side, C)."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // side, side, w // side, side)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, side, side, c)


def take(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return x[torch.arange(len(ids))[:, None], ids]


@pytest.mark.parametrize('size', SIZES)
@torch.no_grad()
def test_stages_before_the_attention_equal_the_dense_ones(size):
    network = perturbed(layer_scale=0.5)
    x = torch.randn(2, 3, *size)
    ids = torch.tensor([[7, 0, 11, 3, 14], [2, 4, 13, 1, 6]])
    dense = network(x)
    visible = network.forward_visible(x, ids)
    assert visible[2].shape == (2, 5, 32)
    for i, side in ((0, 4), (1, 2)):
        expected = take(cells(dense[i], side), ids)
        assert torch.allclose(visible[i], expected, atol=1e-6)


@pytest.mark.parametrize('rpe', ['none', 'table', 'decomposed'])
@pytest.mark.parametrize('size', SIZES)
@torch.no_grad()
def test_all_patches_in_another_order(size, rpe):
    """Positions go with the patches, in every kind of attention."""
    network = perturbed(rpe=rpe)
    x = torch.randn(2, 3, *size)
    num_tokens = size[0] * size[1] // 256
    ids = torch.stack([torch.randperm(num_tokens) for _ in range(2)])
    expected = take(cells(network(x)[2], 1)[:, :, 0, 0], ids)
    assert torch.allclose(network.forward_visible(x, ids)[2], expected,
                          atol=1e-5)


@torch.no_grad()
def test_hidden_patches_have_no_influence():
    network = perturbed(rpe='table')
    x = torch.randn(1, 3, 64, 64)
    ids = torch.tensor([[5, 6, 9]])
    other = torch.randn(1, 3, 64, 64)
    for i in ids[0].tolist():
        y, x0 = i // 4 * 16, i % 4 * 16
        other[:, :, y:y + 16, x0:x0 + 16] = x[:, :, y:y + 16, x0:x0 + 16]
    for a, b in zip(network.forward_visible(x, ids),
                    network.forward_visible(other, ids)):
        assert torch.equal(a, b)


@torch.no_grad()
def test_position_is_resampled_for_visible_patches_only():
    """The released pre-training does so even at the size of the table."""
    network = perturbed()
    torch.nn.init.zeros_(network.patch_embed.norm.weight)
    torch.nn.init.zeros_(network.patch_embed.norm.bias)
    x = torch.zeros(1, 3, 64, 64)
    seen = []
    first = network.blocks[5]
    first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    network.forward_visible(x, torch.arange(16)[None])
    network.forward_visible(x, torch.arange(15)[None])
    same, resampled = seen
    # equal inputs, so what differs is the position
    difference = (same[:, :15] - resampled).abs().max()
    assert 1e-3 < difference < 1.


@torch.no_grad()
def test_nothing_replaced_is_the_dense_path():
    network = perturbed(rpe='table')
    for size in SIZES:
        x = torch.randn(2, 3, *size)
        dense = network(x)
        mask = torch.zeros(2, size[0] * size[1] // 256, dtype=torch.bool)
        for stride, channels in ((16, 32), (4, 128)):
            f1, f2, tokens, aux = network.forward_replaced(
                x, mask, torch.randn(1, 1, channels), stride, aux_index=0)
            assert torch.allclose(f1, cells(dense[0], 4), atol=1e-6)
            assert torch.allclose(f2, cells(dense[1], 2), atol=1e-6)
            assert torch.allclose(tokens, cells(dense[2], 1)[:, :, 0, 0],
                                  atol=1e-5)
            assert aux.shape == tokens.shape
            assert not torch.allclose(aux, tokens)


@torch.no_grad()
def test_what_a_mask_hides():
    """At stride 16 the first stages see all, at stride 4 nothing does."""
    network = perturbed()
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[0, [2, 9]] = True
    x = torch.randn(1, 3, 64, 64)
    other = x.clone()
    other[:, :, :16, 32:48] += 1.  # patch 2
    token16, token4 = torch.randn(1, 1, 32), torch.randn(1, 1, 128)
    late = [network.forward_replaced(image, mask, token16)
            for image in (x, other)]
    early = [network.forward_replaced(image, mask, token4, mask_stride=4)
             for image in (x, other)]
    assert torch.equal(late[0][2], late[1][2])
    for i in (0, 1):
        changed = (late[0][i] != late[1][i]).flatten(2).any(2)[0]
        assert changed.nonzero().flatten().tolist() == [2]
    for a, b in zip(*early):
        assert torch.equal(a, b)


@torch.no_grad()
def test_layout_of_a_mask_token_at_stride_4():
    """(C/4, 4, 4) flattened, as unfolding a map of convolutions gives."""
    network = perturbed()
    seen = []
    network.blocks[0].register_forward_pre_hook(
        lambda _, args: seen.append(args[0]))
    token = torch.randn(1, 1, 128)
    mask = torch.ones(1, 16, dtype=torch.bool)
    network.forward_replaced(torch.randn(1, 3, 64, 64), mask, token, 4)
    fold = torch.nn.functional.fold(
        token.reshape(1, 128, 1).expand(1, 128, 16), (16, 16), 4, stride=4)
    assert torch.equal(cells(fold, 4), seen[0])


def test_gradients_reach_the_token_and_the_network():
    network = perturbed()
    token = torch.zeros(1, 1, 32, requires_grad=True)
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[:, :5] = True
    outs = network.forward_replaced(torch.randn(2, 3, 64, 64), mask, token)
    sum(out.square().mean() for out in outs).backward()
    assert token.grad.abs().sum() > 0
    network.zero_grad()
    outs = network.forward_visible(torch.randn(2, 3, 64, 64),
                                   torch.tensor([[1, 3], [0, 2]]))
    sum(out.square().mean() for out in outs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_wrong_arguments():
    network = perturbed()
    ids = torch.zeros(1, 2, dtype=torch.long)
    mask = torch.zeros(1, 16, dtype=torch.bool)
    token = torch.zeros(1, 1, 32)
    x = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ValueError, match='60 x 64 pixels.*multiples of 16'):
        network.forward_visible(x[:, :, :60], ids)
    with pytest.raises(ValueError, match=r'mask of shape \(1, 16\).*\(1, 12'):
        network.forward_replaced(x[:, :, :48], mask, token)
    with pytest.raises(ValueError, match='mask_stride is 8'):
        network.forward_replaced(x, mask, token, mask_stride=8)
    with pytest.raises(ValueError, match=r'\(1, 1, 32\); expected.*128'):
        network.forward_replaced(x, mask, token, mask_stride=4)
    with pytest.raises(ValueError, match='aux_index is 2.*0 to 1'):
        network.forward_replaced(x, mask, token, aux_index=2)
    with pytest.raises(ValueError, match='window_size is 2'):
        perturbed(window_size=2).forward_visible(x, ids)
