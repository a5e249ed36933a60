"""iTPN-B with its pyramid, pre-trained on pixels, ImageNet-1k, 1600 epochs.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-pixel_base_64xb64-amp-1600e_in1k.py 8
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 85.5 % after fine-tuning (reported by paper), see
          itpn-pixel_base_32xb32-ft-100e_in1k.py
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 64 GPUs x 64 images = 4096, fp16
Status:   not run
"""
_base_ = './itpn-pixel_base_64xb64-amp-400e_in1k.py'

max_epochs = 1600
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=40,
        end=max_epochs,
        convert_to_iter_based=True)
]
