"""Structure of the backbone: counts, sizes, options, depths."""

import pytest
import torch

from mmvision_ext.engine.complexity import count_complexity
from mmvision_ext.itpn import ARCH_ZOO, ITPNNetwork, ITPNPyramidNetwork
from mmvision_ext.itpn.blocks import PatchMerge
from mmvision_ext.itpn.position import resize_position, sincos_position
from mmvision_ext.ops import attention

SMALL = dict(embed_dims=32, depths=(1, 2, 3), num_heads=2)
RPE = ('none', 'table', 'decomposed')


def perturbed(arch=SMALL, img_size=64, **kwargs) -> ITPNNetwork:
    network = ITPNNetwork(arch, img_size=img_size, **kwargs)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def num_parameters(arch, **kwargs) -> int:
    with torch.device('meta'):
        network = ITPNNetwork(arch, **kwargs)
    return sum(p.numel() for p in network.parameters())


#: The original's segmentation: larger relative, unchanged absolute tables.
SEGMENTATION = dict(img_size=512, pos_size=14, rpe='table')


@pytest.mark.parametrize(('arch', 'layer_scale', 'params'), [
    ('base', None, 78_557_992),
    ('base', 0.1, 78_583_720),
    ('large', None, 288.49),
    ('large', 0.1, 288.56),
])
def test_parameters_of_classifiers(arch, layer_scale, params):
    own = num_parameters(
        arch, rpe='table', layer_scale=layer_scale, out_type='avg_featmap')
    total = own + 1000 * (ARCH_ZOO[arch].embed_dims + 1)
    assert params in (total, round(total / 1e6, 2))


@pytest.mark.parametrize(('arch', 'millions'), [('tiny', 19), ('small', 38)])
def test_inferred_architectures_have_the_published_size(arch, millions):
    own = num_parameters(arch, rpe='table', out_type='avg_featmap')
    total = own + 1000 * (ARCH_ZOO[arch].embed_dims + 1)
    assert round(total / 1e6) == millions


@pytest.mark.parametrize(('arch', 'kwargs', 'depth', 'params'), [
    ('base', dict(), 1, 81_552_000),
    ('base', dict(layer_scale=0.1), 1, 81_577_728),
    ('base', dict(layer_scale=0.1, rpe='decomposed'), 1, 81_660_672),
    ('base', SEGMENTATION, 2, 83_366_208),
    ('base', dict(SEGMENTATION, layer_scale=0.1), 2, 83_391_936),
    ('large', dict(layer_scale=0.1, rpe='decomposed'), 1, 291.60),
    ('large', SEGMENTATION, 2, 294.36),
])
def test_parameters_with_the_pyramid(arch, kwargs, depth, params):
    with torch.device('meta'):
        pyramid = ITPNPyramidNetwork(ARCH_ZOO[arch].stage_dims, depth=depth)
    total = num_parameters(arch, **kwargs) + sum(
        p.numel() for p in pyramid.parameters())
    assert params in (total, round(total / 1e6, 2))


#: 10^9 multiply-adds by formula, norms left out: side of the image, count.
GMACS = {'base': {512: 113.9}, 'large': {256: 80.8}}


@pytest.mark.parametrize('arch', GMACS)
def test_multiply_adds(arch):
    with torch.device('meta'):
        network = ITPNNetwork(arch)
    for side, expected in GMACS[arch].items():
        counts = count_complexity(network, (side, side))
        # norms count as five operations an element here
        assert counts.macs / 1e9 == pytest.approx(expected, rel=4e-3)
        assert counts.inference_macs == counts.macs


def test_multiply_adds_of_attention_are_counted():
    def macs(depth):
        with torch.device('meta'):
            network = ITPNNetwork(
                dict(embed_dims=64, depths=(1, 1, depth), num_heads=4))
        return count_complexity(network, (160, 96)).macs

    tokens, dims = 10 * 6, 64
    linear, pairs, norms = 12 * dims**2, 2 * tokens * dims, 2 * 5 * dims
    assert macs(3) - macs(2) == tokens * (linear + pairs + norms)


