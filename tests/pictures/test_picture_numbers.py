"""What the pictures of networks show."""
import math

import numpy as np
import pytest
import torch
from torch import nn

from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.itpn import FastITPNNetwork, ITPNNetwork
from mmvision_ext.itpn.attention import Attention
from mmvision_ext.itpn.attention_maps import attention_row, attention_rows
from mmvision_ext.itpn.fast_blocks import SplitAttention
from mmvision_ext.pictures.colours import pick_palette
from mmvision_ext.pictures.field import area_of, receptive_field
from mmvision_ext.pictures.network import (
    Network,
    check_point,
    find_images,
    load_network,
    normalise,
    read_image,
)
from mmvision_ext.pictures.pyramid import colour_levels
from mmvision_ext.vheat import VHeatNetwork
from mmvision_ext.vheat.diffusion import medium, point_spread


def _heat_kernel(length, place, rate):
    """Closed form of heat at time ``rate`` on an insulated rod."""
    x = np.arange(length) + 0.5
    total = np.full(length, 1 / length)
    for n in range(1, length):
        wave = np.cos(math.pi * n * x / length)
        total += 2 / length * wave[place] * wave * math.exp(
            -rate * (math.pi * n / length)**2)
    return total


@pytest.mark.smoke
def test_point_spreads_as_the_heat_equation_says():
    network = VHeatNetwork('nano', img_size=64).double()
    k = 0.3
    for stage in network.stages:
        op = stage.blocks[-1].op
        nn.init.zeros_(op.to_k.weight)
        nn.init.constant_(op.to_k.bias, k)
    found = point_spread(network, (64, 96), (0.3, 0.6), (0, 1, 7))
    assert [tuple(m.shape) for m in found] == [
        (3, 16, 24), (3, 8, 12), (3, 4, 6), (3, 2, 3)]
    for maps in found:
        height, width = maps.shape[1:]
        y, x = int(0.3 * height), int(0.6 * width)
        for time, values in zip((0, 1, 7), maps.numpy()):
            expected = np.outer(_heat_kernel(height, y, k * time),
                                _heat_kernel(width, x, k * time))
            np.testing.assert_allclose(values, expected, atol=1e-12)
            assert values.sum() == pytest.approx(1)


def test_medium_is_that_of_the_block_asked_for():
    network = VHeatNetwork('nano', img_size=64)
    nn.init.constant_(network.stages[2].blocks[0].op.to_k.bias, 0.5)
    k, decay = medium(network, 2, (16, 16), block=0)
    assert k.shape == decay.shape == (16, 16, 96)
    assert k.mean() == pytest.approx(0.5, abs=0.02)
    assert decay[0, 0].eq(1).all() and decay[-1, -1].max() < 1e-2
    assert medium(network, 2, (16, 16))[0].mean() < 0.1


def test_field_of_a_convolution_is_its_kernel():
    conv = nn.Conv2d(3, 4, (3, 5), padding=(1, 2))
    nn.init.constant_(conv.weight, 0.5)
    nn.init.zeros_(conv.bias)
    images = [torch.ones(1, 3, 16, 20), torch.ones(1, 3, 16, 20) * 2]
    field = receptive_field(conv, images)
    expected = torch.zeros(16, 20)
    # 4 channels of 0.5, summed over 3 colours
    expected[7:10, 8:13] = 6.
    torch.testing.assert_close(field, expected)
    assert area_of(field.numpy(), 1.) == 15 / 320
    # 15 equal pixels: fifteen of them hold all, fourteen 93 %.
    assert area_of(field.numpy(), 0.95) == 15 / 320
    assert area_of(field.numpy(), 0.9) == 14 / 320


def test_field_behind_a_norm_is_not_zero():
    """The sum over all channels behind a LayerNorm is constant."""
    network = VHeatNetwork('nano', img_size=32, out_indices=(0, ))
    field = receptive_field(network, [torch.randn(1, 3, 32, 32)])
    assert field.max() > 1e-3


def test_area_of_nothing_and_of_everything():
    assert area_of(np.zeros((4, 4))) == 0
    assert area_of(np.ones((10, 10))) == 0.95


def test_field_refuses_pooled_features():
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(LaunchError, match='returns no maps'):
        receptive_field(pooled, [torch.ones(1, 3, 8, 8)])


