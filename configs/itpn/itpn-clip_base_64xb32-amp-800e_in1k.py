"""iTPN-B with its pyramid, pre-trained with CLIP-B/16, 800 epochs.

What differs from the original is listed in the config of 300 epochs.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-clip_base_64xb32-amp-800e_in1k.py 8
          --cfg-options model.teacher.checkpoint=FILE
          where FILE is CLIP's ViT-B-16.pt; nothing is downloaded
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 86.2 % after fine-tuning (reported by paper), see
          itpn-clip_base_32xb32-ft-100e_in1k.py
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 64 GPUs x 32 images = 2048, fp16
Status:   not run
"""
_base_ = './itpn-clip_base_64xb32-amp-300e_in1k.py'

max_epochs = 800
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-5 / 1.5e-3,
        by_epoch=True,
        begin=5,
        end=max_epochs,
        convert_to_iter_based=True)
]
