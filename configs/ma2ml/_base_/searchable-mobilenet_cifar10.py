"""Small searchable mobile network on CIFAR-10: what cifar10.py changes.

The default pipeline that the found one is compared with. The data is a
folder a class, `train/<class>/*` and `val/<class>/*`, images of 32 pixels.

Command:  python tools/train.py
          configs/ma2ml/_base_/searchable-mobilenet_cifar10.py
          --data-root DIR
Metric:   top-1 (no published figure)
Source:   recipe of our own
Hardware: 1 CPU core, no GPU
Status:   measured here: top-1 60.8 after 12 of the 24 epochs, mean of three
          seeds (docs/results.md)
"""
_base_ = '../../_base_/default_runtime_cls.py'
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

data_root = 'data/cifar10'
data_preprocessor = dict(
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],
    std=[63.0, 62.1, 66.7],
    to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvision_ext.SearchableMobileNet',
        # Maps of 16, 16, 8 and 4.
        arch=dict(
            stem=12,
            widths=[16, 24, 48, 96],
            depths=[1, 2, 2, 1],
            kernels=[3, 3, 3, 3],
            expansions=[2, 3, 3, 3],
            se=[False, False, False, False],
            strides=[2, 1, 2, 2],
            stem_stride=1,
            head_expansion=3),
        channels_last=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=288,
        loss=dict(type='CrossEntropyLoss'),
        cal_acc=False))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='torchvision/RandomCrop',
        size=32,
        padding=4,
        padding_mode='reflect'),
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs')
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

max_epochs = 24
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-2,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=2,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=24, max_keep_ckpts=1))
randomness = dict(seed=0)
