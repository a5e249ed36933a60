"""The pyramid in the files of Fast-iTPN's pre-training."""

import pytest
import torch
import torch.nn.functional as F

from mmvision_ext.itpn import FastITPNPyramidNetwork


def make(**kwargs):
    torch.manual_seed(0)
    network = FastITPNPyramidNetwork((4, 8, 16), **{
        'out_channels': 12, **kwargs}).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def stages(height=24, width=32):
    return [torch.randn(2, channels, -(-height // stride), -(-width // stride))
            for channels, stride in ((4, 4), (8, 8), (16, 16))]


def test_names_and_shapes():
    with torch.device('meta'):
        network = FastITPNPyramidNetwork(out_channels=256, mlp_ratio=3.)
    own = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    assert len(own) == 5 * 6 + 3 * 2 + 2 * 4 + 2
    assert own['norm.weight'] == (512, )
    assert own['align_dim_16tofpn.weight'] == (256, 512, 1, 1)
    assert own['align_dim_16to8.weight'] == (256, 256, 1, 1)
    assert own['align_dim_8to4.bias'] == (256, )
    assert own['split_16to8.norm.bias'] == (512, )
    assert own['split_8to4.reduction.weight'] == (1024, 256, 1, 1)
    assert own['block_8to4.0.mlp.fc1.weight'] == (768, 256, 1, 1)
    assert own['fpn_modules.2.mlp.fc2.weight'] == (256, 768, 1, 1)
    assert not any('ffn_ln' in name for name in own)


def plain(network, f1, f2, x):
    """The same from convolutions of NCHW maps."""
    def norm(layer, x):
        return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def conv(layer, x):
        return F.conv2d(x, layer.weight, layer.bias)

    def block(layer, x):
        y = F.gelu(conv(layer.mlp.fc1, norm(layer.norm2, x)))
        return x + conv(layer.mlp.fc2, y)

    def split(layer, x):
        x = conv(layer.reduction, norm(layer.norm, x))
        # (B, (row, column, F), H, W) -> (B, (F, row, column), H, W)
        x = x.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2)
        return F.pixel_shuffle(x, 2)

    x = norm(network.norm, x)
    top = conv(network.align_dim_16tofpn, x)
    middle = split(network.split_16to8, x) + conv(
        network.align_dim_16to8, f2)
    for layer in network.block_16to8:
        middle = block(layer, middle)
    fine = split(network.split_8to4, middle) + conv(
        network.align_dim_8to4, f1)
    for layer in network.block_8to4:
        fine = block(layer, fine)
    return [block(layer, level) for layer, level in zip(
        network.fpn_modules, (top, middle, fine))][::-1]


@pytest.mark.parametrize('depth', [1, 2])
@torch.no_grad()
def test_against_plain_convolutions(depth):
    network, maps = make(depth=depth, num_outs=3), stages(32, 48)
    for a, b in zip(network(maps), plain(network, *maps), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize('num_outs', [3, 4, 5])
@pytest.mark.parametrize('pool', ['avg', 'max'])
@torch.no_grad()
def test_levels(num_outs, pool):
    maps = stages(80, 97)  # 5 x 7 tokens
    outs = make(num_outs=num_outs, pool=pool)(maps)
    sizes = [(20, 25), (10, 13), (5, 7), (2, 3), (1, 1)]
    assert [tuple(out.shape) for out in outs] == [
        (2, 12, *size) for size in sizes[:num_outs]]
    function = F.avg_pool2d if pool == 'avg' else F.max_pool2d
    for fine, coarse in zip(outs[2:], outs[3:]):
        assert torch.equal(coarse, function(fine, 2))


@torch.no_grad()
def test_concatenated_with_the_raw_stages():
    maps = stages()
    outs = make(concat=True, num_outs=4, pool='max')(maps)
    for out, level, raw in zip(outs, make(num_outs=3)(maps), maps):
        assert torch.equal(out, torch.cat((level, raw), 1))
    assert torch.equal(outs[3], F.max_pool2d(outs[2], 2))


@torch.no_grad()
def test_tokens_are_the_maps():
    network, maps = make(num_outs=3), stages(32, 48)
    cells = []
    for level, side in zip(maps, (4, 2, 1)):
        # (B, C, s Hp, s Wp) -> (B, C, N, s, s) -> (B, N, s, s, C)
        level = level.unflatten(3, (-1, side)).unflatten(2, (-1, side))
        cells.append(level.transpose(3, 4).flatten(2, 3).movedim(1, 4))
    levels = network.forward_tokens(*cells[:2], cells[2][:, :, 0, 0])
    for tokens, out, side in zip(levels, network(maps), (4, 2, 1)):
        assert tokens.shape == (2, 6, side, side, 12)
        # (B, N, s, s, F) -> (B, F, Hp, s, Wp, s) -> (B, F, s Hp, s Wp)
        tokens = tokens.movedim(4, 1).unflatten(2, (2, 3)).transpose(3, 4)
        tokens = tokens.flatten(4, 5).flatten(2, 3)
        assert torch.allclose(tokens, out, atol=1e-5)


def test_gradients_with_and_without_checkpoints():
    grads = []
    for with_cp in (False, True):
        network = make(with_cp=with_cp).train()
        torch.manual_seed(1)
        sum(out.square().mean() for out in network(stages())).backward()
        grads.append({n: p.grad for n, p in network.named_parameters()})
    for name, grad in grads[0].items():
        assert grad.abs().sum() > 0, name
        assert torch.equal(grad, grads[1][name]), name


@torch.no_grad()
def test_bfloat16():
    network, maps = make(), stages()
    expected = network(maps)
    with torch.autocast('cpu', torch.bfloat16):
        outs = network(maps)
    for out, reference in zip(outs, expected, strict=True):
        assert (out.float() - reference).norm() < 0.03 * reference.norm()


def test_registered_neck():
    pytest.importorskip('mmengine')
    from mmvision_ext.registry import MODELS
    neck = MODELS.build(dict(
        type='mmvision_ext.FastITPNPyramid', in_channels=(4, 8, 16),
        out_channels=12, mlp_ratio=3.))
    assert [out.shape[1] for out in neck(stages())] == [12] * 5
    assert neck.fpn_modules[0].mlp.fc1.out_channels == 36
