"""Structure of the network: sizes, options, counts, depths."""

import pytest
import torch

from mmvision_ext.engine.complexity import count_complexity
from mmvision_ext.vheat import ARCH_ZOO, VHeat, VHeatNetwork

SMALL = dict(embed_dims=8, depths=(1, 2, 1, 1), post_norm=True,
             layer_scale=0.5)


def perturbed(arch=SMALL, **kwargs) -> VHeatNetwork:
    network = VHeatNetwork(arch, img_size=64, **kwargs)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


class Classifier(torch.nn.Module):
    """The network as the published counts see it: 1000 classes on top."""

    def __init__(self, arch):
        super().__init__()
        self.backbone = VHeat(arch, out_indices=(3, ))
        self.fc = torch.nn.Linear(self.backbone.num_features[-1], 1000)

    def forward(self, x):
        return self.fc(self.backbone(x)[0].mean((2, 3)))


# parameters, multiply-adds at 224, the same once the decay maps are there;
# the table in docs/vheat.md holds the same numbers
COUNTS = {
    'nano': (1_265_440, 173_938_944, 164_907_264),
    'tiny': (30_853_480, 4_935_376_896, 4_588_560_384),
    'small': (52_220_392, 9_169_428_480, 8_475_795_456),
    'base': (92_132_328, 16_156_491_776, 14_923_366_400),
    'base-v2': (71_074_984, 12_150_183_936, 11_225_339_904),
}
#: 10^9 multiply-adds that the original counts: training, inference form
REFERENCE_GMACS = {'tiny': (4.936, 4.589), 'small': (9.171, 8.477),
                   'base': (16.158, 14.925), 'base-v2': (None, 11.227)}


@pytest.mark.parametrize('arch', ARCH_ZOO)
def test_parameters_and_macs(arch):
    counts = count_complexity(Classifier(arch), (224, 224))
    assert (counts.params, counts.macs,
            counts.inference_macs) == COUNTS[arch]
    for mine, reference in zip((counts.macs, counts.inference_macs),
                               REFERENCE_GMACS.get(arch, ())):
        if reference is not None:
            assert mine / 1e9 == pytest.approx(reference, rel=2e-4)


def test_counter_agrees_with_mmengine():
    from mmengine.analysis import FlopAnalyzer
    for model, size in ((Classifier('nano'), (64, 96)),
                        (torch.nn.Conv2d(3, 5, 3, stride=2), (9, 11))):
        counts = count_complexity(model, size)
        analyzer = FlopAnalyzer(model.eval(), torch.zeros(1, 3, *size))
        assert counts.macs == analyzer.total()
        assert counts.inference_macs < counts.macs or \
            isinstance(model, torch.nn.Conv2d)


@pytest.mark.parametrize('arch,params,gmacs', [
    ('tiny', 32_470_464, 27.1), ('small', 53_837_376, 49.6),
    ('base', 94_288_640, 86.6)])
def test_downstream_counts(arch, params, gmacs):
    counts = count_complexity(VHeat(arch, img_size=512), (512, 512))
    assert counts.params == params
    assert counts.macs / 1e9 == pytest.approx(gmacs, abs=0.05)


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (64, 96), (239, 61),
                                  (5, 40)])
