"""Fast-iTPN: training, checkpointing, number types, layer ids, loading."""

import copy
import subprocess
import sys

import pytest
import torch

from mmvision_ext.itpn import FastITPNNetwork

SMALL = dict(embed_dims=32, depths=(2, 1, 3), num_heads=2)


def make(**kwargs):
    """A small network whose every parameter counts."""
    torch.manual_seed(0)
    network = FastITPNNetwork(SMALL, **{'img_size': 64, **kwargs})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def gradients(network, run):
    network.zero_grad()
    sum((out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
        for out in run(network)).backward()
    return {name: p.grad for name, p in network.named_parameters()}


RUNS = {
    'dense': lambda n: n(torch.ones(1, 3, 40, 64).cumsum(3) / 64),
    'visible': lambda n: n.forward_visible(
        torch.ones(1, 3, 64, 64).cumsum(2) / 64, torch.tensor([[3, 8, 1]])),
    'replaced': lambda n: n.forward_replaced(
        torch.ones(1, 3, 64, 64).cumsum(2) / 64,
        torch.arange(16)[None] % 3 == 0, torch.full((1, 1, 128), 0.3),
        aux_index=1),
}


@pytest.mark.parametrize('run', RUNS)
def test_every_parameter_has_a_gradient_and_checkpoints_keep_it(run):
    network, saving = make(), make(with_cp=True)
    expected = gradients(network, RUNS[run])
    actual = gradients(saving, RUNS[run])
    for name, grad in expected.items():
        assert grad is not None and grad.abs().sum() > 0, name
        assert torch.equal(grad, actual[name]), name


def test_checkpoints_keep_the_drop_path():
    x = torch.randn(4, 3, 32, 32)

    def run(network):
        torch.manual_seed(3)
        return network.train()(x)

    expected = gradients(make(drop_path_rate=0.5), run)
    actual = gradients(make(drop_path_rate=0.5, with_cp=True), run)
    assert all(torch.equal(actual[name], g) for name, g in expected.items())


def test_drop_path_rates_and_initial_values():
    network = FastITPNNetwork(SMALL, drop_path_rate=0.5, img_size=64)
    rates = [block.drop_path.drop_prob for block in network.blocks
             if hasattr(block, 'drop_path')]
    assert rates == pytest.approx([0., 0.1, 0.2, 0.3, 0.4, 0.5])
    block = network.blocks[-1]
    assert torch.equal(block.gamma_1, torch.full((32, ), 0.1))
    assert torch.equal(block.gamma_2, torch.full((32, ), 0.1))
    assert not block.attn.q_bias.any() and not block.mlp.w1.bias.any()
    for weight in (network.pos_embed, block.attn.k_proj.weight,
                   block.mlp.w3.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)
    plain = FastITPNNetwork(SMALL, layer_scale=None, img_size=64)
    assert not any('gamma' in name for name in plain.state_dict())


@pytest.mark.parametrize('dtype,bound', [(torch.float16, 4e-3),
                                         (torch.bfloat16, 3e-2)])
@torch.no_grad()
def test_number_types(dtype, bound):
    network = make()
    x = torch.randn(2, 3, 70, 45)
    expected = copy.deepcopy(network).double()(x.double())
    with torch.autocast('cpu', dtype):
        autocast = network(x)
    whole = copy.deepcopy(network).to(dtype)(x.to(dtype))
    assert all(out.dtype == dtype for out in whole)
    for outs in (autocast, whole):
        for out, reference in zip(outs, expected, strict=True):
            error = (out.double() - reference).norm() / reference.norm()
            assert error < bound


def test_training_under_autocast():
    network = make(with_cp=True)
    expected = gradients(network, RUNS['replaced'])
    with torch.autocast('cpu', torch.bfloat16):
        actual = gradients(network, RUNS['replaced'])
    a, b = (torch.cat([g.flatten() for g in grads.values()])
            for grads in (actual, expected))
    assert (a - b).norm() / b.norm() < 0.06


# blocks of SMALL: 2 MLPs, merge, 1 MLP, merge, 3 of attention
@pytest.mark.parametrize('frozen,trained', [
    (-1, ['patch_embed', 'pos_embed', *range(8)]), (0, list(range(8))),
    (1, [3, 4, 5, 6, 7]), (2, [5, 6, 7]), (3, [])])
def test_frozen_stages(frozen, trained):
    network = make(frozen_stages=frozen, drop_path_rate=0.3).train()
    found = []
    for name, parameter in network.named_parameters():
        parts = name.split('.')
        part = int(parts[1]) if parts[0] == 'blocks' else parts[0]
        if parameter.requires_grad and part not in found:
            found.append(part)
    assert sorted(map(str, found)) == sorted(map(str, trained))
    for i, block in enumerate(network.blocks):
        assert block.training == (i in trained)


def test_norm_eval():
    network = make(norm_eval=True).train()
    norms = [m for m in network.modules()
             if isinstance(m, torch.nn.LayerNorm)]
    assert norms and not any(norm.training for norm in norms)
    assert network.blocks[0].mlp.training


# correct and legacy
LAYERS = {
    'patch_embed.proj.weight': (0, 0), 'pos_embed': (0, 0),
    'mask_token': (0, 0), 'blocks.0.norm2.weight': (1, 1),
    'blocks.1.mlp.fc1.bias': (2, 2), 'blocks.2.reduction.weight': (2, 3),
    'blocks.3.mlp.fc2.weight': (3, 4), 'blocks.4.norm.bias': (3, 5),
    'blocks.5.gamma_1': (4, 6), 'blocks.6.attn.q_bias': (5, 7),
    'blocks.7.mlp.w3.weight': (6, 8), 'fc_norm.weight': (7, 9),
    'head.fc.weight': (7, 9),
}


@pytest.mark.parametrize('name', LAYERS)
@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_layer_ids(name, prefix):
    network = make()
    correct, legacy = LAYERS[name]
    assert network.get_layer_depth(prefix + name, prefix) == (correct, 8)
    assert network.get_layer_depth(
        prefix + name, prefix, legacy=True) == (legacy, 10)
    if prefix:
        assert network.get_layer_depth('neck.' + name, prefix) == (7, 8)


@pytest.mark.parametrize('kwargs,message', [
    (dict(arch='huge'), "arch 'huge' is unknown"),
    (dict(arch=dict(embed_dims=32, depths=(1, 1))), 'num_heads'),
    (dict(arch=SMALL, img_size=40), 'img_size is 40'),
    (dict(arch=SMALL, frozen_stages=4), 'frozen_stages is 4')])
def test_wrong_values_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FastITPNNetwork(**kwargs)


@pytest.mark.parametrize('name', ['rpe', 'window_size', 'pos_init'])
def test_what_fast_itpn_has_not_is_refused(name):
    with pytest.raises(TypeError, match=name):
        FastITPNNetwork(SMALL, **{name: None})


def test_registered_backbone_loads_and_refuses():
    pytest.importorskip('mmengine')
    from mmvision_ext.engine.match import WeightMismatchError
    from mmvision_ext.registry import MODELS
    config = dict(type='mmvision_ext.FastITPN', arch=SMALL, img_size=64)
    backbone = MODELS.build(config)
    classifier = MODELS.build(config | dict(out_type='avg_featmap'))
    result = backbone.load_state_dict(classifier.state_dict(), strict=False)
    assert result.unexpected_keys == ['fc_norm.weight', 'fc_norm.bias']
    assert result.missing_keys == []
    other = MODELS.build(config | dict(arch=SMALL | dict(embed_dims=64)))
    with pytest.raises(WeightMismatchError, match='FastITPN'):
        backbone.load_state_dict(other.state_dict(), strict=False)


def test_network_imports_with_torch_alone(repo_root):
    code = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        first = name.partition('.')[0]
        if first in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain',
                     'torchvision', 'scipy'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
import importlib.util, torch
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if (
    name.startswith('mm') and not name.startswith('mmvision_ext')
) else find(name, package)
from mmvision_ext.itpn import FastITPNNetwork
print(len(FastITPNNetwork('nano')(torch.zeros(1, 3, 32, 32))))
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=repo_root,
                          capture_output=True, text=True)
    assert done.stdout.strip() == '3', done.stderr[-2000:]
