"""Mask R-CNN with iTPN-nano and its pyramid on cell nuclei, for a CPU.

Meant for comparing starting points with a short training. Data and heads are
those of the vHeat config, images have 256 pixels.

Command:  python tools/train.py configs/itpn/maskrcnn_itpn_nano_nuclei.py
          --data-root DIR
          (from scratch)
Metric:   box AP50 and mask AP50 (no published figure)
Source:   recipe of our own
Hardware: 1 CPU core, no GPU
Status:   measured here: box AP50 .380, mask AP50 .426 from scratch, .460 and
          .491 after pixel pre-training, .484 and .514 after pixel and MFM,
          means of three seeds (docs/results.md)
Weights:  backbone and pyramid from a checkpoint of
          itpn-nano_pretrain_pixel.py, with
          --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
          (the backbone alone: model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE; from scratch the first
          blocks learn better at the whole rate:
          optim_wrapper.paramwise_cfg.layer_decay_rate=1.0)
"""
_base_ = '../vheat/maskrcnn_vheat_nano_nuclei.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.ITPN',
        arch='nano',
        img_size=256,
        pos_init='sincos',
        drop_path_rate=0.05),
    neck=dict(
        _delete_=True,
        type='mmvision_ext.ITPNPyramid',
        in_channels=[48, 96, 192],
        out_channels=64,
        depth=1,
        num_outs=5))

scale = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomChoiceResize',
        scales=[(224, 224), (256, 256), (288, 288)],
        keep_ratio=True),
    dict(
        type='RandomFlip', prob=[0.25, 0.25],
        direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs')
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=scale)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(
    constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.8,
        custom_keys={'absolute_pos_embed': dict(decay_mult=0.0)}))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=0,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=2)
default_hooks = dict(checkpoint=dict(interval=max_epochs))
