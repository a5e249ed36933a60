"""iTPN-nano and its pyramid, pre-trained on generated scenes, for a CPU.

Pixels and masked feature modelling; no label is read. The Mask R-CNN of
maskrcnn_itpn_nano_toy_det.py starts from the checkpoint.

Command:  bash tools/quickstart.sh
Metric:   loss_pixel (no published figure)
Source:   recipe of our own, sized for a minute
Hardware: 2 CPU cores, no GPU
Status:   measured here: loss_pixel 1.04 to .74, in 1:15 minutes, on 400
          images (torch 2.11.0, onedl stack, seed 0)
"""
_base_ = '../itpn/itpn-nano_pretrain_pixel-mfm.py'
custom_imports = dict(
    imports=['mmvision_ext', 'mmvision_ext.quickstart'],
    allow_failed_imports=False)

data_root = 'data/toy/coco/'
train_dataloader = dict(
    batch_size=16,
    dataset=dict(data_root=data_root, data_prefix='train2017'))
# Of the pictures on the page: the middle of a validation image.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=_base_.img_size),
    dict(type='PackInputs')
]

max_iters = 250
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, end=20),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=False,
        begin=20,
        end=max_iters)
]
auto_scale_lr = dict(base_batch_size=16)
log_processor = dict(window_size=10)
default_hooks = dict(
    logger=dict(interval=5), checkpoint=dict(interval=max_iters))
