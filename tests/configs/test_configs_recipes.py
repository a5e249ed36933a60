"""The vHeat configs carry the recipe of the original, figure by figure."""
import ast
import math
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
VHEAT = CONFIGS / 'vheat'

# Config -> arch, drop path rate.
CLS = {
    'vheat-tiny_16xb128_in1k': ('tiny', 0.1),
    'vheat-small_16xb128_in1k': ('small', 0.3),
    'vheat-base_16xb128_in1k': ('base', 0.5),
}
DET_1X = {
    'maskrcnn_vheat_tiny_1x_coco': ('tiny', 0.1),
    'maskrcnn_vheat_small_1x_coco': ('small', 0.3),
    'maskrcnn_vheat_base_1x_coco': ('base', 0.5),
}
DET_3X = {
    'maskrcnn_vheat_tiny_3x_coco': ('tiny', 0.2),
    'maskrcnn_vheat_small_3x_coco': ('small', 0.4),
    'maskrcnn_vheat_base_3x_coco': ('base', 0.5),
}
SEG = {
    'upernet_vheat_ade20k': ('tiny', 0.3),
    'upernet_vheat_small_ade20k': ('small', 0.4),
    'upernet_vheat_base_ade20k': ('base', 0.5),
}
DENSE = {**DET_1X, **DET_3X, **SEG}


def load(name: str) -> Config:
    return Config.fromfile(VHEAT / f'{name}.py')


def stock(package: str, name: str) -> Config:
    root = Path(find_spec(package).origin).parent / '.mim' / 'configs'
    return Config.fromfile(root / name)


def build(cfg: Config, **backbone: object) -> torch.nn.Module:
    """The model of a config, with batch norms that a CPU has."""
    init_default_scope(cfg.default_scope)
    model = cfg.model.copy()
    model.backbone.update(backbone)
    for head in ('decode_head', 'auxiliary_head'):
        if head in model:
            model[head].norm_cfg = dict(type='BN')
    return MODELS.build(model)


def decays(cfg: Config, model: torch.nn.Module) -> dict[str, float]:
    """The weight decay of every parameter, by name."""
    wrapper = dict(cfg.optim_wrapper, type='OptimWrapper')
    wrapper.pop('dtype', None)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    assert {g['lr'] for g in groups} == {wrapper['optimizer']['lr']}
    return {
        names[id(p)]: g['weight_decay']
        for g in groups for p in g['params']
    }


def original_name(name: str, depths: tuple[int, ...]) -> str:
    """What the original calls a parameter of the backbone."""
    name = re.sub(r'^backbone\.', '', name)
    name = re.sub(r'^norm(\d)', r'outnorm\1', name)
    name = re.sub(r'^patch_embed\.norm(\d)', r'patch_embed.norm\1.1', name)
    name = re.sub(r'op\.to_k', 'op.to_k.0', name)
    name = re.sub(r'^stages\.(\d)\.blocks', r'layers.\1', name)
    for part, index in (('conv', 0), ('norm', 1)):
        name = re.sub(
            rf'^stages\.(\d)\.downsample\.{part}',
            lambda m, i=index: f'layers.{m[1]}.{depths[int(m[1])]}.{i}', name)
    return name


