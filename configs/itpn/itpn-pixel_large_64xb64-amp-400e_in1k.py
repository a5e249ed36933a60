"""iTPN-L with its pyramid, pre-trained on pixels, ImageNet-1k, 400 epochs.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-pixel_large_64xb64-amp-400e_in1k.py 8
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 86.3 % after fine-tuning (reported by paper), see
          itpn-pixel_large_32xb32-ft-50e_in1k.py
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 64 GPUs x 64 images = 4096, fp16
Status:   not run
"""
_base_ = './itpn-pixel_base_64xb64-amp-400e_in1k.py'

model = dict(
    backbone=dict(arch='large'), neck=dict(in_channels=[192, 384, 768]))