def test_maps_of_any_size(size):
    outs = perturbed()(torch.randn(2, 3, *size))
    for i, out in enumerate(outs):
        stride = 4 << i
        assert out.shape == (2, 8 << i, -(-size[0] // stride),
                             -(-size[1] // stride))
        assert out.is_contiguous() and out.isfinite().all()


@pytest.mark.parametrize('out_indices', [(0, ), (3, ), (1, 3), (0, 2)])
def test_out_indices_pick_the_same_maps(out_indices):
    full = perturbed()
    part = VHeatNetwork(SMALL, img_size=64, out_indices=out_indices)
    part.load_state_dict(full.state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 40)
    outs = full(x)
    for i, out in zip(out_indices, part(x), strict=True):
        assert torch.equal(out, outs[i])


def test_out_norm_can_be_left_out():
    full = perturbed()
    raw = VHeatNetwork(SMALL, img_size=64, out_norm=False)
    raw.load_state_dict(full.state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 64)
    for i, (out, plain) in enumerate(zip(full(x), raw(x))):
        normed = getattr(full, f'norm{i}')(plain.permute(0, 2, 3, 1))
        assert torch.equal(out, normed.permute(0, 3, 1, 2))


def test_checkpointing_recomputes_each_block_once_and_changes_nothing():
    plain = perturbed(drop_path_rate=0.5)
    checked = VHeatNetwork(SMALL, img_size=64, drop_path_rate=0.5,
                           with_cp=True)
    checked.load_state_dict(plain.state_dict())
    calls = []
    for stage in checked.stages:
        for block in stage.blocks:
            block.op.dwconv.register_forward_hook(
                lambda *_: calls.append(1))
    x = torch.randn(2, 3, 64, 64)
    for network in (plain, checked):
        torch.manual_seed(3)
        sum(out.square().mean() for out in network(x)).backward()
    assert len(calls) == 2 * 5
    for a, b in zip(plain.parameters(), checked.parameters()):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


@pytest.mark.parametrize('frozen_stages', [-1, 0, 2, 3])
def test_frozen_stages(frozen_stages):
    network = perturbed(frozen_stages=frozen_stages, drop_path_rate=0.5)
    network.train()
    for name, parameter in network.named_parameters():
        parts = name.split('.')
        stage = 0 if parts[0] == 'patch_embed' else int(
            parts[1] if parts[0] in ('stages', 'freq_embed') else
            parts[0][-1])
        assert parameter.requires_grad == (stage > frozen_stages), name
    for i, stage in enumerate(network.stages):
        assert stage.training == (i > frozen_stages)
    outs = network(torch.randn(1, 3, 64, 64))
    if frozen_stages < 3:
        outs[-1].sum().backward()
    assert network.patch_embed.conv1.weight.grad is None or \
        frozen_stages < 0


def test_norm_eval():
    network = perturbed(norm_eval=True)
    network.stages[0].blocks[0].norm1 = torch.nn.BatchNorm2d(8)
    network.train()
    assert not network.stages[0].blocks[0].norm1.training
    assert not network.stages[1].blocks[0].norm1.training
    assert network.stages[0].blocks[0].training


def test_drop_path_rates_rise_linearly():
    rates = [
        block.drop_path.drop_prob
        for stage in perturbed(drop_path_rate=0.4).stages
        for block in stage.blocks
    ]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_initial_values():
    network = VHeatNetwork('small')
    assert (network.stages[2].blocks[5].gamma1 == 1e-5).all()
    fc1 = network.stages[0].blocks[0].mlp.fc1
    assert fc1.weight.abs().max().item() == pytest.approx(96**-0.5, rel=1e-2)
    assert fc1.bias.abs().max().item() == pytest.approx(96**-0.5, rel=5e-2)
    assert network.freq_embed[0].std().item() == pytest.approx(0.02, rel=0.02)
    assert network.patch_embed.norm1.eps == 1e-6
    assert network.norm0.eps == network.stages[0].downsample.norm.eps == 1e-5
    assert network.stages[0].downsample.conv.bias is None


def test_tables_of_rectangles_and_other_grids():
    network = VHeatNetwork(SMALL, img_size=(64, 100))
    assert [tuple(t.shape) for t in network.freq_embed] == [
        (16, 25, 8), (8, 12, 16), (4, 6, 32), (2, 3, 64)]
    for rule in ('pad', 'bicubic', 'aligned'):
        other = VHeatNetwork(SMALL, img_size=96, table_load=rule)
        other.load_state_dict(network.state_dict())
        from mmvision_ext.ops import resize_table
        assert torch.equal(other.freq_embed[0].data,
                           resize_table(network.freq_embed[0], (24, 24),
                                        rule))
    with pytest.raises(RuntimeError, match='freq_embed.0'):
        VHeatNetwork(dict(SMALL, embed_dims=16)).load_state_dict(
            network.state_dict())


def test_layer_depth():
    network = perturbed()  # depths 1, 2, 1, 1
    cases = {
        'patch_embed.conv1.weight': 0, 'stages.0.blocks.0.norm1.bias': 1,
        'stages.0.downsample.conv.weight': 1, 'freq_embed.1': 2,
        'stages.1.blocks.1.op.to_k.bias': 3, 'stages.3.blocks.0.gamma1': 5,
        'norm3.weight': 6}
    for name, depth in cases.items():
        assert name in dict(network.named_parameters())
        assert network.get_layer_depth(name) == (depth, 7)
        assert network.get_layer_depth(f'backbone.{name}',
                                       'backbone.') == (depth, 7)
    assert network.get_layer_depth('head.fc.weight', 'backbone.') == (6, 7)


@pytest.mark.parametrize('kwargs,message', [
    (dict(arch='huge'), "'huge' is unknown.*base-v2"),
    (dict(arch=dict(depths=(1, 1, 1, 1))), 'expected the keys embed_dims'),
    (dict(arch=dict(embed_dims=7, depths=(1, 1, 1, 1))), 'embed_dims is 7'),
    (dict(arch=dict(embed_dims=8, depths=(1, 1))), r'depths is \(1, 1\)'),
    (dict(arch=dict(SMALL, mlp_ratio=0)), 'mlp_ratio is 0'),
    (dict(img_size=2), 'img_size is 2'),
    (dict(table_load='crop'), "table_load is 'crop'.*aligned"),
    (dict(table_resize='crop'), "table_resize is 'crop'"),
    (dict(drop_path_rate=1.), 'drop_path_rate is 1.0'),
    (dict(out_indices=(0, 4)), r'out_indices is \(0, 4\)'),
    (dict(out_indices=(1, 0)), r'out_indices is \(1, 0\)'),
    (dict(out_indices=()), r'out_indices is \(\)'),
    (dict(frozen_stages=4), 'frozen_stages is 4'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        VHeatNetwork(**kwargs)


def test_wrong_input():
    with pytest.raises(ValueError, match=r'\(1, 4, 32, 32\).*\(B, 3, H, W\)'):
        perturbed()(torch.zeros(1, 4, 32, 32))
