"""The small-data configs: fair peers, and the real data where it exists."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope

from mmvision_ext.engine.data_root import replace_data_root

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# vHeat config, peer, pixels that each sees.
PEERS = [
    ('vheat-nano_cifar10', 'resnet_cifar10'),
    ('maskrcnn_vheat_nano_nuclei', 'maskrcnn_resnet_nuclei'),
    ('upernet_vheat_nano_camvid', 'upernet_resnet_camvid'),
]
CAMVID = 'upernet_vheat_nano_camvid'


def load(name: str) -> Config:
    folder = 'vheat' if 'vheat' in name else 'peers'
    cfg = Config.fromfile(CONFIGS / folder / f'{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


def input_size(cfg: Config) -> int:
    """Pixels of a side of the images that a config trains on."""
    if cfg.default_scope == 'mmpretrain':
        return cfg.img_size
    if cfg.default_scope == 'mmseg':
        return cfg.crop_size[0]
    return cfg.test_pipeline[1].scale[0]


def backbone_flops(cfg: Config) -> float:
    size = input_size(cfg)
    backbone = MODELS.build(cfg.model.backbone)
    backbone.eval()
    return get_model_complexity_info(
        backbone, (3, size, size), show_table=False, show_arch=False)['flops']


def without_architecture(cfg: Config) -> dict[str, Any]:
    """A config without its backbone, channels and (cls) image sizes."""
    result = cfg.to_dict()
    model = result['model']
    model.pop('backbone')
    for part in ('neck', 'head', 'decode_head', 'auxiliary_head'):
        (model.get(part) or {}).pop('in_channels', None)
    if cfg.default_scope == 'mmpretrain':
        # The hook changes the image size during training.
        for key in ('img_size', 'train_pipeline', 'test_pipeline',
                    'custom_hooks'):
            result.pop(key)
        for key in ('train', 'val', 'test'):
            dataset = result[f'{key}_dataloader']['dataset']
            dataset['pipeline'] = [
                step for step in dataset['pipeline']
                if step['type'] != 'Resize'
            ]
    return result


@pytest.mark.parametrize('ours, peer', PEERS)
def test_peer_differs_by_its_backbone_alone(ours: str, peer: str) -> None:
    ours_cfg, peer_cfg = load(ours), load(peer)
    assert peer_cfg.model.backbone.type.startswith(
        ('ResNet', 'mmpretrain.', 'Swin'))
    assert without_architecture(ours_cfg) == without_architecture(peer_cfg)


@pytest.mark.parametrize('ours, peer', PEERS)
def test_peer_has_about_the_same_flops(ours: str, peer: str) -> None:
    ratio = backbone_flops(load(peer)) / backbone_flops(load(ours))
    assert 0.85 < ratio < 1.15


def real_dataset(name: str, root: Path, split: str) -> Any:
    cfg = load(name)
    replace_data_root(cfg, str(root))
    return DATASETS.build(cfg[f'{split}_dataloader'].dataset)


@pytest.mark.parametrize('split, images', [('train', 6000), ('val', 2000)])
def test_cifar10_is_read(shared_root: Path, split: str, images: int) -> None:
    data = real_dataset('vheat-nano_cifar10',
                        shared_root / 'data/classification/cifar10', split)
    assert len(data) == images
    assert np.bincount(data.get_gt_labels()).tolist() == [images // 10] * 10
    assert data.metainfo['classes'][:2] == ('airplane', 'automobile')
    size = 48 if split == 'train' else 64
    assert data[0]['inputs'].shape == (3, size, size)


def test_cifar10_ends_at_the_size_it_is_scored_at() -> None:
    cfg = load('vheat-nano_cifar10')
    [hook] = cfg.custom_hooks
    [switch] = hook.schedule
    first, last = cfg.train_pipeline, switch.train_pipeline
    assert (first[-2].scale, last[-2].scale) == (48, 64)
    assert first[:-2] == last[:-2]
    assert cfg.test_pipeline[-2].scale == cfg.img_size == 64
    assert 0 < switch.action_epoch < cfg.max_epochs


@pytest.mark.parametrize('split, images, objects', [
    ('train', 175, 4166),
    ('val', 55, 1300),
])
def test_nuclei_are_read(shared_root: Path, split: str, images: int,
                         objects: int) -> None:
    data = real_dataset('maskrcnn_vheat_nano_nuclei',
                        shared_root / 'data/detection/nuclei', split)
    assert len(data) == images
    instances = [
        i for index in range(images)
        for i in data.get_data_info(index)['instances']
    ]
    assert len(instances) == objects
    assert {i['bbox_label'] for i in instances} == {0, 1}


@pytest.mark.parametrize('split, images', [('train', 367), ('val', 101)])
def test_camvid_is_read(shared_root: Path, split: str, images: int) -> None:
    data = real_dataset(CAMVID, shared_root / 'data/segmentation/camvid_ade',
                        split)
    assert len(data) == images
    seen: set[int] = set()
    for index in range(0, images, 10):
        sample = data[index]['data_samples'].gt_sem_seg.data
        seen.update(sample.unique().tolist())
    # 0 in the files is "void", which comes out as the ignored 255.
    assert seen == {*range(11), 255}


def test_camvid_names_follow_its_labels(shared_root: Path) -> None:
    import json
    path = shared_root / 'data/segmentation/camvid_ade/classes.json'
    listed = sorted(
        json.loads(path.read_text())['classes'], key=lambda c: c['contig_id'])
    names = load(CAMVID).metainfo.classes
    assert names == tuple(c['camvid_name'] for c in listed)
    assert [c['contig_id'] for c in listed] == list(range(1, 12))
