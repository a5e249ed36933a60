"""Mask R-CNN with vHeat-nano on generated scenes of six shapes, for a CPU.

Command:  bash tools/quickstart.sh
Metric:   box AP50 and mask AP50 (no published figure)
Source:   recipe of our own, sized for two minutes
Hardware: 2 CPU cores, no GPU
Status:   not run
"""
_base_ = '../vheat/maskrcnn_vheat_nano_nuclei.py'
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
model = dict(
    backbone=dict(img_size=192),
    roi_head=dict(
        bbox_head=dict(num_classes=len(classes)),
        mask_head=dict(num_classes=len(classes))),
    # Few objects, so few proposals and samples are enough.
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
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(
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