def rates(cfg: Config, epoch_length: int) -> list[float]:
    """The learning rate of each iteration of a training."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))],
                                  lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(
            item.copy(),
            default_args=dict(
                optimizer=optimizer, epoch_length=epoch_length))
        for item in cfg.param_scheduler
    ]
    total = cfg.train_cfg.get('max_iters')
    total = total or cfg.train_cfg.max_epochs * epoch_length
    result = []
    for step in range(1, total + 1):
        result.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for item in schedulers:
            if not item.by_epoch or step % epoch_length == 0:
                item.step()
    return result


@pytest.mark.parametrize('name', CLS)
def test_classification_recipe(name: str) -> None:
    cfg = load(name)
    arch, drop_path = CLS[name]
    assert cfg.model.backbone == dict(
        type='mmvision_ext.VHeat', arch=arch, img_size=224,
        drop_path_rate=drop_path, out_indices=(3, ))
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.dtype) == ('AmpOptimWrapper', 'float16')
    assert wrapper.optimizer == dict(
        type='AdamW', lr=2e-3, weight_decay=0.08, eps=1e-8,
        betas=(0.9, 0.999))
    assert wrapper.clip_grad == dict(max_norm=5.0)
    assert cfg.train_cfg.max_epochs == 300
    assert cfg.auto_scale_lr.base_batch_size == 2048
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.custom_hooks == [
        dict(type='EMAHook', momentum=1e-4, priority='ABOVE_NORMAL')
    ]
    assert cfg.model.train_cfg.augments == [
        dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)
    ]
    assert cfg.model.head.loss.label_smooth_val == 0.1
    assert (cfg.randomness.seed, cfg.randomness.diff_rank_seed) == (0, True)


def test_classification_augmentation() -> None:
    cfg = load('vheat-tiny_16xb128_in1k')
    steps = {t.type: t for t in cfg.train_dataloader.dataset.pipeline}
    crop, policy = steps['RandomResizedCrop'], steps['RandAugment']
    assert (crop.scale, crop.interpolation) == (224, 'bicubic')
    assert (policy.policies, policy.magnitude_level, policy.magnitude_std,
            policy.num_policies) == ('timm_increasing', 9, 0.5, 2)
    erase = steps['RandomErasing']
    assert (erase.erase_prob, erase.mode) == (0.25, 'rand')
    steps = {t.type: t for t in cfg.val_dataloader.dataset.pipeline}
    assert steps['ResizeEdge'].scale == 256
    assert steps['ResizeEdge'].interpolation == 'bicubic'
    assert steps['CenterCrop'].crop_size == 224


@pytest.mark.parametrize('name', DENSE)
def test_dense_recipe(name: str) -> None:
    cfg = load(name)
    arch, drop_path = DENSE[name]
    assert cfg.model.backbone == dict(
        type='mmvision_ext.VHeat', arch=arch, img_size=512,
        table_load='pad', table_resize='bicubic', drop_path_rate=drop_path,
        out_indices=(0, 1, 2, 3))
    wrapper = cfg.optim_wrapper
    lr, decay = (6e-5, 0.01) if name in SEG else (1e-4, 0.05)
    assert wrapper.type == 'OptimWrapper'
    assert wrapper.optimizer == dict(
        type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=decay)
    assert wrapper.get('clip_grad') is None
    assert wrapper.get('constructor') is None
    # 8 GPUs x 2 images
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.val_dataloader.batch_size == 1


def with_our_hooks(key: str, stock_value: dict) -> dict:
    """The stock value, with what every runtime of ours adds to its hooks."""
    if key != 'default_hooks':
        return stock_value
    return {
        **stock_value, 'nonfinite': dict(type='mmvision_ext.NonFiniteHook'),
        'exact_resume': dict(type='mmvision_ext.ExactResumeHook')
    }


@pytest.mark.parametrize('name', DET_1X)
def test_1x_is_stock_swin_but_for_the_backbone(name: str) -> None:
    ours = load(name)
    theirs = stock('mmdet', 'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py')
    for key in ('param_scheduler', 'train_cfg', 'train_dataloader',
                'val_dataloader', 'val_evaluator', 'default_hooks'):
        assert ours[key] == with_our_hooks(key, theirs[key]), key
    for key in ('rpn_head', 'roi_head', 'train_cfg', 'test_cfg',
                'data_preprocessor'):
        assert ours.model[key] == theirs.model[key], key
    assert ours.model.data_preprocessor.pad_size_divisor == 32


@pytest.mark.parametrize('name', DET_3X)
def test_3x_is_stock_swin_but_for_the_backbone(name: str) -> None:
    ours = load(name)
    theirs = stock('mmdet',
                   'swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py')
    for key in ('param_scheduler', 'train_cfg', 'train_dataloader',
                'val_dataloader', 'optim_wrapper'):
        if key == 'optim_wrapper':
            assert ours[key].optimizer == theirs[key].optimizer
        else:
            assert ours[key] == theirs[key], key


@pytest.mark.parametrize('name', SEG)
def test_segmentation_is_stock_swin_but_for_the_backbone(name: str) -> None:
    ours = load(name)
    theirs = stock(
        'mmseg', 'swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_'
        'ade20k-512x512.py')
    for key in ('param_scheduler', 'train_cfg', 'train_dataloader',
                'val_dataloader', 'val_evaluator', 'default_hooks'):
        assert ours[key] == with_our_hooks(key, theirs[key]), key
    dims = [128, 256, 512, 1024] if 'base' in name else [96, 192, 384, 768]
    head, aux = ours.model.decode_head, ours.model.auxiliary_head
    assert head == {**theirs.model.decode_head, 'in_channels': dims}
    assert aux == {**theirs.model.auxiliary_head, 'in_channels': dims[2]}
    assert ours.model.data_preprocessor == theirs.model.data_preprocessor
    assert ours.model.test_cfg == dict(
        mode='slide', crop_size=(512, 512), stride=(341, 341))


@pytest.mark.parametrize('name, decayed, total', [
    ('vheat-tiny_16xb128_in1k', 82, 241),
    ('vheat-small_16xb128_in1k', 154, 505),
])
def test_classification_decay(name: str, decayed: int, total: int) -> None:
    """Tensors of one dimension, and all biases, go without decay.

    Decayed in T: 2 stem kernels, 4 tables, 6 kernels in each of 12 blocks,
    3 downsampling kernels, the head. S has 12 blocks and 48 scales more.
    """
    cfg = load(name)
    model = build(cfg)
    found = decays(cfg, model)
    assert set(found.values()) == {0.0, 0.08}
    expected = {
        n
        for n, p in model.named_parameters()
        if p.ndim > 1 and not n.endswith('.bias')
    }
    assert {n for n, decay in found.items() if decay} == expected
    assert (len(expected), len(found)) == (decayed, total)
    assert all(f'backbone.freq_embed.{i}' in expected for i in range(4))


@pytest.mark.parametrize('name, decay, depths', [
    ('maskrcnn_vheat_tiny_1x_coco', 0.05, (2, 2, 6, 2)),
    ('upernet_vheat_small_ade20k', 0.01, (2, 2, 18, 2)),
])
def test_dense_decay(name: str, decay: float,
                     depths: tuple[int, ...]) -> None:
    """Without decay is what the original named "norm", and no more."""
    cfg = load(name)
    found = decays(cfg, build(cfg))
    free = {n for n, value in found.items() if value == 0.0}
    assert set(found.values()) == {0.0, decay}
    backbone = [n for n in found if n.startswith('backbone.')]
    assert free == {n for n in backbone if 'norm' in original_name(n, depths)}
    # 2 in the stem, 3 in each block, 4 outputs; weight and bias each.
    assert len(free) == 2 * (2 + 3 * sum(depths) + 4)
    assert found['backbone.stages.0.downsample.norm.weight'] == decay
    assert found['backbone.freq_embed.0'] == decay


def test_head_and_mlp_start_as_in_the_original() -> None:
    """The head's rule must not reach the linear layers of the backbone."""
    torch.manual_seed(0)
    model = build(load('vheat-tiny_16xb128_in1k'))
    model.init_weights()
    head = model.head.fc
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert head.bias.abs().max() == 0
    block = model.backbone.stages[0].blocks[0]
    # uniform in +-1/sqrt(96), the default of a 1x1 convolution
    assert block.mlp.fc1.weight.std().item() == pytest.approx(
        1 / math.sqrt(3 * 96), rel=0.02)
    assert block.mlp.fc1.bias.abs().max() > 0
    assert block.op.linear.weight.std().item() == pytest.approx(
        0.02, rel=0.05)
    assert block.op.linear.bias.abs().max() == 0


