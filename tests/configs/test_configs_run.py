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
from mmvision_ext.itpn.arch import ARCH_ZOO, FAST_ARCH_ZOO

REPO = Path(__file__).resolve().parents[2]
# Searches are no trainings: tests/ma2ml looks at them and at their bases.
CONFIGS = sorted(
    p for p in (REPO / 'configs').rglob('*.py')
    if not {'_base_', 'ma2ml'} & set(p.relative_to(REPO).parts))
SMOKE = ('vheat-nano_cifar10', 'maskrcnn_vheat_nano_nuclei',
         'upernet_vheat_nano_camvid', 'itpn-nano_pretrain_pixel-mfm',
         'itpn-nano_cifar10', 'maskrcnn_itpn_nano_nuclei',
         'upernet_itpn_nano_camvid', 'itpn-clip_base_64xb32-amp-300e_in1k')
LAYOUTS = dict(mmpretrain='imagenet', mmdet='coco', mmseg='ade20k')
# The last word of a config's name -> by how much images shrink; 2 for others.
FACTORS = {
    'in1k': 4, 'in1k-256px': 4, 'in1k-384px': 6, 'in1k-512px': 8,
    'in1k-640px': 10, 'cifar10': 1, 'coco': 12, 'nuclei': 4, 'ade20k': 8,
    'camvid': 4, 'cls': 1
}
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
    # A scale of floats is a share of the image, not its pixels.
    return value if isinstance(value, float) else value // factor


def tiny_run(path: Path, data: Path, work_dir: Path) -> Config:
    """A config for one iteration on two images, and one prediction."""
    cfg = Config.fromfile(path)
    factor = FACTORS.get(path.stem.rsplit('_', 1)[1], 2)
    layout = Path(cfg.get('data_root', '')).name
    if layout not in LAYOUTS.values():
        layout = LAYOUTS[cfg.default_scope]
    replace_data_root(cfg, str(data / layout))
    if 'ITPN' in cfg.model.backbone.type:
        shrink_itpn(cfg, factor)
    if 'CLIP' in cfg.model.type:
        shrink_clip(cfg, work_dir)
    for key, count in (('train_dataloader', 2), ('val_dataloader', 1)):
        loader = cfg.get(key)
        if loader is None:
            continue
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


def shrink_itpn(cfg: Config, factor: int) -> None:
    """Take one block a stage, and narrow heads: widths in between stay."""
    if cfg.model.type.endswith('PixelPretrain'):
        # Whole patches: 64 pixels when divided with the rest.
        for step in cfg.train_dataloader.dataset.pipeline:
            if 'scale' in step:
                step.scale = factor * 64
    model = cfg.model
    zoo = FAST_ARCH_ZOO if 'Fast' in model.backbone.type else ARCH_ZOO
    arch = zoo[model.backbone.arch]
    model.backbone.arch = dict(
        embed_dims=arch.embed_dims, depths=(1, 1, 1),
        num_heads=arch.num_heads)
    if 'decoder' not in model and 'Pixel' in model.type:
        model.decoder = dict(depth=1)
    if 'decode_head' in model:
        model.decode_head.channels = 32
    if 'roi_head' in model:
        model.train_cfg.rpn_proposal.max_per_img = 20
        model.test_cfg.rpn.max_per_img = 20
        heads = model.roi_head.bbox_head
        for head in heads if isinstance(heads, list) else [heads]:
            head.fc_out_channels = 32


def shrink_clip(cfg: Config, work_dir: Path) -> None:
    """A teacher of one narrow layer, and 4 x 4 patches for everything."""
    model, steps = cfg.model, cfg.train_dataloader.dataset.pipeline
    patch = 16 if model.teacher_dims == 512 else 14
    model.teacher.update(
        checkpoint=str(clip_file(work_dir, patch, model.teacher_dims)),
        img_size=4 * patch)
    for step in steps:
        if step.type.endswith('TwoViewRandomResizedCrop'):
            # divided by 4 with the rest of the pipeline
            step.update(size=4 * 64, second_size=4 * patch)
        if step.type.endswith('BlockMaskGenerator'):
            step.update(
                input_size=4, num_masking_patches=6, min_num_patches=2)