@pytest.mark.parametrize('rpe', RPE)
@pytest.mark.parametrize('size', [(64, 64), (33, 50), (16, 96), (5, 1)])
def test_maps_of_any_size(size, rpe):
    x = torch.randn(2, 3, *size)
    network = perturbed(rpe=rpe, layer_scale=0.5)
    outs = network(x)
    for i, out in enumerate(outs):
        stride = 4 << i
        assert out.shape == (2, 8 << i, -(-size[0] // stride),
                             -(-size[1] // stride))
        assert out.is_contiguous() and out.isfinite().all()
    # what was added inside is zeros
    padded = torch.nn.functional.pad(
        x, (0, -size[1] % 16, 0, -size[0] % 16))
    for out, whole in zip(outs, network(padded)):
        assert torch.equal(out, whole[:, :, :out.shape[2], :out.shape[3]])


@pytest.mark.parametrize('out_indices', [(0, ), (1, ), (2, ), (0, 2)])
def test_out_indices_pick_the_same_maps(out_indices):
    full = perturbed()
    part = ITPNNetwork(SMALL, img_size=64, out_indices=out_indices)
    part.load_state_dict(full.state_dict())
    x = torch.randn(1, 3, 40, 64)
    outs = full(x)
    for i, out in zip(out_indices, part(x), strict=True):
        assert torch.equal(out, outs[i])


def test_pooled_output():
    network = perturbed(out_type='avg_featmap')
    x = torch.randn(2, 3, 40, 64)
    pooled, = network(x)
    network.out_type = 'featmap'
    expected = network.fc_norm(network(x)[2].mean((2, 3)))
    assert torch.allclose(pooled, expected, atol=1e-6)
    assert network.fc_norm.eps == 1e-6


@pytest.mark.parametrize('size', [(61, 61), (115, 7), (9, 122), (28, 28)])
def test_position_is_sampled_as_the_original_does(size):
    """Scale factors of (side + 0.1) / 14, and one row for each token."""
    position = torch.randn(1, 196, 8, dtype=torch.float64)
    grid = position.reshape(1, 14, 14, 8).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        grid, scale_factor=tuple((n + 0.1) / 14 for n in size),
        mode='bicubic')
    assert expected.shape[2:] == size
    resized = resize_position(position, size, size[0] * size[1])
    expected = expected.flatten(2).transpose(1, 2)
    assert torch.allclose(resized, expected, atol=1e-12)


def test_position_at_its_own_size():
    position = torch.randn(1, 16, 8)
    assert resize_position(position, (4, 4), 16) is position
    # fewer tokens at hand: sampled although the size is the same
    fewer = resize_position(position, (4, 4), 8)
    assert 1e-3 < (fewer - position).abs().max() < 0.5
    # as many tokens of another map
    assert resize_position(position, (2, 8), 16).shape == (1, 16, 8)
    assert resize_position(position, (8, 8), 16).shape == (1, 64, 8)
    assert resize_position(position, (8, 8), 64, excess=0.).allclose(
        torch.nn.functional.interpolate(
            position.reshape(1, 4, 4, 8).permute(0, 3, 1, 2), size=8,
            mode='bicubic').flatten(2).transpose(1, 2), atol=1e-5)


def test_sine_cosine_position():
    position = sincos_position(8, (2, 3))[0].reshape(2, 3, 8)
    # columns first, then rows; sines before cosines
    assert torch.allclose(position[1, 2, :4], torch.tensor(
        [2., 0.02, 2., 0.02]).mul_(1).sin().mul(
            torch.tensor([1., 1., 0, 0])) + torch.tensor(
                [0, 0, 2., 0.02]).cos() * torch.tensor([0, 0, 1., 1.]))
    assert torch.allclose(position[1, 0, 4:], torch.tensor(
        [1., 0.01, 0, 0]).sin() + torch.tensor(
            [0, 0, 1., 0.01]).cos() * torch.tensor([0, 0, 1., 1.]))
    network = ITPNNetwork(SMALL, img_size=64, pos_init='sincos')
    assert torch.equal(network.absolute_pos_embed,
                       sincos_position(32, (4, 4)))
    assert network.absolute_pos_embed.requires_grad


@pytest.mark.parametrize('window_size', [None, 3])
@pytest.mark.parametrize('rpe', RPE)
def test_checkpointing_recomputes_each_block_once(monkeypatch, rpe,
                                                  window_size):
    # biases made in parts, which are recomputed within the blocks
    monkeypatch.setattr(attention, 'MAX_BIAS_ENTRIES', 100)
    kwargs = dict(rpe=rpe, drop_path_rate=0.5, layer_scale=0.5)
    if window_size:
        kwargs.update(window_size=window_size, global_indices=(2, ))
    plain = perturbed(**kwargs)
    checked = ITPNNetwork(SMALL, img_size=64, with_cp=True, **kwargs)
    checked.load_state_dict(plain.state_dict())
    calls = []
    for block in checked.blocks:
        block.register_forward_pre_hook(lambda *_: calls.append(1))
    x = torch.randn(2, 3, 80, 64)
    outs = []
    for network in (plain, checked):
        torch.manual_seed(3)
        outs.append(network(x))
        sum(out.square().mean() for out in outs[-1]).backward()
    assert len(calls) == 2 * len(checked.blocks)
    for a, b in zip(*outs):
        assert torch.equal(a, b)
    for a, b in zip(plain.parameters(), checked.parameters()):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


@pytest.mark.parametrize('rpe', RPE)
def test_every_parameter_has_a_gradient(rpe):
    network = ITPNNetwork(SMALL, img_size=64, rpe=rpe, layer_scale=0.1,
                          out_type='avg_featmap')
    network(torch.randn(2, 3, 70, 64))[0].square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 3])
