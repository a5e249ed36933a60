"""iTPN-nano classifier on small photographs (CIFAR-10), for a CPU.

Meant for comparing starting points with a short training. The data is a
folder a class, `train/<class>/*` and `val/<class>/*`; images of 32 pixels are
enlarged to 64, so that the last stage sees 4 x 4 tokens.

Command:  python tools/train.py configs/itpn/itpn-nano_cifar10.py
          --data-root DIR
          (from scratch)
Metric:   top-1 (no published figure)
Source:   recipe of our own
Hardware: 1 CPU core, no GPU
Status:   measured here: top-1 40.8 from scratch, 44.8 after pixel
          pre-training, 48.7 after pixel and MFM, means of three seeds
          (docs/results.md)
Weights:  from pre-training, that is from a checkpoint of
          itpn-nano_pretrain_pixel.py, with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE
          (from scratch the first blocks learn better at the whole rate:
          optim_wrapper.paramwise_cfg.layer_decay_rate=1.0)
"""
_base_ = '../_base_/default_runtime_cls.py'
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

img_size = 64
data_root = 'data/cifar10'
# As in pre-training.
data_preprocessor = dict(
    num_classes=10,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvision_ext.ITPN',
        arch='nano',
        img_size=img_size,
        pos_init='sincos',
        rpe='table',
        drop_path_rate=0.05,
        out_type='avg_featmap'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=192,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        cal_acc=False))

# Little augmentation: there is time for a few epochs.
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
    dict(type='Resize', scale=img_size),
    dict(type='PackInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=img_size),
    dict(type='PackInputs')
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

max_epochs = 6
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.8,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0)
        }),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=0,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=max_epochs))
randomness = dict(seed=0)
