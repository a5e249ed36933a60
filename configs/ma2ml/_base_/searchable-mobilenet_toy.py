"""Tiny searchable mobile network on generated images of six shapes.

Command:  python tools/make_toy_data.py --out data/toy --train 240 --val 120
          --size 32
          python tools/train.py configs/ma2ml/_base_/searchable-mobilenet_toy.py
Metric:   top-1 (no published figure)
Source:   recipe of our own, sized for a few seconds
Hardware: 1 CPU core, no GPU
Status:   not run
"""
_base_ = './searchable-mobilenet_cifar10.py'

# The ImageNet folders that the generator uses, by the shape they hold.
classes = ('disk', 'square', 'triangle', 'star', 'cross', 'bar')
data_root = 'data/toy/imagenet'
data_preprocessor = dict(
    num_classes=6,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])
model = dict(
    backbone=dict(
        arch=dict(
            stem=8,
            widths=[8, 16, 32],
            depths=[1, 1, 1],
            kernels=[3, 3, 3],
            expansions=[1, 2, 2],
            se=[False, False, False],
            strides=[2, 2, 2])),
    head=dict(num_classes=6, in_channels=96))

train_dataloader = dict(
    batch_size=16,
    dataset=dict(data_root=data_root, metainfo=dict(classes=classes)))
val_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=dict(classes=classes)))
test_dataloader = val_dataloader

max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=0,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=6))