def test_frozen_stages(frozen_stages):
    network = perturbed(frozen_stages=frozen_stages, drop_path_rate=0.5,
                        out_type='avg_featmap')
    network.train()
    # blocks: stage 1, merge, stage 2 (2), merge, stage 3 (3)
    stages = [1, 1, 2, 2, 2, 3, 3, 3]
    for name, parameter in network.named_parameters():
        parts = name.split('.')
        stage = {'patch_embed': 0, 'absolute_pos_embed': 0, 'fc_norm': 9
                 }.get(parts[0]) if parts[0] != 'blocks' else stages[
                     int(parts[1])]
        assert parameter.requires_grad == (stage > frozen_stages), name
    for block, stage in zip(network.blocks, stages):
        assert block.training == (stage > frozen_stages)
    network(torch.randn(1, 3, 64, 64))[0].sum().backward()
    assert (network.patch_embed.proj.weight.grad is None) == (
        frozen_stages >= 0)


def test_norm_eval():
    network = perturbed(norm_eval=True)
    network.blocks[0].norm2 = torch.nn.BatchNorm1d(8)
    network.train()
    assert not network.blocks[0].norm2.training
    assert not network.blocks[1].norm.training
    assert network.blocks[0].training


def test_drop_path_rates_rise_linearly_over_blocks_that_do_not_merge():
    rates = [
        block.drop_path.drop_prob for block in perturbed(
            drop_path_rate=0.5).blocks if not isinstance(block, PatchMerge)
    ]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_initial_values():
    torch.manual_seed(0)
    network = ITPNNetwork(dict(embed_dims=256, depths=(1, 1, 1),
                               num_heads=4), rpe='decomposed',
                          layer_scale=0.1, ln_eps=1e-5)
    block = network.blocks[4]
    for weight in (block.attn.qkv.weight, block.mlp.fc1.weight,
                   network.blocks[1].reduction.weight,
                   network.absolute_pos_embed):
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    for table in (block.attn.rel_pos_h, block.attn.rel_pos_w):
        assert table.shape == (27, 64)
        assert table.std().item() == pytest.approx(0.02, rel=0.05)
    for bias in (block.attn.qkv.bias, block.attn.proj.bias,
                 network.blocks[0].mlp.fc2.bias):
        assert (bias == 0).all()
    for gamma in (block.gamma_1, block.gamma_2, network.blocks[0].gamma_2):
        assert (gamma == 0.1).all()
    # convolutions keep torch's default: 1 / sqrt(fan in)
    assert network.patch_embed.proj.weight.abs().max().item() == \
        pytest.approx(48**-0.5, rel=1e-2)
    assert {m.eps for m in network.modules()
            if isinstance(m, torch.nn.LayerNorm)} == {1e-5}
    table = ITPNNetwork(SMALL, rpe='table').blocks[5].attn
    assert table.relative_position_bias_table.shape == (729, 2)
    assert (table.relative_position_bias_table == 0).all()


