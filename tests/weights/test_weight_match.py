"""Loads that fill less than 90 % of a backbone are refused."""
import copy
import pickle
import sys
import types

import pytest
import torch
from mmengine.model import BaseModel, ExponentialMovingAverage
from mmengine.runner import load_checkpoint
from torch import nn

from mmvision_ext.compat.checkpoint import CheckpointError
from mmvision_ext.engine.convert_cli import convert_file
from mmvision_ext.engine.match import (
    WeightMismatchError,
    check_loaded_weights,
    match_weights,
)
from mmvision_ext.vheat import VHeat

ARCH = dict(embed_dims=16, depths=(1, 1, 2, 1))


class Model(BaseModel):
    """A backbone and a head."""

    def __init__(self, num_classes=4, **backbone):
        super().__init__()
        self.backbone = VHeat(**{'arch': ARCH, 'img_size': 64, **backbone})
        self.head = nn.Linear(128, num_classes)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.head(self.backbone(inputs)[-1].mean((2, 3)))


@pytest.fixture
def converted(official, save, tmp_path):
    """A converted classifier of ARCH."""
    convert_file(save(official(classes=4)), tmp_path / 'converted.pth')
    return str(tmp_path / 'converted.pth')


def _snapshot(module):
    return {n: v.clone() for n, v in module.state_dict().items()}


def _equal(a, b):
    return all(torch.equal(a[n], b[n]) for n in b)


def test_pretrained_for_another_task_and_grid(converted):
    backbone = VHeat(
        arch=ARCH, img_size=128, init_cfg=dict(
            type='Pretrained', checkpoint=converted, prefix='backbone.'))
    backbone.init_weights()
    weights = torch.load(converted)['state_dict']
    assert torch.equal(backbone.norm3.weight,
                       weights['backbone.norm3.weight'])
    assert torch.equal(backbone.norm0.weight, torch.ones(16))
    table = backbone.freq_embed[1]
    assert torch.equal(table[:8, :8], weights['backbone.freq_embed.1'])
    assert table.shape == (16, 16, 32) and (table[8:] == 0).all()


def test_load_from_with_another_head(converted):
    model = Model(num_classes=9)
    load_checkpoint(model, converted)
    weights = torch.load(converted)['state_dict']
    name = 'stages.2.blocks.1.op.linear.weight'
    assert torch.equal(model.backbone.state_dict()[name],
                       weights[f'backbone.{name}'])


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_official_file_is_told_to_be_converted(official, save, prefix):
    path = save({prefix + n: v for n, v in official().items()})
    backbone = VHeat(arch=ARCH, img_size=64, init_cfg=dict(
        type='Pretrained', checkpoint=str(path)))
    before = _snapshot(backbone)
    with pytest.raises(WeightMismatchError) as caught:
        backbone.init_weights()
    text = str(caught.value)
    assert text.startswith(str(path))
    # stem convolutions (4) and tables (4) keep their names
    assert '8 of 111 tensors match (7%' in text
    assert '103 missing: patch_embed.norm1.weight' in text
    assert 'unexpected: patch_embed.norm1.1.weight' in text
    assert 'tools/convert_weights.py SRC DST' in text
    assert _equal(backbone.state_dict(), before)


def test_official_file_with_a_config_object(official, save, monkeypatch):
    module = types.ModuleType('config_package')
    module.CfgNode = type('CfgNode', (dict, ),
                          {'__module__': 'config_package'})
    monkeypatch.setitem(sys.modules, 'config_package', module)
    path = save({'model': official(classes=4), 'config': module.CfgNode()})
    with pytest.raises(CheckpointError,
                       match='official.pth.*config_package.CfgNode.*'
                       'tools/convert_weights.py SRC DST'):
        VHeat(arch=ARCH, init_cfg=dict(
            type='Pretrained', checkpoint=str(path))).init_weights()
    with pytest.raises(CheckpointError, match='convert_weights.py SRC DST'):
        load_checkpoint(Model(), str(path))


@pytest.mark.parametrize('content', [
    lambda state: {'model': state},
    lambda state: state,
])
def test_prefix_that_the_file_does_not_have(official, save, content):
    path = save(content(official()))
    backbone = VHeat(arch=ARCH, init_cfg=dict(
        type='Pretrained', checkpoint=str(path), prefix='backbone.'))
    with pytest.raises(WeightMismatchError,
                       match='backbone. is not in.*convert_weights'):
        backbone.init_weights()


