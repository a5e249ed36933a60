"""Both models in mmpretrain's runner, on pictures in a folder."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from mmvision_ext.compat.checkpoint import safe_load

ARCH = dict(embed_dims=32, depths=(1, 1, 4), num_heads=2)
NECK = dict(
    type='mmvision_ext.ITPNPyramid', in_channels=(8, 16, 32), out_channels=16)


@pytest.fixture
def folder(tmp_path):
    state = np.random.RandomState(0)
    for i in range(8):
        path = tmp_path / 'images' / 'all' / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(state.randint(0, 256, (70, 80, 3),
                                      np.uint8)).save(path)
    return tmp_path


def config(folder, model, views, max_iters, hooks=(), accumulative_counts=1,
           **kwargs):
    return Config(
        dict(
            default_scope='mmpretrain',
            custom_imports=dict(
                imports=['mmvision_ext'], allow_failed_imports=False),
            model=model,
            work_dir=str(folder / 'work'),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                dataset=dict(
                    type='CustomDataset',
                    data_root=str(folder / 'images'),
                    with_label=False,
                    pipeline=[
                        dict(type='LoadImageFromFile'), *views,
                        dict(type='PackInputs')
                    ])),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=1e-3),
                accumulative_counts=accumulative_counts),
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', interval=2, by_epoch=False),
                logger=dict(type='LoggerHook', interval=1)),
            custom_hooks=list(hooks),
            randomness=dict(seed=0),
            log_level='WARNING',
            **kwargs))


def pixel_config(folder, max_iters, mfm=None, **kwargs):
    return config(
        folder,
        dict(
            type='mmvision_ext.ITPNPixelPretrain',
            backbone=dict(type='mmvision_ext.ITPN', arch=ARCH, img_size=64),
            neck=NECK,
            decoder=dict(embed_dims=32, depth=1, num_heads=2),
            mfm=mfm,
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor',
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                to_rgb=True)),
        [
            dict(
                type='RandomResizedCrop',
                scale=64,
                crop_ratio_range=(0.2, 1.0),
                backend='pillow',
                interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5)
        ], max_iters, **kwargs)


def train(cfg, name):
    # a runner keeps its name for the life of the process
    runner = Runner.from_cfg(Config(dict(cfg, experiment_name=name)))
    runner.train()
    return runner


class Watch(Hook):
    """Notes student and teacher before the first and after every step."""

    def __init__(self):
        self.student, self.teacher, self.first = [], [], None

    def before_train(self, runner):
        teacher = runner.model.momentum_teacher.network
        self.first = copy.deepcopy(
            (runner.iter, runner.model.backbone.blocks[0].mlp.fc1.weight,
             teacher.blocks[0].mlp.fc1.weight))

    def after_train_iter(self, runner, *_, **__):
        for values, network in ((self.student, runner.model.backbone),
                                (self.teacher,
                                 runner.model.momentum_teacher.network)):
            values.append(
                network.blocks[0].mlp.fc1.weight.detach().clone())


@pytest.mark.smoke
def test_pixel_with_mfm_and_resume(folder):
    hooks = [dict(type='mmvision_ext.MomentumTeacherHook')]
    cfg = pixel_config(
        folder, 4, mfm=dict(momentum=0.5), hooks=hooks,
        accumulative_counts=2)
    runner = Runner.from_cfg(Config(dict(cfg, experiment_name='mfm_a')))
    watch = Watch()
    runner.register_hook(watch, priority='LOWEST')
    runner.train()
    _, student, teacher = watch.first
    assert torch.equal(student, teacher)
    # Two iterations a step: the teacher moves with the second and fourth.
    assert torch.equal(watch.student[0], student)
    assert torch.equal(watch.teacher[0], teacher)
    assert not torch.equal(watch.student[1], student)
    # momentum at 1/4 of the training: 1 - 0.5 * (1 + cos(pi / 4)) / 2
    momentum = 1 - 0.25 * (1 + 0.5**0.5)
    assert torch.allclose(
        watch.teacher[1],
        momentum * teacher + (1 - momentum) * watch.student[1],
        atol=1e-7)
    assert torch.equal(watch.teacher[2], watch.teacher[1])
    saved = safe_load(folder / 'work' / 'iter_4.pth')['state_dict']
    key = 'blocks.0.mlp.fc1.weight'
    assert torch.equal(saved[f'mfm.teacher.network.{key}'], watch.teacher[3])
    assert torch.equal(saved[f'backbone.{key}'], watch.student[3])

    # resumed halfway, it starts with the teacher of that moment
    resumed = Runner.from_cfg(
        Config(
            dict(
                cfg,
                experiment_name='mfm_b',
                resume=True,
                load_from=str(folder / 'work' / 'iter_2.pth'))))
    after = Watch()
    resumed.register_hook(after, priority='LOWEST')
    resumed.train()
    assert after.first[0] == 2
    assert torch.equal(after.first[1], watch.student[1])
    assert torch.equal(after.first[2], watch.teacher[1])
    assert len(after.teacher) == 2


def test_hook_without_a_teacher_is_an_error(folder):
    cfg = pixel_config(
        folder, 1, hooks=[dict(type='mmvision_ext.MomentumTeacherHook')])
    with pytest.raises(ValueError, match='has no momentum teacher'):
        train(cfg, 'no_teacher')


@pytest.mark.smoke
def test_clip_with_a_cached_teacher(folder):
    from mmpretrain.models.utils.clip_generator_helper import VisionTransformer
    tower = VisionTransformer(16, 4, 64, layers=1, heads=1, output_dim=5)
    torch.save(tower.state_dict(), folder / 'clip.pt')
    cfg = config(
        folder,
        dict(
            type='mmvision_ext.ITPNCLIPPretrain',
            backbone=dict(
                type='mmvision_ext.ITPN',
                arch=ARCH,
                img_size=64,
                rpe='table',
                layer_scale=0.1,
                drop_path_rate=0.1),
            neck=NECK,
            teacher=dict(
                type='mmvision_ext.CLIPTeacher',
                checkpoint=str(folder / 'clip.pt'),
                img_size=16,
                cache_dir=str(folder / 'cache')),
            teacher_dims=5,
            mfm=dict(teacher='clip'),
            data_preprocessor=dict(
                type='TwoNormDataPreprocessor',
                mean=[127.5] * 3,
                std=[127.5] * 3,
                second_mean=[0.] * 3,
                second_std=[255.] * 3,
                to_rgb=True)), [
                    dict(
                        type='mmvision_ext.TwoViewRandomResizedCrop',
                        size=64,
                        second_size=16,
                        num_crops=1),
                    dict(
                        type='mmvision_ext.BlockMaskGenerator',
                        input_size=4,
                        num_masking_patches=6,
                        min_num_patches=2),
                ],
        max_iters=4)
    runner = train(cfg, 'clip')
    model = runner.model
    # two epochs of eight images, and one crop of each
    entries = [path for path in (folder / 'cache').rglob('*.feature')]
    assert len(entries) == 8
    assert not any('teacher' in name for name in model.state_dict())
    logged = runner.message_hub.log_scalars
    names = {name for name in logged if 'loss' in name}
    assert names == {
        f'train/{name}'
        for name in ('loss', 'loss_main', 'loss_aux', 'loss_mfm_s4',
                     'loss_mfm_s8', 'loss_mfm_s16')
    }
    assert all(np.isfinite(logged[name].current()) for name in names)