@pytest.mark.parametrize('rpe', ['none', 'table', 'decomposed', 'split'])
def test_attention_rows_are_what_the_module_mixes_by(rpe):
    size, heads = (3, 5), 2
    if rpe == 'split':
        attn = SplitAttention(16, heads)
        nn.init.normal_(attn.q_bias)
    else:
        attn = Attention(16, heads, rpe=rpe, rpe_size=4)
    for name, table in attn.named_parameters():
        if 'rel' in name:
            nn.init.normal_(table)
    x = torch.randn(2, 15, 16)
    if rpe == 'split':
        v = attn.v_proj(x) + attn.v_bias
    else:
        v = attn.qkv(x)[..., 32:]
    v = v.unflatten(2, (heads, -1))  # (B, N, heads, D)
    rows = torch.stack(
        [attention_row(attn, x, size, i) for i in range(15)], 2)
    torch.testing.assert_close(rows.sum(-1), torch.ones(2, heads, 15))
    mixed = torch.einsum('bhqk,bkhd->bqhd', rows, v).flatten(2)
    torch.testing.assert_close(
        attn.proj(mixed), attn(x, size), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('family', [ITPNNetwork, FastITPNNetwork])
def test_attention_of_every_block_of_a_network(family):
    name = 'nano' if family is ITPNNetwork else 'tiny'
    network = family(name, img_size=64).train()
    rows = attention_rows(network, torch.randn(1, 3, 48, 64), (0.5, 0.5))
    depth = network.arch_settings.depths[2]
    assert len(rows) == depth
    for row in rows:
        assert row.shape[1:] == (3, 4)
        torch.testing.assert_close(row.sum((1, 2)), torch.ones(len(row)))
    assert network.training
    assert not network.blocks[-1].attn._forward_pre_hooks


def test_attention_in_windows_is_refused():
    network = ITPNNetwork('nano', img_size=64, window_size=2,
                          global_indices=[3])
    with pytest.raises(ValueError, match='within windows'):
        attention_rows(network, torch.randn(1, 3, 64, 64), (0, 0))


def test_levels_share_colours_between_images():
    level = np.random.rand(4, 8, 6)
    (one, two), = colour_levels([[level], [level]], split=False)
    assert one.shape == (8, 6, 3) and (one == two).all()


def test_palette_is_of_the_data_or_distinct():
    assert pick_palette([(1, 2, 3)], 1) == [(1, 2, 3)]
    assert len(set(pick_palette(None, 150))) == 150
    assert len(set(pick_palette('ade', 8))) == 8


def test_image_is_normalised_as_the_model_does(toy, toy_configs):
    """Compared with the model's own preprocessor, on BGR."""
    network = load_network(str(toy_configs / 'vheat-nano_toy_cls.py'))
    assert network.weights == '' and 'RANDOM WEIGHTS' in network.about
    image = np.random.randint(0, 256, (20, 24, 3), np.uint8)
    bgr = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    data = network.module.data_preprocessor(dict(inputs=bgr[None]), False)
    torch.testing.assert_close(normalise(network, image), data['inputs'])


def test_images_are_spread_and_turned(tmp_path, toy):
    images = toy / 'coco' / 'train2017'
    assert find_images([str(images)], 2) == sorted(images.iterdir())[::3]
    assert len(find_images([str(images)], 10)) == 6
    path = next(images.iterdir())
    assert max(read_image(path, 32).shape) == 32
    assert read_image(path, 48, square=True).shape == (48, 48, 3)


@pytest.mark.parametrize(('call', 'text'), [
    (lambda: read_image('missing.png'), 'does not exist'),
    (lambda: read_image(__file__), 'cannot be read'),
    (lambda: find_images(['missing'], 1), 'does not exist'),
    (lambda: find_images([__file__], 0), '--count 0'),
    (lambda: check_point((5, 9), np.zeros((9, 9, 3))), '5,9 is outside'),
    (lambda: load_network('vheat-huge'), 'vheat-huge: expected a config'),
    (lambda: load_network('missing.py'), 'missing.py does not exist'),
    (lambda: load_network('missing.pth'), 'missing.pth does not exist'),
])
def test_wrong_input_is_named(call, text):
    with pytest.raises(LaunchError, match=text):
        call()


def test_wrong_weights_are_named(tmp_path):
    path = tmp_path / 'w.pth'
    torch.save({'state_dict': {'a': torch.zeros(1)}}, path)
    with pytest.raises(LaunchError, match='does not fit vheat-nano'):
        load_network('vheat-nano', str(path))


def test_weights_of_a_whole_model_serve_a_backbone(tmp_path):
    source = VHeatNetwork('nano')
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': {
        f'backbone.{k}': v for k, v in source.state_dict().items()}}, path)
    network = load_network('vheat-nano', str(path))
    assert network.about == 'vheat-nano, weights of epoch_1.pth'
    assert torch.equal(network.module.freq_embed[0], source.freq_embed[0])


def test_other_backbones_are_refused():
    network = Network('mine', VHeatNetwork('nano'))
    with pytest.raises(LaunchError, match='has the backbone VHeatNetwork'):
        network.require(ITPNNetwork, 'attention', 'iTPN')
