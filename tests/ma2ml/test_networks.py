"""The searchable networks: counts, maps, options, gradients."""
import numpy as np
import pytest
import torch

from mmvision_ext.engine.complexity import count_complexity
from mmvision_ext.ma2ml.networks import (
    CellArch,
    MobileArch,
    SearchableCellNet,
    SearchableMobileNet,
)
from mmvision_ext.ma2ml.networks.mobile_arch import squeeze_channels
from mmvision_ext.ma2ml.space import SearchSpace
from mmvision_ext.ma2ml.spaces import CellSpace, MobileSpace

TINY = dict(stem=8, widths=(8, 12, 16), depths=(1, 2, 3),
            kernels=(3, (5, 3), (3, 5, 3)), expansions=(1, 2, (3, 2)),
            se=(False, True, True), strides=(1, 2, 2), head_expansion=2)
NODES = [[['sep3', 0], ['identity', 1]], [['max3', 0], ['dil5', 2]]]
CELLS = dict(normal=NODES, reduce=[[['avg3', 1], ['identity', 0]], NODES[1]],
             cells=1, width=4)


def on_meta(cls, *args, **kwargs):
    with torch.device('meta'):
        return cls(*args, **kwargs)


# parameters, multiply-adds at 224 and 272
MOBILE_COUNTS = {
    'fbnetv3-a': (3_946_968, 402_858_080, 614_386_808),
    'small': (2_097_184, 208_858_776, 323_082_024),
    'large': (12_922_240, 1_525_100_432, 2_309_914_536),
}


@pytest.mark.parametrize('arch', MOBILE_COUNTS)
def test_mobile_counts(arch):
    network = on_meta(SearchableMobileNet, arch)
    counts = count_complexity(network, (224, 224))
    assert (counts.params, counts.macs,
            network.flops((3, 272, 272))) == MOBILE_COUNTS[arch]
    assert network.flops((3, 224, 224)) == counts.macs
    assert network.arch_settings.params() == counts.params


def test_published_structures_have_their_published_sizes():
    # 8.6M is what others count for FBNetV3-A/B with its classifier: a hidden
    # layer of 1984 without bias, 1000 classes.
    mobile = MobileArch(**vars(on_meta(
        SearchableMobileNet, 'fbnetv3-a').arch_settings))
    assert mobile.params() + 1344 * 1984 + 1984 * 1000 + 1000 == \
        pytest.approx(8.6e6, rel=2e-3)
    # 3,349,342 and 528M: the network of DARTS for CIFAR-10
    cells = on_meta(SearchableCellNet)
    counts = count_complexity(cells, (32, 32))
    assert counts.params + 576 * 10 + 10 == 3_349_342
    assert counts.macs == cells.flops((3, 32, 32)) == 528_353_280


@pytest.mark.parametrize('granularity', ['stage', 'layer'])
def test_flops_of_mobile_candidates_are_what_the_counter_counts(granularity):
    part = MobileSpace(granularity=granularity)
    space = SearchSpace(dict(nas=part.decisions()))
    rng = np.random.default_rng(1)
    for size in ((256, 256), (61, 35), (33, 64)):
        values = {n[4:]: v for n, v in space.sample(rng).items()}
        network = on_meta(SearchableMobileNet, part.arch(values))
        counts = count_complexity(network, size)
        assert network.flops((3, *size)) == counts.macs
        assert network.arch_settings.params() == counts.params


def test_flops_of_cell_candidates_are_what_the_counter_counts():
    part = CellSpace(cells=(1, 2), widths=(4, 8))
    space = SearchSpace(dict(nas=part.decisions()))
    rng = np.random.default_rng(2)
    for size in ((32, 32), (17, 30), (9, 9)):
        values = {n[4:]: v for n, v in space.sample(rng).items()}
        network = on_meta(SearchableCellNet, part.arch(values))
        counts = count_complexity(network, size)
        assert network.flops((3, *size)) == counts.macs
        assert network.arch_settings.params() == counts.params


@pytest.mark.parametrize('last', [0, 1, 2, 3])
def test_nothing_behind_the_last_map_is_built(last):
    network = on_meta(SearchableMobileNet, TINY, out_indices=(0, last)
                      if last else (0, ))
    counts = count_complexity(network, (50, 34))
    assert len(network.stages) == min(last + 1, 3)
    assert network.flops((3, 50, 34)) == counts.macs
    assert network.arch_settings.params(last) == counts.params


