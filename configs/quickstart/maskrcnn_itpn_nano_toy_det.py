"""Mask R-CNN with iTPN-nano and its pyramid on generated scenes, for a CPU.

Data, heads and schedule are those of maskrcnn_vheat_nano_toy_det.py.

Command:  bash tools/quickstart.sh
Metric:   box AP50 and mask AP50 (no published figure)
Source:   recipe of our own, sized for two minutes
Hardware: 2 CPU cores, no GPU
Status:   measured here: box AP50 .892, mask AP50 .916, in 2:00 minutes,
          on 400 + 60 images (torch 2.11.0, onedl stack, seed 0)
Weights:  backbone and pyramid from a checkpoint of itpn-nano_toy_pretrain.py,
          with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE, which the command adds
"""
_base_ = './maskrcnn_vheat_nano_toy_det.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.ITPN',
        arch='nano',
        img_size=192,
        pos_init='sincos'),
    neck=dict(
        _delete_=True,
        type='mmvision_ext.ITPNPyramid',
        in_channels=[48, 96, 192],
        out_channels=64,
        depth=1,
        num_outs=5))