def header_options(name: str, checkpoint: str) -> dict[str, str]:
    """The options that a header gives for starting from a classifier."""
    text = ast.get_docstring(
        ast.parse((VHEAT / f'{name}.py').read_text())) or ''
    pairs = re.findall(r'(model\.backbone\.init_cfg\.\w+)=([\w.]+)', text)
    return {k: checkpoint if v.startswith('FILE') else v for k, v in pairs}


def test_dense_model_starts_from_a_classifier(tmp_path: Path) -> None:
    """The header's options load a classifier; its tables are padded."""
    torch.manual_seed(0)
    source = build(load('vheat-tiny_16xb128_in1k')).state_dict()
    torch.save(dict(state_dict=source), tmp_path / 'tiny.pth')
    name = 'upernet_vheat_ade20k'
    cfg = load(name)
    cfg.merge_from_dict(header_options(name, str(tmp_path / 'tiny.pth')))
    model = build(cfg)
    model.init_weights()

    for key, value in model.backbone.state_dict().items():
        # The classifier has the last of the four output norms only.
        if key.startswith(('norm0.', 'norm1.', 'norm2.')):
            assert f'backbone.{key}' not in source
            continue
        loaded = source[f'backbone.{key}']
        if key.startswith('freq_embed.'):
            side = loaded.shape[0]
            assert value.shape[0] == side * 16 // 7
            torch.testing.assert_close(value[:side, :side], loaded)
            assert value[side:].abs().max() == 0
            assert value[:, side:].abs().max() == 0
        else:
            torch.testing.assert_close(value, loaded, rtol=0, atol=0)


