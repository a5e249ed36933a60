"""The pyramid: levels, layouts, options."""

import pytest
import torch

from mmvision_ext.itpn import ITPNPyramid, ITPNPyramidNetwork
from mmvision_ext.itpn.pyramid import _pool_pairs

CHANNELS = (8, 16, 32)


def perturbed(out_channels=12, cls=ITPNPyramidNetwork, **kwargs):
    network = cls(CHANNELS, out_channels, **kwargs)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def stages(size=(20, 28), batch=2):
    """Maps of strides 4, 8 and 16; each half of the one before, up."""
    maps = []
    for channels in CHANNELS:
        maps.append(torch.randn(batch, channels, *size))
        size = tuple(-(-side // 2) for side in size)
    return maps


@pytest.mark.parametrize('num_outs', [3, 4, 5])
@pytest.mark.parametrize('concat', [False, True])
def test_levels(num_outs, concat):
    inputs = stages((26, 19))  # 26 x 19, 13 x 10, 7 x 5
    outs = perturbed(num_outs=num_outs, concat=concat)(inputs)
    sizes = [(26, 19), (13, 10), (7, 5), (3, 2), (1, 1)][:num_outs]
    assert [tuple(out.shape[2:]) for out in outs] == sizes
    extra = [*CHANNELS, 32, 32] if concat else [0] * 5
    assert [out.shape[1] - 12 for out in outs] == extra[:num_outs]
    assert all(out.is_contiguous() for out in outs)
    if concat:
        for out, raw in zip(outs, inputs):
            assert torch.equal(out[:, 12:], raw)


@pytest.mark.parametrize('pool', ['avg', 'max'])
def test_further_levels_are_pooled_from_odd_maps(pool):
    outs = perturbed(pool=pool)(stages((28, 20)))  # 7 x 5 -> 3 x 2 -> 1 x 1
    for fine, coarse in zip(outs[2:], outs[3:]):
        h, w = coarse.shape[2:]
        # what is odd at the end is left out
        parts = fine[:, :, :2 * h, :2 * w].unflatten(3, (w, 2)).unflatten(
            2, (h, 2)).permute(0, 1, 2, 4, 3, 5).flatten(4)
        expected = parts.mean(-1) if pool == 'avg' else parts.amax(-1)
        assert torch.allclose(coarse, expected, atol=1e-6)


@pytest.mark.parametrize('pool', ['avg', 'max'])
def test_pooling_of_exported_graphs(pool):
    network = perturbed(pool=pool)
    for size in [(7, 5), (2, 6), (3, 3)]:
        x = torch.randn(2, 12, *size)
        assert torch.allclose(_pool_pairs(x, pool), network._pool(x),
                              atol=1e-6)


def test_default_takes_the_maps_of_the_base_network():
    with torch.device('meta'):
        outs = ITPNPyramid()([torch.empty(1, c, s, s) for c, s in
                              ((128, 16), (256, 8), (512, 4))])
        assert [tuple(out.shape) for out in outs] == [
            (1, 256, s, s) for s in (16, 8, 4, 2, 1)]
        with pytest.raises(ValueError, match=r'\(128, 256, 512\)'):
            ITPNPyramid()(stages())


def test_a_side_of_one_is_not_pooled():
    outs = perturbed()(stages((4, 12)))  # 1 x 3 -> 1 x 1 -> 1 x 1
    assert [tuple(out.shape[2:]) for out in outs[2:]] == [(1, 3), (1, 1),
                                                          (1, 1)]
    assert torch.equal(outs[4], outs[3])


def test_cropping_commutes_with_the_pyramid():
    """Levels of an odd map are those of the even one, cropped."""
    pyramid = perturbed(num_outs=3)
    f1, f2, x = stages((32, 24))
    whole = pyramid((f1, f2, x))
    part = pyramid((f1[:, :, :29, :22], f2[:, :, :15, :11], x))
    for a, b in zip(part, whole):
        assert torch.allclose(a, b[:, :, :a.shape[2], :a.shape[3]],
                              atol=1e-6)


def test_tokens_equal_maps():
    pyramid = perturbed(depth=2, num_outs=3)
    maps = stages((16, 24))

    def cells(x, side):
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // side, side, w // side, side)
        return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, side, side, c)

    f1, f2, x = (cells(m, side) for m, side in zip(maps, (4, 2, 1)))
    kept = torch.tensor([3, 17, 8])
    levels = pyramid.forward_tokens(
        f1[:, kept], f2[:, kept], x[:, kept, 0, 0])
    for level, dense, side in zip(levels, pyramid(maps), (4, 2, 1)):
        assert level.shape == (2, 3, side, side, 12)
        assert torch.allclose(level, cells(dense, side)[:, kept], atol=1e-5)


def test_formula():
    """The levels written out, pixel by pixel shuffle included."""
    pyramid = perturbed(num_outs=3)
    state = pyramid.state_dict()

    def norm(x, name):
        return torch.nn.functional.layer_norm(
            x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'],
            1e-6)

    def block(x, name):
        y = norm(x, f'{name}.norm2') @ state[
            f'{name}.mlp.fc1.weight'].T + state[f'{name}.mlp.fc1.bias']
        return x + torch.nn.functional.gelu(y) @ state[
            f'{name}.mlp.fc2.weight'].T + state[f'{name}.mlp.fc2.bias']

    def split(x, name):
        y = norm(x, f'{name}.norm') @ state[f'{name}.reduction.weight'].T
        b, h, w, _ = x.shape
        out = torch.empty(b, 2 * h, 2 * w, 12)
        for row in (0, 1):
            for column in (0, 1):
                k = 12 * (2 * row + column)
                out[:, row::2, column::2] = y[..., k:k + 12]
        return out

    inputs = stages((8, 12))
    f1, f2, x = (m.permute(0, 2, 3, 1) for m in inputs)
    top = x @ state['align_dim_16tofpn.weight'].T + state[
        'align_dim_16tofpn.bias']
    # from the raw stage, not from its projection
    x8 = block(split(x, 'split_16to8')
               + f2 @ state['align_dim_16to8.weight'].T, 'block_16to8.0')
    x4 = block(split(x8, 'split_8to4')
               + f1 @ state['align_dim_8to4.weight'].T, 'block_8to4.0')
    expected = [block(y, f'fpn_modules.{i}')
                for i, y in enumerate((top, x8, x4))][::-1]
    with torch.no_grad():
        for out, y in zip(pyramid(inputs), expected):
            assert torch.allclose(out, y.permute(0, 3, 1, 2), atol=1e-5)


def test_no_projection_where_the_channels_fit():
    same = ITPNPyramidNetwork(CHANNELS, 32)
    assert not any('16tofpn' in name for name in same.state_dict())
    assert same(stages())[2].shape[1] == 32


def test_checkpointing_changes_nothing():
    plain, checked = perturbed(depth=2), perturbed(depth=2, with_cp=True)
    checked.load_state_dict(plain.state_dict())
    calls = []
    for group in (checked.block_16to8, checked.block_8to4,
                  checked.fpn_modules):
        for block in group:
            block.register_forward_pre_hook(lambda *_: calls.append(1))
    inputs = stages()
    outs = []
    for network in (plain, checked):
        outs.append(network(inputs))
        sum(out.square().mean() for out in outs[-1]).backward()
    assert len(calls) == 2 * 7
    for a, b in zip(*outs):
        assert torch.equal(a, b)
    for (name, a), b in zip(plain.named_parameters(), checked.parameters()):
        assert a.grad.abs().sum() > 0, name
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


def test_initial_values():
    pyramid = ITPNPyramidNetwork(ln_eps=1e-5)
    assert pyramid.split_16to8.reduction.weight.std().item() == \
        pytest.approx(0.02, rel=0.02)
    assert pyramid.align_dim_8to4.bias is None
    assert (pyramid.align_dim_16tofpn.bias == 0).all()
    assert pyramid.fpn_modules[0].mlp.fc1.weight.shape == (1024, 256)
    assert {m.eps for m in pyramid.modules()
            if isinstance(m, torch.nn.LayerNorm)} == {1e-5}


@pytest.mark.parametrize('depth', [1, 2])
def test_weights_of_another_depth_and_of_none(depth):
    """Shared blocks carry over, as when a pixel file starts a detector."""
    given = perturbed(depth=3 - depth)
    pyramid = perturbed(depth=depth, cls=ITPNPyramid)
    found = pyramid.load_state_dict(given.state_dict(), strict=False)
    keys = found.unexpected_keys if depth == 1 else found.missing_keys
    assert len(keys) == 12
    assert {'.'.join(key.split('.')[:2]) for key in keys} == {
        'block_16to8.1', 'block_8to4.1'}
    assert torch.equal(pyramid.block_8to4[0].mlp.fc1.weight,
                       given.block_8to4[0].mlp.fc1.weight)
    # a file without a pyramid leaves it as it is
    before = pyramid.state_dict()['align_dim_8to4.weight'].clone()
    pyramid.load_state_dict({}, strict=False)
    assert torch.equal(pyramid.align_dim_8to4.weight, before)


def test_weights_of_another_pyramid_are_refused():
    from mmvision_ext.engine.match import WeightMismatchError
    wide = ITPNPyramidNetwork(CHANNELS, 24)
    with pytest.raises(WeightMismatchError, match=r'\(24, 8\) instead of'):
        perturbed(cls=ITPNPyramid).load_state_dict(
            {'align_dim_8to4.weight': wide.align_dim_8to4.weight.data},
            strict=False)


@pytest.mark.parametrize('kwargs,message', [
    (dict(in_channels=(8, 16)), r'in_channels is \(8, 16\)'),
    (dict(num_outs=2), 'num_outs is 2'),
    (dict(num_outs=6), 'num_outs is 6'),
    (dict(depth=0), 'depth is 0'),
    (dict(pool='sum'), "pool is 'sum'.*avg"),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ITPNPyramidNetwork(**{'in_channels': CHANNELS, **kwargs})


def test_wrong_input():
    with pytest.raises(ValueError, match=r'\(8, 16\) channels.*\(8, 16, 32'):
        perturbed()(stages()[:2])
