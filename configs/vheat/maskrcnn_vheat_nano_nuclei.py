"""Mask R-CNN with vHeat-nano on cell nuclei (two classes), for a CPU.

The data has the COCO layout: `annotations/`, `train2017/`, `val2017/`. Images
of 256 to 360 pixels, objects of 5 to 70.

Command:  bash tools/dist_train.sh
          configs/vheat/maskrcnn_vheat_nano_nuclei.py 2 --data-root DIR
Metric:   box AP50 and mask AP50 (no published figure)
Source:   recipe of our own
Hardware: 2 CPU cores, no GPU, 2 processes x 2 images
Status:   measured here: box AP50 .727, mask AP50 .740 (docs/results.md)
"""
_base_ = [
    '../_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/schedule_1x.py', '../_base_/default_runtime_det.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

num_classes = 2
width = 64
# Smaller anchors, narrower heads and fewer samples than for COCO.
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.VHeat',
        arch='nano',
        img_size=384,
        out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[24, 48, 96, 192], out_channels=width),
    rpn_head=dict(
        in_channels=width,
        feat_channels=width,
        anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width),
        bbox_head=dict(
            in_channels=width, fc_out_channels=256, num_classes=num_classes),
        mask_roi_extractor=dict(out_channels=width),
        mask_head=dict(
            num_convs=2,
            in_channels=width,
            conv_out_channels=width,
            num_classes=num_classes)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(max_per_img=300)))

data_root = 'data/nuclei/'
metainfo = dict(
    classes=('nucleus_fluorescence', 'nucleus_stained'),
    palette=[(66, 135, 245), (219, 68, 125)])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomChoiceResize',
        scales=[(320, 320), (384, 384), (448, 448)],
        keep_ratio=True),
    dict(
        type='RandomFlip', prob=[0.25, 0.25],
        direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(384, 384), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

max_epochs = 18
train_cfg = dict(max_epochs=max_epochs, val_interval=6)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type='AdamW',
        lr=1e-3,
        betas=(0.9, 0.999),
        weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))
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
auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=6, max_keep_ckpts=1))
randomness = dict(seed=0)
