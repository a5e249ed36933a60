"""load_model against the outputs of the original implementation."""
import sys
import types

import numpy as np
import pytest
import torch

from mmvision_ext.apis import load_model
from mmvision_ext.compat.checkpoint import CheckpointError
from mmvision_ext.engine import build
from mmvision_ext.engine.convert_cli import convert_file, main
from mmvision_ext.vheat import VHeat

# The layouts of a training run, of a best checkpoint under DDP, of a
# detector's file cut to its backbone, and of a bare state dict.
LAYOUTS = [
    ('model', ''),
    ('model_ema', 'module.'),
    ('state_dict', 'module.backbone.'),
    (None, ''),
]

BACKBONES = [f'vheat_backbone_table{table}_{size}' for table in (64, 128)
             for size in ('64x64', '96x64', '75x101', '128x160')]


def _read(shared_root, name):
    with np.load(shared_root / 'golden' / f'{name}.npz') as case:
        arrays = {key: case[key] for key in case.files}
    weights = {key[len('param/'):]: torch.from_numpy(value)
               for key, value in arrays.items() if key.startswith('param/')}
    return arrays, weights


def _lay_out(weights, container, prefix):
    weights = {prefix + name: value for name, value in weights.items()}
    return {container: weights, 'epoch': 1} if container else weights


@pytest.mark.parametrize('container,prefix', LAYOUTS)
@pytest.mark.parametrize('name', ['vheat_cls_prenorm', 'vheat_cls_postnorm'])
def test_classifier_equals_the_original(shared_root, save, tmp_path, name,
                                        container, prefix):
    case, weights = _read(shared_root, name)
    convert_file(save(_lay_out(weights, container, prefix)),
                 tmp_path / 'dst.pth')
    model = load_model(tmp_path / 'dst.pth')
    assert not model.training
    with torch.no_grad():
        logits = model(torch.from_numpy(case['input']))
    assert np.abs(logits.numpy() - case['output/logits']).max() < 1e-4


@pytest.mark.parametrize('name', BACKBONES)
def test_backbone_equals_the_original(shared_root, save, tmp_path, name):
    case, weights = _read(shared_root, name)
    container, prefix = LAYOUTS[BACKBONES.index(name) % len(LAYOUTS)]
    convert_file(save(_lay_out(weights, container, prefix)),
                 tmp_path / 'dst.pth')
    model = load_model(tmp_path / 'dst.pth')
    assert type(model) is VHeat
    with torch.no_grad():
        maps = model(torch.from_numpy(case['input']))
    assert len(maps) == 4
    for i, out in enumerate(maps):
        expected = case[f'output/stage{i}']
        assert np.abs(out.numpy() - expected).max() < 1e-4


def test_classification_file_with_a_config_object(official, save, tmp_path,
                                                  capsys, monkeypatch):
    module = types.ModuleType('config_package')
    node = type('CfgNode', (dict, ), {'__module__': 'config_package'})
    module.CfgNode = node
    monkeypatch.setitem(sys.modules, 'config_package', module)
    state = official(gamma=True, classes=6)
    src = save({'model': state, 'config': node(MODEL=node(NAME='vheat')),
                'max_accuracy': 0.5, 'epoch': 299})
    monkeypatch.delitem(sys.modules, 'config_package')
    assert main([str(src), str(tmp_path / 'dst.pth')]) == 0
    assert 'post-norm and layer scale' in capsys.readouterr().out
    model = load_model(tmp_path / 'dst.pth')
    assert torch.equal(model.head.fc.weight, state['classifier.3.weight'])
    assert model.backbone.arch_settings.post_norm


def test_converted_file_says_where_it_comes_from(official, save, tmp_path):
    convert_file(save(official(), 'theirs.pth'), tmp_path / 'dst.pth')
    content = torch.load(tmp_path / 'dst.pth', weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['source'] == 'theirs.pth'
    assert content['meta']['form'] == 'backbone'
    assert all(name.startswith('backbone.') for name in content['state_dict'])


@pytest.mark.parametrize('content', [
    {'state_dict': {'a': torch.ones(1)}},
    {'state_dict': {'a': torch.ones(1)}, 'meta': {'epoch': 3}},
    {'meta': {'model': {'type': 'mmvision_ext.VHeat'}}},
    [torch.ones(1)],
])
def test_file_of_no_known_network(save, content):
    path = save(content)
    with pytest.raises(CheckpointError,
                       match='official.pth does not say.*convert_weights'):
        load_model(path)


def test_package_missing(official, save, tmp_path, monkeypatch):
    src = save(official(classes=3))
    convert_file(src, tmp_path / 'dst.pth')
    found = build.find_spec
    monkeypatch.setattr(
        build, 'find_spec',
        lambda name: None if name == 'mmpretrain' else found(name))
    with pytest.raises(build.MissingPackageError,
                       match='ImageClassifier needs mmpretrain'):
        load_model(tmp_path / 'dst.pth')
    # conversion itself goes on, and says what it could not try
    result = convert_file(src, tmp_path / 'again.pth')
    assert 'not tried by building the network' in result.report()


def test_weights_that_do_not_fit(official, save, tmp_path):
    convert_file(save(official(classes=3)), tmp_path / 'dst.pth')
    content = torch.load(tmp_path / 'dst.pth')
    del content['state_dict']['head.fc.bias']
    with pytest.raises(RuntimeError, match='(?s)changed.pth.*head.fc.bias'):
        load_model(save(content, 'changed.pth'))
