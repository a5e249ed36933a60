"""Mask R-CNN with a narrow ResNet-18, the stock peer on cell nuclei.

ResNet-18 of mmdetection with 18 channels instead of 64, for about the FLOPs
of vHeat-nano, and group norm, the usual choice from scratch at 2 images a
process. All else is inherited.

Command:  bash tools/dist_train.sh
          configs/peers/maskrcnn_resnet_nuclei.py 2 --data-root DIR
Metric:   box AP50 and mask AP50 (no published figure)
Source:   recipe of our own
Hardware: 2 CPU cores, no GPU, 2 processes x 2 images
Status:   measured here: box AP50 .700, mask AP50 .714 (docs/results.md)
"""
_base_ = '../vheat/maskrcnn_vheat_nano_nuclei.py'

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
    neck=dict(in_channels=[18, 36, 72, 144]))
