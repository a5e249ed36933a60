"""Mask R-CNN with vHeat-B, COCO 2017, 36 epochs, multi-scale.

The original code has neither this config nor weights of it. The figures below
are those of vHeat-B of the second version of the paper, most likely another,
smaller network than the released base built here, and were read in a later
paper. The drop path rate is that of the 1x config: none was published.

Command:  bash tools/dist_train.sh
          configs/vheat/maskrcnn_vheat_base_3x_coco.py 8
          (on other batch sizes add --auto-scale-lr)
Metric:   box AP 49.7, mask AP 44.3 (reported by paper, for another base)
Source:   vHeat v2 as quoted by TailProp (2026)
Hardware: 8 GPUs x 2 images, fp32
Status:   not run
Weights:  start from a converted ImageNet classifier with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE, where FILE was written by
          python tools/convert_weights.py vHeat_base.pth FILE
"""
_base_ = './maskrcnn_vheat_tiny_3x_coco.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    neck=dict(in_channels=[128, 256, 512, 1024]))
