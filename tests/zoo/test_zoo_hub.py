"""mmpretrain, mmdet and mmseg know our models by name."""
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmvision_ext.engine.shipped import shipped_root
from mmvision_ext.zoo import entries, hub

IMAGE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)


def run(code: str) -> str:
    return subprocess.run([sys.executable, '-c', code], check=True,
                          capture_output=True, text=True).stdout


def save_weights(model: torch.nn.Module, path: Path) -> str:
    """Weights that are all 0.01, so that loading them shows."""
    weights = {name: torch.full_like(value, 0.01)
               for name, value in model.state_dict().items()
               if value.is_floating_point()}
    torch.save({'state_dict': weights}, path)
    return str(path)


@pytest.mark.smoke
def test_import_is_lazy() -> None:
    out = run('import sys, mmvision_ext\n'
              'print([m for m in ("mmpretrain", "mmdet", "mmseg",'
              ' "mmengine.infer") if m in sys.modules])')
    assert out.splitlines()[-1] == '[]'


@pytest.mark.smoke
def test_names_are_known_where_mmpretrain_came_first() -> None:
    out = run('import mmpretrain; mmpretrain.list_models("resnet50")\n'
              'import mmvision_ext\n'
              'print(mmpretrain.list_models("vheat-tiny"))')
    assert out.splitlines()[-1] == \
        "['vheat-tiny_16xb128_in1k', 'vheat-tiny_in1k']"


@pytest.mark.smoke
def test_mmpretrain_lists_ours_beside_its_own() -> None:
    import mmpretrain
    names = mmpretrain.list_models('*itpn*')
    assert 'itpn-pixel_base_in1k' in names
    assert 'itpn-clip-b_hivit-base-p16_8xb256-amp-coslr-800e_in1k' in names
    assert not mmpretrain.list_models('*ma2ml*')
    assert not mmpretrain.list_models('maskrcnn*')
    assert 'vheat-nano_cifar10' in mmpretrain.list_models(
        'vheat', task='Image Classification')


@pytest.mark.smoke
def test_mmpretrain_builds_ours_by_alias() -> None:
    import mmpretrain
    model = mmpretrain.get_model('vheat-tiny_in1k')
    assert type(model.backbone).__module__ == 'mmvision_ext.vheat.backbone'
    assert sum(p.numel() for p in model.parameters()) == 30853480
    assert model._metainfo.results[0].metrics['Top 1 Accuracy'] == 82.2
    assert len(model._dataset_meta['classes']) == 1000


def test_classifier_by_name(tmp_path: Path) -> None:
    import mmpretrain
    weights = save_weights(mmpretrain.get_model('vheat-nano_cifar10'),
                           tmp_path / 'w.pth')
    # mmpretrain builds the pipeline in whatever scope the process is in,
    # which tests before this one may have chosen.
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        inferencer = mmpretrain.ImageClassificationInferencer(
            'vheat-nano_cifar10', pretrained=weights, device='cpu')
        assert torch.all(inferencer.model.head.fc.bias == 0.01)
        scores = inferencer(IMAGE)[0]['pred_scores']
    assert scores == pytest.approx(np.full(10, 0.1), abs=1e-6)


@pytest.mark.smoke
@pytest.mark.parametrize('by_path', [False, True])
def test_detector(tmp_path: Path, by_path: bool) -> None:
    from mmdet.apis import DetInferencer
    name = 'maskrcnn_vheat_nano_nuclei'
    config = shipped_root() / f'configs/vheat/{name}.py'
    first = DetInferencer(name, device='cpu')
    weights = save_weights(first.model, tmp_path / 'w.pth')
    found = DetInferencer(str(config) if by_path else name, weights,
                          device='cpu')
    bias = found.model.roi_head.bbox_head.fc_cls.bias
    assert torch.all(bias == 0.01)
    prediction = found(IMAGE)['predictions'][0]
    # Equal logits of three classes, so each box scores a third.
    assert prediction['scores'] == pytest.approx(
        [1 / 3] * len(prediction['scores']), abs=1e-4)


@pytest.mark.smoke
def test_segmenter(tmp_path: Path) -> None:
    from mmseg.apis import MMSegInferencer
    name = 'upernet_vheat_nano_camvid'
    first = MMSegInferencer(name, device='cpu')
    weights = save_weights(first.model, tmp_path / 'w.pth')
    found = MMSegInferencer(name.upper(), weights, device='cpu')
    assert torch.all(found.model.decode_head.conv_seg.bias == 0.01)
    assert found(IMAGE)['predictions'].shape == (64, 64)


def test_inferencers_list_ours_by_library() -> None:
    from mmengine.infer import BaseInferencer
    names = BaseInferencer.list_models('mmdet', '(maskrcnn|upernet)_vheat')
    assert 'maskrcnn_vheat_tiny_1x_coco' in names
    assert not [name for name in names if name.startswith('upernet')]


def test_unknown_names_stay_errors() -> None:
    import mmpretrain
    from mmdet.apis import DetInferencer
    with pytest.raises(ValueError, match='Failed to find model'):
        mmpretrain.get_model('vheat-huge_in1k')
    with pytest.raises(ValueError, match='Cannot find model'):
        DetInferencer('vheat-tiny_in1k', device='cpu')


def test_broken_zoo_leaves_the_libraries_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr('mmvision_ext.engine.shipped.shipped_root',
                        lambda: tmp_path)
    entries.read_entries.cache_clear()
    assert hub._ours('mmdet') == []


def test_patched_module_keeps_its_source() -> None:
    import inspect
    module = importlib.import_module('mmengine.infer.infer')
    assert 'class BaseInferencer' in inspect.getsource(module)
    assert module.__spec__.loader.get_filename() == module.__file__


def test_install_twice_is_once() -> None:
    before = list(sys.meta_path)
    hub.install()
    assert sys.meta_path == before
