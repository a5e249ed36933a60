"""vHeat-nano classifier on small photographs (CIFAR-10), for a CPU.

The data is a folder a class, `train/<class>/*` and `val/<class>/*`. Images of
32 pixels are enlarged to 48 in the first two thirds of the training and to 64
then, so that the four stages see maps of 16, 8, 4 and 2.

Command:  bash tools/dist_train.sh configs/vheat/vheat-nano_cifar10.py 2
          --data-root DIR
Metric:   top-1 (no published figure)
Source:   recipe of our own
Hardware: 2 CPU cores, no GPU, 2 processes x 32 images
Status:   measured here: top-1 68.6 (docs/results.md)
"""
_base_ = '../_base_/default_runtime_cls.py'
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

img_size = 64
data_root = 'data/cifar10'
data_preprocessor = dict(
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],
    std=[63.0, 62.1, 66.7],
    to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvision_ext.VHeat',
        arch='nano',
        img_size=img_size,
        table_resize='aligned',
        out_indices=(3, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=192,
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        cal_acc=False))

# The first part is trained on smaller images, at about two thirds of the cost.
first_img_size = 48
# The crop is torchvision's: mmpretrain's pads with black, whatever its
# padding_mode.
augmentations = [
    dict(type='LoadImageFromFile'),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='torchvision/RandomCrop',
        size=32,
        padding=4,
        padding_mode='reflect'),
    dict(type='torchvision/RandomHorizontalFlip'),
    dict(type='torchvision/RandAugment', num_ops=1, magnitude=9),
    dict(type='PILToNumpy', to_bgr=True),
    dict(
        type='RandomErasing',
        erase_prob=1.0,
        min_area_ratio=0.04,
        max_area_ratio=0.0625,
        aspect_range=(0.5, 2.0),
        fill_color=[125, 123, 114])
]
train_pipeline = [
    *augmentations,
    dict(type='Resize', scale=first_img_size),
    dict(type='PackInputs')
]
last_train_pipeline = [
    *augmentations,
    dict(type='Resize', scale=img_size),
    dict(type='PackInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=img_size),
    dict(type='PackInputs')
]
# Two processes fill two cores; workers beside them would only cost more.
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

max_epochs = 42
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW',
        lr=3e-3,
        betas=(0.9, 0.999),
        weight_decay=0.1,
        fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-2,
        by_epoch=True,
        begin=0,
        end=4,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=4,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=21, max_keep_ckpts=1))
custom_hooks = [
    dict(
        type='SwitchRecipeHook',
        schedule=[
            dict(
                action_epoch=28,
                train_pipeline=last_train_pipeline)
        ])
]
randomness = dict(seed=0, diff_rank_seed=True)
