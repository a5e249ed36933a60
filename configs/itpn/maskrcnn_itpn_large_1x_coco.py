"""Mask R-CNN with iTPN-L (pixel) and its pyramid, COCO 2017, 12 epochs.

The original has no config of it: the settings are those of iTPN-L with CLIP,
without layer scale and relative positions, as for the base. What differs from
the original is listed in the config of the base.

Command:  bash tools/dist_train.sh
          configs/itpn/maskrcnn_itpn_large_1x_coco.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   box AP 55.6, mask AP 48.6 (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 1600 epochs
Hardware: 32 GPUs x 2 images = 64, fp16
Status:   not run
Weights:  backbone and pyramid from a pre-training file, of this package or
          converted, with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
          (memory short: model.backbone.with_cp=True model.neck.with_cp=True)
"""
_base_ = './maskrcnn_itpn_base_1x_coco.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.2),
    neck=dict(in_channels=[192, 384, 768]))

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.95))
