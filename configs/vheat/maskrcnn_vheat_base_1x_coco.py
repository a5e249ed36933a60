"""Mask R-CNN with vHeat-B, COCO 2017, 12 epochs.

This is the released base (115M parameters, 526 GFLOPs). The second version of
the paper lists another, smaller one, of which neither settings nor weights
were released.

Command:  bash tools/dist_train.sh
          configs/vheat/maskrcnn_vheat_base_1x_coco.py 8
          (on other batch sizes add --auto-scale-lr)
Metric:   box AP 47.7, mask AP 43.0 (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 8 GPUs x 2 images, fp32
Status:   not run
Weights:  start from a converted ImageNet classifier with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE, where FILE was written by
          python tools/convert_weights.py vHeat_base.pth FILE
"""
_base_ = './maskrcnn_vheat_tiny_1x_coco.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    neck=dict(in_channels=[128, 256, 512, 1024]))
