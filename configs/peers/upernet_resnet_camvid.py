"""UPerNet with a narrow ResNet-18, the stock peer on street scenes.

ResNet-18 of mmsegmentation with 18 channels instead of 64, from scratch, for
about the FLOPs of vHeat-nano. All else is inherited.

Command:  bash tools/dist_train.sh
          configs/peers/upernet_resnet_camvid.py 2 --data-root DIR
Metric:   mIoU over 11 classes (no published figure)
Source:   recipe of our own
Hardware: 2 CPU cores, no GPU, 2 processes x 2 images
Status:   measured here: mIoU 44.2 (docs/results.md)
"""
_base_ = '../vheat/upernet_vheat_nano_camvid.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        stem_channels=18,
        base_channels=18,
        norm_cfg=dict(type='GN', num_groups=6),
        norm_eval=False,
        out_indices=(0, 1, 2, 3)),
    decode_head=dict(in_channels=[18, 36, 72, 144]))