@pytest.mark.parametrize('size', [(64, 64), (33, 47), (5, 9)])
def test_mobile_maps_of_any_size(size):
    network = SearchableMobileNet(TINY, out_indices=(0, 1, 2, 3))
    outs = network(torch.randn(2, 3, *size))
    for out, channels, stride in zip(outs, (8, 12, 16, 32), (2, 4, 8, 8)):
        assert out.shape == (2, channels, -(-size[0] // stride),
                             -(-size[1] // stride))
        assert out.isfinite().all()


@pytest.mark.parametrize('size', [(32, 32), (9, 14)])
def test_cell_maps_of_any_size(size):
    network = SearchableCellNet(CELLS, out_indices=(0, 1, 2))
    outs = network(torch.randn(2, 3, *size))
    for i, out in enumerate(outs):
        assert out.shape == (2, 8 << i, -(-size[0] // (1 << i)),
                             -(-size[1] // (1 << i)))
        assert out.isfinite().all() and out.min() >= 0


@pytest.mark.parametrize('network', [
    lambda: SearchableMobileNet(TINY, drop_path_rate=0.2),
    lambda: SearchableCellNet(CELLS, drop_path_rate=0.2)
], ids=['mobile', 'cells'])
def test_gradients_reach_every_parameter(network):
    network = network()
    # whole batches are dropped at this size now and then: sum a few
    for _ in range(3):
        out = network(torch.randn(4, 3, 32, 32))[-1]
        (out * torch.randn_like(out)).sum().backward()
    missing = [n for n, p in network.named_parameters()
               if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


def test_recomputing_changes_no_gradient():
    plain = SearchableMobileNet(TINY)
    checked = SearchableMobileNet(TINY, with_cp=True)
    checked.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32)
    for network in (plain, checked):
        network(x)[-1].square().mean().backward()
    for a, b in zip(plain.parameters(), checked.parameters()):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


def test_memory_format_changes_no_value():
    plain = SearchableMobileNet(TINY).eval()
    last = SearchableMobileNet(TINY, channels_last=True).eval()
    last.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32)
    a, b = plain(x)[0], last(x)[0]
    assert torch.allclose(a, b, atol=1e-5)
    assert a.is_contiguous()
    assert b.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('frozen', [-1, 0, 2])
def test_frozen_stages_and_norm_eval(frozen):
    network = SearchableMobileNet(TINY, frozen_stages=frozen,
                                  norm_eval=True).train()
    for name, parameter in network.named_parameters():
        parts = name.split('.')
        stage = 3 if parts[0] == 'head_conv' else (
            0 if parts[0] == 'stem' else int(parts[1]))
        assert parameter.requires_grad == (stage > frozen), name
    norms = [m for m in network.modules()
             if isinstance(m, torch.nn.BatchNorm2d)]
    assert not any(m.training for m in norms)
    assert network.head_conv.training
    assert [s.training for s in network.stages] == [
        i > frozen for i in range(3)]


def test_drop_path_rises_linearly():
    network = SearchableMobileNet(TINY, drop_path_rate=0.5)
    rates = [layer.drop_path.drop_prob
             for stage in network.stages for layer in stage]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_squeeze_channels():
    assert [squeeze_channels(c) for c in (8, 24, 40, 72, 120, 184, 224)] == \
        [8, 8, 16, 24, 32, 48, 56]


@pytest.mark.parametrize('change,message', [
    (dict(depths=(1, 2)), 'depths is .* each of the 3 stages'),
    (dict(kernels=(3, 3, (3, 3, 3, 3))), 'kernels of stage 2 .* 3 layers'),
    (dict(kernels=(3, 4, 3)), 'odd sides'),
    (dict(expansions=(1, 0, 1)), 'expansions is .*from 1 on'),
    (dict(strides=(1, 3, 1)), 'expected 1 or 2'),
    (dict(width=3), 'expected the keys stem, widths'),
])
def test_wrong_mobile_settings(change, message):
    with pytest.raises(ValueError, match=message):
        SearchableMobileNet({**TINY, **change})


@pytest.mark.parametrize('build,message', [
    (lambda: SearchableMobileNet('b0'), "'b0' is unknown.*fbnetv3-a"),
    (lambda: SearchableMobileNet(TINY, out_indices=(4, )),
     r'out_indices is \(4,\)'),
    (lambda: SearchableMobileNet(TINY, out_indices=(0, ), frozen_stages=1),
     'frozen_stages is 1; expected -1'),
    (lambda: SearchableMobileNet(TINY, drop_path_rate=1.), 'is 1.0; it must'),
    (lambda: SearchableCellNet('nasnet'), "'nasnet' is unknown.*darts"),
    (lambda: SearchableCellNet(CELLS, out_indices=(3, )), 'out_indices is'),
    (lambda: SearchableCellNet(CELLS, drop_path_rate=-1), 'is -1; it must'),
    (lambda: CellArch(normal=[[['conv', 0], ['sep3', 1]]], reduce=NODES),
     "operation 'conv'"),
    (lambda: CellArch(normal=[[['sep3', 2], ['sep3', 1]]], reduce=NODES),
     'node 0 of normal reads map 2; expected 0 to 1'),
    (lambda: CellArch(normal=NODES, reduce=NODES, width=0), 'width is 0'),
    (lambda: SearchableCellNet(dict(normal=NODES)), 'expected the keys'),
])
def test_wrong_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