def test_container_that_mmengine_does_not_open(official, save):
    path = save({'model': official(), 'epoch': 3})
    with pytest.raises(WeightMismatchError, match='0 of 111 tensors match'):
        VHeat(arch=ARCH, init_cfg=dict(
            type='Pretrained', checkpoint=str(path))).init_weights()
    with pytest.raises(WeightMismatchError, match="under 'backbone.'.*0 of"):
        load_checkpoint(Model(), str(path))


def test_load_from_another_family(save):
    path = save({'state_dict': {
        'backbone.conv1.weight': torch.ones(64, 3, 7, 7),
        'backbone.layer1.0.conv1.weight': torch.ones(64, 64, 1, 1)}})
    model = Model()
    before = _snapshot(model.backbone)
    with pytest.raises(WeightMismatchError,
                       match='2 unexpected: conv1.weight, layer1'):
        load_checkpoint(model, str(path))
    assert _equal(model.backbone.state_dict(), before)


def test_deeper_and_wider_networks(converted):
    deeper = dict(ARCH, depths=(1, 1, 6, 1))
    with pytest.raises(WeightMismatchError,
                       match='missing: stages.2.blocks.2.norm1.weight'):
        load_checkpoint(Model(arch=deeper), converted)
    wider = Model(arch=dict(ARCH, embed_dims=32))
    with pytest.raises(
            WeightMismatchError,
            match=r'conv1.weight \(8, 3, 3, 3\) instead of \(16, 3, 3, 3\)'):
        load_checkpoint(wider, converted)


def test_shallow_network_does_not_take_a_deep_file(tmp_path):
    # Each of its tensors is there, by name and shape.
    deep = VHeat(arch=dict(ARCH, depths=(1, 1, 6, 1)), img_size=64)
    path = tmp_path / 'deep.pth'
    torch.save(deep.state_dict(), path)
    backbone = VHeat(arch=ARCH, img_size=64, init_cfg=dict(
        type='Pretrained', checkpoint=str(path)))
    with pytest.raises(WeightMismatchError,
                       match=r'111 of 183 tensors match \(61%'):
        backbone.init_weights()


def test_head_alone():
    model = Model()
    head = {n: v for n, v in model.state_dict().items() if 'head' in n}
    with pytest.raises(WeightMismatchError, match="under 'backbone.': 0 of"):
        model.load_state_dict(head, strict=False)
    model.head.load_state_dict({'weight': head['head.weight'],
                                'bias': head['head.bias']})


def test_own_checkpoints_load_everywhere():
    model = Model(out_indices=(1, 3))
    state = model.state_dict()
    other = Model(out_indices=(0, 3))
    other.load_state_dict(state, strict=False)
    assert torch.equal(other.backbone.norm3.weight,
                       model.backbone.norm3.weight)
    average = ExponentialMovingAverage(Model(out_indices=(1, 3)))
    average.load_state_dict(ExponentialMovingAverage(model).state_dict())
    twin = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    assert not twin.load_state_dict(state).missing_keys


def test_other_errors_of_init_stay_themselves(tmp_path):
    with pytest.raises(FileNotFoundError):
        VHeat(arch=ARCH, init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'no.pth'))
              ).init_weights()


class Ten(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(10):
            self.register_parameter(f'p{i}', nn.Parameter(torch.zeros(2)))


@pytest.mark.parametrize('wrong,fits', [(1, True), (2, False)])
@pytest.mark.parametrize('kind', ['missing', 'shape', 'object'])
def test_ninety_percent(wrong, fits, kind):
    module = Ten()
    given = dict(module.state_dict())
    for i in range(wrong):
        if kind == 'missing':
            del given[f'p{i}']
        else:
            given[f'p{i}'] = torch.zeros(3) if kind == 'shape' else 'x'
    assert match_weights(module, given).share == pytest.approx(1 - wrong / 10)
    if fits:
        check_loaded_weights(module, given, '')
    else:
        with pytest.raises(WeightMismatchError, match='8 of 10 .*80%'):
            check_loaded_weights(module, given, '')


def test_optional_names_and_other_parts_do_not_count():
    module = Ten()
    given = {f'p{i}': torch.zeros(2) for i in range(1, 10)}
    given.update({f'head.{i}': torch.zeros(1) for i in range(50)})
    match = match_weights(module, given, optional='p0$')
    assert (match.num_own, match.num_given, match.num_matched) == (9, 9, 9)
    assert match.share == 1 and len(match.unexpected) == 50
