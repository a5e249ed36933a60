"""Exported files say what the network says, at every size."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from mmvision_ext.cli import main
from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.export import ExportRequest, export_model, run
from mmvision_ext.export.graph import AdaptivePool
from mmvision_ext.export.source import load_source


@pytest.mark.smoke
def test_onnx_at_sizes_that_were_not_traced(trained, tmp_path, capsys,
                                             repo_root):
    config, weights = trained('itpn')
    out = tmp_path / 'model.onnx'
    assert main(['export', config, weights, str(out)]) == 0
    printed = capsys.readouterr().out
    assert '2 x 70 x 53' in printed and 'wrote' in printed
    assert not list(tmp_path.glob('.export-*'))
    import onnxruntime
    session = onnxruntime.InferenceSession(str(out))
    source = load_source(config, weights)
    x = (255 * torch.rand(3, 3, 97, 58))
    mean, std = (torch.tensor(v)[:, None, None]
                 for v in (source.mean, source.std))
    with torch.no_grad():
        wanted = source.model((x - mean) / std, mode='tensor')
        if isinstance(wanted, tuple):
            wanted = source.model.head(wanted)
    found, = session.run(None, {'images': x.numpy()})
    assert np.abs(found - wanted.numpy()).max() < 1e-4
    meta = session.get_modelmeta().custom_metadata_map
    assert json.loads(meta['mmvision_ext.classes']) == list('abcde')
    assert json.loads(meta['mmvision_ext.mean']) == [120., 110., 100.]
    assert meta['mmvision_ext.task'] == 'classification'
    assert meta['mmvision_ext.normalisation'] == 'inside'
    text = (repo_root / 'docs/export.md').read_text('utf-8')
    snippet = text.split('```python\n')[1].split('```')[0]
    done = subprocess.run([sys.executable, '-c', snippet], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() in 'abcde', done.stderr


def test_torch_export_reloads_without_the_package(trained, tmp_path):
    config, weights = trained('vheat')
    out = tmp_path / 'model.pt2'
    found = export_model(ExportRequest(
        config, weights, out, format='torch-export', part='backbone'))
    assert len(found) == 5 and max(f.difference for f in found) < 1e-5
    done = subprocess.run(
        [sys.executable, '-c', 'import sys, torch\n'
         'sys.modules["mmvision_ext"] = sys.modules["mmengine"] = None\n'
         'm = torch.export.load("model.pt2").module()\n'
         'print(tuple(m(torch.rand(1, 3, 90, 61))[0].shape))'],
        cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == '(1, 64, 3, 2)', done.stderr


def test_int8_is_smaller(trained, tmp_path):
    config, weights = trained('itpn')
    sizes = []
    for int8 in (False, True):
        out = tmp_path / 'model.onnx'
        found = export_model(ExportRequest(config, weights, out, int8=int8,
                                           size=(64, 64)))
        sizes.append(out.stat().st_size)
    assert 0 < max(f.difference for f in found) < 0.1
    assert sizes[1] < 0.8 * sizes[0]


def test_a_wrong_graph_leaves_what_was_there(trained, tmp_path, monkeypatch,
                                             capsys):
    config, weights = trained('itpn')
    out = tmp_path / 'model.pt2'
    out.write_text('old')
    monkeypatch.setattr(run.formats, 'run_pt2', lambda path: lambda images: [
        torch.zeros(len(images), 5)])
    assert main(['export', config, weights, str(out), '--size', '64x64',
                 '--format', 'torch-export']) == 1
    assert 'differs from the network' in capsys.readouterr().err
    assert out.read_text() == 'old'
    assert not list(tmp_path.glob('.export-*'))


@pytest.mark.parametrize('change,message', [
    (dict(out='model.pt'), 'ends in .onnx'),
    (dict(size=(20, 64)), 'expected sides from 49'),
    (dict(opset=11), 'expected 18 or more'),
])
def test_mistakes_are_told(tmp_path, change, message):
    request = dict(config='c.py', weights='w.pth', out='model.onnx') | change
    request['out'] = tmp_path / request['out']
    with pytest.raises(LaunchError, match=message):
        export_model(ExportRequest(**request))


def test_detectors_and_other_weights_are_refused(trained, tmp_path,
                                                 repo_root):
    config, weights = trained('itpn')
    detector = str(repo_root / 'configs/vheat/maskrcnn_vheat_nano_nuclei.py')
    with pytest.raises(LaunchError, match='--part backbone'):
        load_source(detector, weights)
    other, _ = trained('vheat')
    with pytest.raises(LaunchError, match='does not fit'):
        load_source(other, weights)


@pytest.mark.parametrize('scale', [2, 3, 6])
def test_adaptive_pool_equals_that_of_torch(scale):
    for size in ((7, 5), (6, 12), (2, 3), (13, 29)):
        x = torch.randn(2, 4, *size)
        assert torch.allclose(AdaptivePool(scale)(x),
                              nn.AdaptiveAvgPool2d(scale)(x), atol=1e-6)
