"""Narrow ResNet-18 classifier, the stock peer of vHeat-nano on CIFAR-10.

The form of ResNet made for 32 pixels (first stage at full size) with 10
channels instead of 64: it sees the images as they are, not enlarged, for
about the FLOPs of vHeat-nano at 64 pixels. All else is inherited.

Command:  bash tools/dist_train.sh configs/peers/resnet_cifar10.py 2
          --data-root DIR
Metric:   top-1 (no published figure)
Source:   recipe of our own
Hardware: 2 CPU cores, no GPU, 2 processes x 32 images
Status:   measured here: top-1 71.4 (docs/results.md)
"""
_base_ = '../vheat/vheat-nano_cifar10.py'

img_size = 32
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet_CIFAR',
        depth=18,
        stem_channels=10,
        base_channels=10,
        out_indices=(3, )),
    head=dict(in_channels=80))

# Those of the base without the enlargement at the end, the same throughout.
train_pipeline = [*_base_.augmentations, dict(type='PackInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
custom_hooks = []
