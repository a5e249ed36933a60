"""iTPN-nano with its pyramid, pre-trained on a folder of images, for a CPU.

Any folder: it is searched for .jpg, .jpeg, .png, .ppm, .bmp, .pgm and .tif
files in all its subfolders, and needs no labels. Keep label images out of it.
To use several, fill one with links; linked twice, a folder's images are drawn
twice as often:
    mkdir images && ln -s /path/cifar10/train images/cifar10
    ln -s /path/nuclei/train2017 images/nuclei

Command:  python tools/train.py configs/itpn/itpn-nano_pretrain_pixel.py
          --data-root DIR
          writes iter_1500.pth, from which itpn-nano_cifar10.py,
          maskrcnn_itpn_nano_nuclei.py and upernet_itpn_nano_camvid.py start
          as their headers say
Metric:   loss_pixel (no published figure)
Source:   recipe of our own
Hardware: 1 CPU core, no GPU
Status:   measured here: loss_pixel .52 after 1500 iterations on CIFAR-10,
          nuclei and CamVid; what it brings is in docs/results.md
"""
_base_ = '../_base_/default_runtime_cls.py'
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

img_size = 128
model = dict(
    type='mmvision_ext.ITPNPixelPretrain',
    backbone=dict(type='mmvision_ext.ITPN', arch='nano', img_size=img_size),
    neck=dict(
        type='mmvision_ext.ITPNPyramid',
        in_channels=[48, 96, 192],
        out_channels=64,
        depth=1,
        num_outs=3),
    decoder=dict(embed_dims=128, depth=2, num_heads=4),
    mask_ratio=0.75)

data_root = 'data/images'
data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=img_size,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs')
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        with_label=False,
        pipeline=train_pipeline))

max_iters = 1500
train_cfg = dict(by_epoch=False, max_iters=max_iters)
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW',
        lr=1e-3,
        betas=(0.9, 0.95),
        weight_decay=0.05,
        fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=False,
        begin=100,
        end=max_iters)
]
auto_scale_lr = dict(base_batch_size=32)
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters))
randomness = dict(seed=0)
