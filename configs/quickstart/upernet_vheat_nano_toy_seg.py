"""UPerNet with vHeat-nano on generated scenes, six shapes and four grounds.

Command:  bash tools/quickstart.sh
Metric:   mIoU over ten classes (no published figure)
Source:   recipe of our own, sized for a minute and a half
Hardware: 2 CPU cores, no GPU
Status:   not run
"""
_base_ = '../vheat/upernet_vheat_nano_camvid.py'
custom_imports = dict(
    imports=['mmvision_ext', 'mmvision_ext.quickstart'],
    allow_failed_imports=False)

# The names of ADE20K that the generator uses: four grounds, then disk,
# square, triangle, star, cross, bar. The other 140 classes count as ignored.
classes = ('wall', 'sky', 'floor', 'grass', 'ball', 'painting', 'tent',
           'flag', 'airplane', 'bench')
metainfo = dict(
    classes=classes,
    palette=[(168, 152, 132), (150, 190, 225), (120, 88, 62), (94, 156, 72),
             (229, 80, 88), (72, 118, 240), (214, 180, 40), (219, 86, 205),
             (50, 178, 178), (226, 126, 48)])
dataset_type = 'ADE20KDataset'
data_root = 'data/toy/ade20k'
crop_size = (128, 128)
class_weight = [1.0] * 4 + [4.0] * 6
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(img_size=128),
    # The shapes cover a tenth of the pixels; weighted they are learnt in time.
    decode_head=dict(
        num_classes=len(classes),
        loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(
        num_classes=len(classes),
        loss_decode=dict(class_weight=class_weight)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(seg_map_path='annotations/training'),
        metainfo=metainfo,
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(seg_map_path='annotations/validation'),
        metainfo=metainfo,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 250
optim_wrapper = dict(optimizer=dict(lr=3e-3))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, end=20),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=1.0,
        by_epoch=False,
        begin=20,
        end=max_iters)
]
log_processor = dict(window_size=10)
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(interval=max_iters))
custom_hooks = [dict(type='mmvision_ext.InitialValHook')]
