"""vHeat-nano classifier on generated images of six shapes, for a CPU.

Command:  bash tools/quickstart.sh
Metric:   top-1 (no published figure)
Source:   recipe of our own, sized for a minute
Hardware: 2 CPU cores, no GPU
Status:   not run
"""
_base_ = '../vheat/vheat-nano_cifar10.py'
custom_imports = dict(
    imports=['mmvision_ext', 'mmvision_ext.quickstart'],
    allow_failed_imports=False)

# The ImageNet folders that the generator uses, by the shape they hold.
classes = ('disk', 'square', 'triangle', 'star', 'cross', 'bar')
img_size = 64
data_root = 'data/toy/imagenet'
data_preprocessor = dict(num_classes=len(classes))
model = dict(
    backbone=dict(img_size=img_size), head=dict(num_classes=len(classes)))

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
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        pipeline=train_pipeline),
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 150
train_cfg = dict(
    _delete_=True, by_epoch=False, max_iters=max_iters, val_interval=max_iters)
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
custom_hooks = [dict(type='mmvision_ext.InitialValHook')]
