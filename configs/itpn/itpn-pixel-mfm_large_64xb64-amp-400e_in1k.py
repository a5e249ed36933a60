"""iTPN-L, pixels and masked feature modelling, ImageNet-1k, 400 epochs.

A reconstruction, see the config of the base.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-pixel-mfm_large_64xb64-amp-400e_in1k.py 8
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 after fine-tuning (no published figure of this form)
Source:   reconstruction of section 3.3 of iTPN, arXiv 2211.12735, on the
          released recipe
Hardware: 64 GPUs x 64 images = 4096, fp16
Status:   not run
"""
_base_ = './itpn-pixel-mfm_base_64xb64-amp-400e_in1k.py'

model = dict(
    backbone=dict(arch='large'), neck=dict(in_channels=[192, 384, 768]))