def test_layer_depth():
    network = perturbed(layer_scale=1., rpe='table', out_type='avg_featmap')
    cases = {  # correct and original numbers
        'patch_embed.proj.weight': (0, 0), 'absolute_pos_embed': (0, 7),
        'blocks.0.norm2.bias': (1, 1), 'blocks.1.reduction.weight': (1, 2),
        'blocks.2.gamma_2': (2, 3), 'blocks.3.mlp.fc1.weight': (3, 4),
        'blocks.4.norm.weight': (3, 5),
        'blocks.5.attn.relative_position_bias_table': (4, 6),
        'blocks.7.attn.qkv.bias': (6, 8), 'fc_norm.weight': (7, 7)}
    for name, (depth, legacy) in cases.items():
        assert name in dict(network.named_parameters())
        assert network.get_layer_depth(name) == (depth, 8)
        assert network.get_layer_depth(f'backbone.{name}',
                                       'backbone.') == (depth, 8)
        assert network.get_layer_depth(name, legacy=True) == (legacy, 8)
    assert network.get_layer_depth('neck.x', 'backbone.') == (7, 8)
    assert network.get_layer_depth('mask_token') == (0, 8)


def test_layer_depths_of_the_released_networks():
    """The original's last block learns faster than the heads."""
    for arch, last, num_layers in (('base', 31, 32), ('large', 45, 46)):
        with torch.device('meta'):
            network = ITPNNetwork(arch)
        name = f'blocks.{last}.norm1.weight'
        assert network.get_layer_depth(name) == (num_layers - 2, num_layers)
        assert network.get_layer_depth(name, legacy=True) == (
            num_layers, num_layers)


@pytest.mark.parametrize('kwargs,message', [
    (dict(arch='huge'), "'huge' is unknown.*base"),
    (dict(arch=dict(depths=(1, 1, 1))), 'expected the keys embed_dims'),
    (dict(arch=dict(SMALL, embed_dims=30)), 'embed_dims is 30'),
    (dict(arch=dict(SMALL, num_heads=3)), 'with 3 heads'),
    (dict(arch=dict(SMALL, depths=(1, 1))), r'depths is \(1, 1\)'),
    (dict(arch=dict(SMALL, mlp_ratios=(3, 0, 4))), r'mlp_ratios is \(3, 0'),
    (dict(img_size=100), 'img_size is 100.*multiple of 16'),
    (dict(pos_init='zeros'), "pos_init is 'zeros'.*sincos"),
    (dict(rpe='yes'), "rpe is 'yes'.*decomposed"),
    (dict(drop_path_rate=1.), 'drop_path_rate is 1.0'),
    (dict(out_indices=(0, 3)), r'out_indices is \(0, 3\)'),
    (dict(out_indices=(1, 0)), r'out_indices is \(1, 0\)'),
    (dict(out_indices=()), r'out_indices is \(\)'),
    (dict(out_type='cls'), "out_type is 'cls'"),
    (dict(frozen_stages=4), 'frozen_stages is 4'),
    (dict(window_size=0), 'window_size is 0'),
    (dict(window_size=2, global_indices=(3, )), r'global_indices is \(3,\)'),
    (dict(global_indices=(0, )), 'without a window_size'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ITPNNetwork(**{'arch': SMALL, **kwargs})


def test_wrong_input():
    with pytest.raises(ValueError, match=r'\(1, 4, 32, 32\).*\(B, 3, H, W\)'):
        perturbed()(torch.zeros(1, 4, 32, 32))
