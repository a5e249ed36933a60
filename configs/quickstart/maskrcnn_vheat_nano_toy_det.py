"""Mask R-CNN with vHeat-nano on generated scenes of six shapes, for a CPU.

Command:  bash tools/quickstart.sh
Metric:   box AP50 and mask AP50 (no published figure)
Source:   recipe of our own, sized for two minutes
Hardware: 2 CPU cores, no GPU
Status:   measured here: box AP50 .977, mask AP50 .985, in 1:52 minutes,
          on 400 + 60 images (torch 2.11.0, onedl stack, seed 0)
"""
_base_ = [
    '../_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/schedule_1x.py', '../_base_/default_runtime_det.py'
]
custom_imports = dict(
    imports=['mmvision_ext', 'mmvision_ext.quickstart'],
    allow_failed_imports=False)

# The names of COCO that the generator gives its shapes: cross, bar, disk,
# star, triangle, square. They have to stand in the order of COCO's ids:
# mmdet numbers the classes so, whatever the order here.
classes = ('airplane', 'skis', 'sports ball', 'kite', 'pizza', 'tv')
metainfo = dict(
    classes=classes,
    palette=[(50, 178, 178), (226, 126, 48), (229, 80, 88), (219, 86, 205),
             (214, 180, 40), (72, 118, 240)])
data_root = 'data/toy/coco/'
scale = (192, 192)
width = 64
# Narrow heads and few proposals: there are few objects in an image.
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.VHeat',
        arch='nano',
        img_size=192,
        out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[24, 48, 96, 192], out_channels=width),
    rpn_head=dict(
        in_channels=width,
        feat_channels=width,
        anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width),
        bbox_head=dict(
            in_channels=width,
            fc_out_channels=256,
            num_classes=len(classes)),
        mask_roi_extractor=dict(out_channels=width),
        mask_head=dict(
            num_convs=2,
            in_channels=width,
            conv_out_channels=width,
            num_classes=len(classes))),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=300, max_per_img=100),
        rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
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

max_iters = 300
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type='AdamW',
        lr=1e-3,
        betas=(0.9, 0.999),
        weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, end=20),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=False,
        begin=20,
        end=max_iters)
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
log_processor = dict(by_epoch=False, window_size=10)
default_hooks = dict(
    logger=dict(interval=5, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters))
custom_hooks = [dict(type='mmvision_ext.InitialValHook')]
randomness = dict(seed=0)
