"""Mask R-CNN with iTPN-B (CLIP) and its pyramid, COCO 2017, 12 epochs.

The original has no config of it: the settings are those of the pixel one,
with the layer scale of CLIP pre-training. As in the original's CLIP configs
the pre-trained tables of relative positions are left out, and images have
ImageNet's mean and deviation; to keep the tables add --cfg-options
model.backbone.rpe=table. What differs from the original is listed in
maskrcnn_itpn_base_1x_coco.py; the depth of the pyramid is 1 in both.

Command:  bash tools/dist_train.sh
          configs/itpn/maskrcnn_itpn-clip_base_1x_coco.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   box AP 53.2, mask AP 46.6 (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 800 epochs
Hardware: 32 GPUs x 2 images = 64, fp16
Status:   not run
Weights:  backbone and pyramid from a pre-training file, of this package or
          converted, with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
"""
_base_ = './maskrcnn_itpn_base_1x_coco.py'

model = dict(backbone=dict(layer_scale=0.1), neck=dict(depth=1))
