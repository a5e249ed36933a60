"""Mask R-CNN with iTPN-L (CLIP) and its pyramid, COCO 2017, 12 epochs.

With decomposed relative positions, as released: they start at random, in
place of the pre-trained tables (to keep those, add --cfg-options
model.backbone.rpe=table). What differs from the original is listed in
maskrcnn_itpn_base_1x_coco.py; the depth of the pyramid is 1 in both.

Command:  bash tools/dist_train.sh
          configs/itpn/maskrcnn_itpn-clip_large_1x_coco.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   box AP 55.2, mask AP 48.2 (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 300 epochs with CLIP-L/14 as teacher
Hardware: 32 GPUs x 2 images = 64, fp16
Status:   not run
Weights:  backbone and pyramid from a pre-training file, of this package or
          converted, with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
          (memory short: model.backbone.with_cp=True model.neck.with_cp=True)
"""
_base_ = './maskrcnn_itpn_large_1x_coco.py'

model = dict(
    backbone=dict(layer_scale=0.1, rpe='decomposed'), neck=dict(depth=1))