@pytest.mark.parametrize('name', DENSE)
def test_every_dense_header_gives_the_same_options(name: str) -> None:
    assert header_options(name, 'x.pth') == {
        'model.backbone.init_cfg.type': 'Pretrained',
        'model.backbone.init_cfg.prefix': 'backbone.',
        'model.backbone.init_cfg.checkpoint': 'x.pth'
    }


def test_classification_rates() -> None:
    """20 epochs linear from 2e-6 to 2e-3, 280 cosine to 2e-5, by step."""
    epoch = 10
    found = rates(load('vheat-tiny_16xb128_in1k'), epoch)
    warm, total = 20 * epoch, 300 * epoch
    assert found[0] == pytest.approx(2e-6)
    assert found[warm - 1] == pytest.approx(2e-3)
    for step in (1, 77, 150):
        assert found[step] == pytest.approx(
            2e-6 + (2e-3 - 2e-6) * step / (warm - 1))
    for step in (warm, warm + 1, 160 * epoch, total - 1):
        cosine = math.cos(math.pi * (step - warm) / (total - warm))
        assert found[step] == pytest.approx(
            2e-5 + (2e-3 - 2e-5) * (1 + cosine) / 2, rel=1e-4)
    assert found[-1] == pytest.approx(2e-5, rel=1e-3)


@pytest.mark.parametrize('name, milestones, epochs', [
    ('maskrcnn_vheat_tiny_1x_coco', (8, 11), 12),
    ('maskrcnn_vheat_tiny_3x_coco', (27, 33), 36),
])
def test_detection_rates(name: str, milestones: tuple[int, int],
                         epochs: int) -> None:
    """1000 iterations linear from 1e-7 to 1e-4, then steps of 0.1."""
    epoch = 600
    found = rates(load(name), epoch)
    assert len(found) == epochs * epoch
    assert found[0] == pytest.approx(1e-7)
    assert found[500] == pytest.approx(1e-4 * (0.001 + 0.999 * 500 / 999))
    assert found[999] == pytest.approx(1e-4)
    first, second = (m * epoch for m in milestones)
    assert found[first - 1] == pytest.approx(1e-4)
    assert found[first] == pytest.approx(1e-5)
    assert found[second - 1] == pytest.approx(1e-5)
    assert found[second] == pytest.approx(1e-6)
    assert found[-1] == pytest.approx(1e-6)


def test_segmentation_rates() -> None:
    """1500 iterations linear from 6e-11 to 6e-5, then linear to 0."""
    found = rates(load('upernet_vheat_ade20k'), 1)
    assert len(found) == 160000
    assert found[0] == pytest.approx(6e-11)
    assert found[750] == pytest.approx(6e-5 * 750 / 1499, rel=1e-3)
    assert found[1499] == pytest.approx(6e-5)
    for step in (1500, 40000, 80750, 159000):
        assert found[step] == pytest.approx(
            6e-5 * (160000 - step) / 158500, rel=2e-3)
    assert found[-1] == pytest.approx(0, abs=1e-9)
