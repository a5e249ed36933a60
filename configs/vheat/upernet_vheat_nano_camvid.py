"""UPerNet with vHeat-nano on street scenes (CamVid, 11 classes), for a CPU.

The data has the ADE20K layout, `images/{training,validation}` and
`annotations_contig/{training,validation}`, with labels 1 to 11 and 0 for
pixels that do not count. Images are 480x360.

Command:  bash tools/dist_train.sh
          configs/vheat/upernet_vheat_nano_camvid.py 2 --data-root DIR
Metric:   mIoU over 11 classes (no published figure)
Source:   recipe of our own
Hardware: 2 CPU cores, no GPU, 2 processes x 2 images
Status:   measured here: mIoU 49.4 (docs/results.md)
"""
_base_ = [
    '../_base_/models/upernet_r50.py', '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/default_runtime_seg.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

num_classes = 11
width = 32
# Batches of 4 leave 4 values a channel in the coarsest pooling of the head:
# too few for batch norm.
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
# 1 / log(1.1 + share of the pixels), with a mean of 1.
class_weight = [
    0.58, 0.48, 1.34, 0.39, 1.03, 0.77, 1.32, 1.33, 0.94, 1.39, 1.43
]
crop_size = (256, 256)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.VHeat',
        arch='nano',
        img_size=256,
        out_indices=(0, 1, 2, 3)),
    decode_head=dict(
        in_channels=[24, 48, 96, 192],
        channels=width,
        num_classes=num_classes,
        norm_cfg=norm_cfg,
        loss_decode=dict(class_weight=class_weight)),
    # It would take a sixth of the time.
    auxiliary_head=None)

# The stock ADE20K type knows 150 names; these images have 11 of their own.
dataset_type = 'BaseSegDataset'
data_root = 'data/camvid_ade'
metainfo = dict(
    classes=('sky', 'building', 'pole', 'road', 'pavement', 'tree',
             'signsymbol', 'fence', 'car', 'pedestrian', 'bicyclist'),
    palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128],
             [60, 40, 222], [128, 128, 0], [192, 128, 128], [64, 64, 128],
             [64, 0, 128], [64, 64, 0], [0, 128, 192]])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(
        type='RandomResize',
        scale=(480, 360),
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(480, 360), keep_ratio=True),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(seg_map_path='annotations_contig/training'),
        metainfo=metainfo,
        reduce_zero_label=True,
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(seg_map_path='annotations_contig/validation'),
        metainfo=metainfo,
        reduce_zero_label=True,
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 3600
train_cfg = dict(max_iters=max_iters, val_interval=1200)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=1.0,
        begin=100,
        end=max_iters,
        by_epoch=False)
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(interval=1200, max_keep_ckpts=1))
randomness = dict(seed=0)
