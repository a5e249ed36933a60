"""iTPN-B with its pyramid, pre-trained on pixels, ImageNet-1k, 400 epochs.

Three quarters of the patches are hidden; labels are not read. As released,
without masked feature modelling: for that see itpn-pixel-mfm_base_*.py.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-pixel_base_64xb64-amp-400e_in1k.py 8
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 85.1 % after fine-tuning (reported by paper), see
          itpn-pixel_base_32xb32-ft-100e_in1k.py
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 64 GPUs x 64 images = 4096, fp16
Status:   not run
"""
_base_ = '../_base_/default_runtime_cls.py'
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

model = dict(
    type='mmvision_ext.ITPNPixelPretrain',
    backbone=dict(type='mmvision_ext.ITPN', arch='base'),
    neck=dict(
        type='mmvision_ext.ITPNPyramid',
        in_channels=[128, 256, 512],
        out_channels=256,
        depth=2,
        num_outs=3),
    mask_ratio=0.75)

data_root = 'data/imagenet'
data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs')
]
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        with_label=False,
        pipeline=train_pipeline))

# Norms, biases and every other 1-D tensor go without decay; the position
# embedding and the mask token are decayed, as released.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    loss_scale='dynamic',
    optimizer=dict(
        type='AdamW',
        lr=1.5e-4 * 4096 / 256,
        betas=(0.9, 0.95),
        weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0))
max_epochs = 400
train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=40,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=4096)
default_hooks = dict(checkpoint=dict(interval=20, max_keep_ckpts=3))
randomness = dict(seed=0, diff_rank_seed=True)
