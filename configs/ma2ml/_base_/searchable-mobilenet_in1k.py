"""Searchable mobile network, ImageNet-1k: what the ImageNet searches change.

As it stands it trains the published structure of FBNetV3-A with a recipe out
of the middle of FBNetV3's recipe space; batch and length are ours.

Command:  bash tools/dist_train.sh
          configs/ma2ml/_base_/searchable-mobilenet_in1k.py 8
          --data-root DIR
Metric:   top-1 (no published figure of this recipe)
Source:   FBNetV3, arXiv 2006.02049; batch, length, schedule of our own
Hardware: 8 GPUs x 128 images = 1024
Status:   not run
"""
_base_ = [
    '../../_base_/datasets/imagenet_bs64_swin_224.py',
    '../../_base_/schedules/imagenet_bs1024_adamw_swin.py',
    '../../_base_/default_runtime_cls.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvision_ext.SearchableMobileNet',
        arch='fbnetv3-a',
        drop_path_rate=0.2),
    neck=dict(type='GlobalAveragePooling'),
    # Pooled before the last two layers, as in MobileNetV3.
    head=dict(
        type='StackedLinearClsHead',
        num_classes=1000,
        in_channels=1344,
        mid_channels=[1984],
        dropout_rate=0.15,
        act_cfg=dict(type='HSwish'),
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        cal_acc=False),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.2)]))

train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128)
test_dataloader = val_dataloader

optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type='SGD',
        lr=0.025,
        momentum=0.9,
        nesterov=True,
        weight_decay=1.4e-5),
    paramwise_cfg=dict(_delete_=True, norm_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))
# Ratios: the schedule follows a searched rate.
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-2,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=5,
        end=300,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=1024)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
randomness = dict(seed=0, diff_rank_seed=True)
