"""UPerNet with iTPN-nano and its pyramid on street scenes, for a CPU.

Meant for comparing starting points with a short training. Data, classes and
head are those of the vHeat config, crops have 192 pixels.

Command:  python tools/train.py configs/itpn/upernet_itpn_nano_camvid.py
          --data-root DIR
          (from scratch)
Metric:   mIoU over 11 classes (no published figure)
Source:   recipe of our own
Hardware: 1 CPU core, no GPU
Status:   measured here: mIoU 18.3 from scratch, 18.5 after pixel
          pre-training, 18.9 after pixel and MFM, means of three seeds
          (docs/results.md): too short a training to tell starts apart
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
_base_ = '../vheat/upernet_vheat_nano_camvid.py'

crop_size = (192, 192)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.ITPN',
        arch='nano',
        img_size=192,
        pos_init='sincos',
        drop_path_rate=0.05),
    neck=dict(
        type='mmvision_ext.ITPNPyramid',
        in_channels=[48, 96, 192],
        out_channels=64,
        depth=1,
        num_outs=4,
        pool='max',
        concat=True),
    decode_head=dict(in_channels=[112, 160, 256, 256]))

train_pipeline = _base_.train_pipeline
train_pipeline[3].update(crop_size=crop_size)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

max_iters = 450
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.8,
        custom_keys={'absolute_pos_embed': dict(decay_mult=0.0)}))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=1.0,
        begin=30,
        end=max_iters,
        by_epoch=False)
]
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=max_iters))
