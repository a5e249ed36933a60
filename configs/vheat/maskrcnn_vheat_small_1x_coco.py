"""Mask R-CNN with vHeat-S, COCO 2017, 12 epochs.

Command:  bash tools/dist_train.sh
          configs/vheat/maskrcnn_vheat_small_1x_coco.py 8
          (on other batch sizes add --auto-scale-lr)
Metric:   box AP 46.8, mask AP 42.3 (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 8 GPUs x 2 images, fp32
Status:   not run
Weights:  start from a converted ImageNet classifier with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE, where FILE was written by
          python tools/convert_weights.py vHeat_small.pth FILE
"""
_base_ = './maskrcnn_vheat_tiny_1x_coco.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
