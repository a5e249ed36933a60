"""Searchable network of cells on CIFAR-100: what cifar100.py changes.

As it stands it trains the published cell of DARTS. The data is a folder a
class, `train/<class>/*` and `val/<class>/*`, images of 32 pixels.

Command:  python tools/train.py
          configs/ma2ml/_base_/searchable-cells_cifar100.py
          --data-root DIR
Metric:   top-1 (no published figure of this recipe)
Source:   network of DARTS, arXiv 1806.09055; recipe of our own
Hardware: 1 GPU
Status:   not run
"""
_base_ = './searchable-mobilenet_cifar10.py'

data_root = 'data/cifar100'
data_preprocessor = dict(
    num_classes=100, mean=[129.304, 124.07, 112.434], std=[68.17, 65.392, 70.418])
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.SearchableCellNet',
        arch='darts',
        drop_path_rate=0.2),
    head=dict(num_classes=100, in_channels=576))

train_dataloader = dict(
    batch_size=96, num_workers=4, dataset=dict(data_root=data_root))
val_dataloader = dict(num_workers=2, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

max_epochs = 600
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type='SGD',
        lr=0.025,
        momentum=0.9,
        nesterov=True,
        weight_decay=3e-4))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-3,
        by_epoch=True,
        begin=0,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=96)
default_hooks = dict(checkpoint=dict(interval=50))
