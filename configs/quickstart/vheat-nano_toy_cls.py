"""vHeat-nano classifier on generated images of six shapes, for a CPU.

Command:  bash tools/quickstart.sh
Metric:   top-1 (no published figure)
Source:   recipe of our own, sized for half a minute
Hardware: 2 CPU cores, no GPU
Status:   measured here: top-1 100.0, in 0:19 minutes,
          on 400 + 60 images (torch 2.11.0, onedl stack, seed 0)
"""
_base_ = '../_base_/default_runtime_cls.py'
custom_imports = dict(
    imports=['mmvision_ext', 'mmvision_ext.quickstart'],
    allow_failed_imports=False)

# The ImageNet folders that the generator uses, by the shape they hold.
classes = ('disk', 'square', 'triangle', 'star', 'cross', 'bar')
img_size = 64
data_root = 'data/toy/imagenet'
data_preprocessor = dict(
    num_classes=len(classes),
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvision_ext.VHeat',
        arch='nano',
        img_size=img_size,
        out_indices=(3, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=len(classes),
        in_channels=192,
        loss=dict(type='CrossEntropyLoss')))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop', scale=img_size, crop_ratio_range=(0.5, 1)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(img_size, img_size)),
    dict(type='PackInputs')
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        metainfo=dict(classes=classes),
        pipeline=train_pipeline),
    sampler=dict(type='InfiniteSampler', shuffle=True))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        metainfo=dict(classes=classes),
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

max_iters = 150
train_cfg = dict(
    by_epoch=False, max_iters=max_iters, val_interval=max_iters)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, end=20),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=False,
        begin=20,
        end=max_iters)
]
log_processor = dict(by_epoch=False, window_size=10)
default_hooks = dict(
    logger=dict(interval=5, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters))
auto_scale_lr = dict(base_batch_size=32)
custom_hooks = [dict(type='mmvision_ext.InitialValHook')]
randomness = dict(seed=0)