def clip_file(folder: Path, patch: int, out_dims: int) -> Path:
    """The weights of a visual tower of CLIP, in the released names."""
    width = 64
    shapes = {
        'conv1.weight': (width, 3, patch, patch),
        'class_embedding': (width, ),
        'positional_embedding': (17, width),
        'proj': (width, out_dims),
        'transformer.resblocks.0.attn.in_proj_weight': (3 * width, width),
        'transformer.resblocks.0.attn.in_proj_bias': (3 * width, ),
        'transformer.resblocks.0.attn.out_proj.weight': (width, width),
        'transformer.resblocks.0.attn.out_proj.bias': (width, ),
        'transformer.resblocks.0.mlp.c_fc.weight': (4 * width, width),
        'transformer.resblocks.0.mlp.c_fc.bias': (4 * width, ),
        'transformer.resblocks.0.mlp.c_proj.weight': (width, 4 * width),
        'transformer.resblocks.0.mlp.c_proj.bias': (width, ),
    }
    for norm in ('ln_pre', 'ln_post', 'transformer.resblocks.0.ln_1',
                 'transformer.resblocks.0.ln_2'):
        shapes.update({f'{norm}.weight': (width, ), f'{norm}.bias': (width, )})
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({f'visual.{name}': torch.randn(shape)
                for name, shape in shapes.items()}, folder / 'clip.pth')
    return folder / 'clip.pth'


class Probe(Hook):
    """Notes what the training does to the model and what it predicts."""

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.losses: dict[str, torch.Tensor] = {}
        self.before: dict[str, torch.Tensor] = {}
        self.batch: Any = None
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
        # With their graph they would hold the model, which holds the hooks,
        # which hold them: a ring that Python's collector cannot see.
        self.losses = {name: value.detach()
                       for name, value in outputs.items()}
        self.batch = data_batch

    def after_val_iter(self, runner: Runner, batch_idx: int,
                       data_batch: Any = None,
                       outputs: Sequence[Any] | None = None) -> None:
        self.predictions.extend(outputs)


def check_prediction(cfg: Config, sample: Any) -> None:
    """One prediction has the form and the range that its task asks for."""
    if cfg.model.type.endswith('PixelPretrain'):
        assert sample.mask.shape == (4, 4)
        assert sample.mask.sum() == 12
        assert sample.reconstruction.shape == (3, 64, 64)
        shown = ~sample.mask.repeat_interleave(16, 0).repeat_interleave(16, 1)
        assert torch.equal(sample.reconstruction[:, shown],
                           sample.masked_input[:, shown])
        assert sample.reconstruction.isfinite().all()
    elif cfg.model.type.endswith('CLIPPretrain'):
        assert sample.feature.shape == (cfg.model.teacher_dims, 4, 4)
        assert sample.mask.sum() == 6
    elif cfg.default_scope == 'mmpretrain':
        scores = sample.pred_score
        assert scores.shape == (cfg.model.head.num_classes, )
        assert scores.sum().item() == pytest.approx(1, abs=1e-4)
    elif cfg.default_scope == 'mmdet':
        found = sample.pred_instances
        assert len(found) <= cfg.model.test_cfg.rcnn.max_per_img
        assert found.bboxes.shape == (len(found), 4)
        assert found.masks.shape == (len(found), *sample.ori_shape)
        head = cfg.model.roi_head.bbox_head
        head = head[-1] if isinstance(head, list) else head
        labels = range(head.num_classes)
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
        if p.requires_grad and not torch.equal(p, probe.before[n])
    }
    # The first learning rate of a warm-up moves large weights by less than
    # a float32 resolves: zeros, such as biases, always move.
    assert any(n.startswith('backbone.') for n in moved)
    if cfg.get('val_dataloader') is None:
        # Pre-training is not evaluated; its model predicts all the same.
        runner.model.eval()
        data = runner.model.data_preprocessor(probe.batch, False)
        probe.predictions = runner.model(**data, mode='predict')
    assert probe.predictions
    check_prediction(cfg, probe.predictions[0])
