"""Every config trains one iteration and predicts, on generated data.

The runner, hooks, schedules, loaders, transforms, models and metrics are
those of the config. What shrinks is the images, batches and windows.
"""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from mmvision_ext.compat import adapt_config_for_cpu
from mmvision_ext.datasets import make_toy_data
from mmvision_ext.engine.data_root import replace_data_root

REPO = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    p for p in (REPO / 'configs').rglob('*.py')
    if '_base_' not in p.relative_to(REPO).parts)
SMOKE = ('vheat-nano_cifar10', 'maskrcnn_vheat_nano_nuclei',
         'upernet_vheat_nano_camvid')
LAYOUTS = dict(mmpretrain='imagenet', mmdet='coco', mmseg='ade20k')
# The last word of a config's name -> by how much images shrink; 2 for others.
FACTORS = dict(in1k=4, cifar10=1, coco=12, nuclei=4, ade20k=8, camvid=4, cls=1)
CAMVID_CLASSES = 11


def config_params() -> list[Any]:
    """The configs, those of the second stack's short run marked."""
    return [
        pytest.param(
            p,
            id=p.stem,
            marks=[pytest.mark.smoke] if p.stem in SMOKE else [])
        for p in CONFIGS
    ]


@pytest.fixture(scope='module')
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 64 pixels in three layouts, and labels 1..11 for CamVid."""
    root = make_toy_data(
        tmp_path_factory.mktemp('toy') / 'data', train=6, val=6, size=64)
    source = root / 'ade20k' / 'annotations'
    for path in source.rglob('*.png'):
        labels = np.asarray(Image.open(path)).astype(int)
        labels[labels > 0] = labels[labels > 0] % CAMVID_CLASSES + 1
        target = source.with_name('annotations_contig') / path.relative_to(
            source)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels.astype(np.uint8)).save(target)
    return root


def shrink(node: Any, factor: int) -> Any:
    """A copy of a node of a config with every size in pixels divided."""
    if isinstance(node, list):
        return [shrink(item, factor) for item in node]
    if not isinstance(node, dict):
        return node
    sizes = ('scale', 'scales', 'crop_size', 'stride', 'size')
    return {
        key: divide(value, factor) if key in sizes else shrink(value, factor)
        for key, value in node.items()
    }


def divide(value: Any, factor: int) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(divide(item, factor) for item in value)
    return value // factor


def tiny_run(path: Path, data: Path, work_dir: Path) -> Config:
    """A config for one iteration on two images, and one prediction."""
    cfg = Config.fromfile(path)
    factor = FACTORS.get(path.stem.rsplit('_', 1)[1], 2)
    replace_data_root(cfg, str(data / LAYOUTS[cfg.default_scope]))
    for key, count in (('train_dataloader', 2), ('val_dataloader', 1)):
        loader = cfg[key]
        loader.update(
            batch_size=count, num_workers=0, persistent_workers=False)
        loader.dataset.indices = count
        loader.dataset.pipeline = shrink(loader.dataset.pipeline, factor)
        if path.stem.endswith('nuclei'):
            loader.dataset.metainfo = dict(classes=('sports ball', 'tv'))
    if cfg.default_scope == 'mmseg':
        for key in ('data_preprocessor', 'test_cfg'):
            cfg.model[key] = shrink(cfg.model[key].to_dict(), factor)
    length = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    cfg.train_cfg.update({length: 1, 'val_interval': 1})
    cfg.default_hooks.checkpoint.update(interval=10, save_last=False)
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    if cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        # On a GPU: a dynamic scale may leave the first step out.
        cfg.optim_wrapper.loss_scale = 1.0
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = path.stem
    cfg.log_level = 'WARNING'
    return adapt_config_for_cpu(cfg)


class Probe(Hook):
    """Notes what the training does to the model and what it predicts."""

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.losses: dict[str, torch.Tensor] = {}
        self.before: dict[str, torch.Tensor] = {}
        self.predictions: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        for name, parameter in runner.model.named_parameters():
            if parameter.requires_grad:
                self.before[name] = parameter.detach().clone()
                parameter.register_post_accumulate_grad_hook(
                    lambda _, n=name: self.reached.add(n))

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        self.losses = outputs

    def after_val_iter(self, runner: Runner, batch_idx: int,
                       data_batch: Any = None,
                       outputs: Sequence[Any] | None = None) -> None:
        self.predictions.extend(outputs)


def check_prediction(cfg: Config, sample: Any) -> None:
    """One prediction has the form and the range that its task asks for."""
    if cfg.default_scope == 'mmpretrain':
        scores = sample.pred_score
        assert scores.shape == (cfg.model.head.num_classes, )
        assert scores.sum().item() == pytest.approx(1, abs=1e-4)
    elif cfg.default_scope == 'mmdet':
        found = sample.pred_instances
        assert len(found) <= cfg.model.test_cfg.rcnn.max_per_img
        assert found.bboxes.shape == (len(found), 4)
        assert found.masks.shape == (len(found), *sample.ori_shape)
        labels = range(cfg.model.roi_head.bbox_head.num_classes)
        assert set(found.labels.tolist()) <= set(labels)
    else:
        labels = sample.pred_sem_seg.data
        assert labels.shape == (1, *sample.ori_shape)
        assert 0 <= labels.min()
        assert labels.max() < cfg.model.decode_head.num_classes


@pytest.mark.parametrize('path', config_params())
def test_one_step_and_one_prediction(
        path: Path, toy_data: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    # Formatting the config for the log takes longer than the training.
    monkeypatch.setattr(Config, 'pretty_text', '')
    cfg = tiny_run(path, toy_data, tmp_path)
    runner = Runner.from_cfg(cfg)
    probe = Probe()
    # Before all others: averaging swaps the weights around a validation.
    runner.register_hook(probe, priority='HIGHEST')
    runner.train()

    assert runner.iter == 1
    assert torch.isfinite(probe.losses['loss'])
    names = set(probe.before)
    assert names, 'nothing to train'
    # A parameter out of reach of the loss stops DistributedDataParallel.
    assert names - probe.reached == set()
    moved = {
        n
        for n, p in runner.model.named_parameters()
        if not torch.equal(p, probe.before[n])
    }
    # The first learning rate of a warm-up moves large weights by less than
    # a float32 resolves: zeros, such as biases, always move.
    assert any(n.startswith('backbone.') for n in moved)
    assert probe.predictions
    check_prediction(cfg, probe.predictions[0])
