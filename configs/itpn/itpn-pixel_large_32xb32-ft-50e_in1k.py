"""iTPN-L (pixel) fine-tuned as a classifier, ImageNet-1k at 224, 50 epochs.

Differs from the original as the config of iTPN-B does, see there.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-pixel_large_32xb32-ft-50e_in1k.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 86.7 % after 1600 epochs of pre-training, 86.3 % after 400
          (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 32 GPUs x 32 images = 1024, fp16
Status:   not run
Weights:  start from a pre-training file, of this package or converted, with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE
"""
_base_ = './itpn-pixel_base_32xb32-ft-100e_in1k.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.2),
    head=dict(in_channels=768))

# 0.55 over 13 layers, for 44 blocks and the head.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3 * 1024 / 256),
    paramwise_cfg=dict(layer_decay_rate=0.55**(13 / 45)))
max_epochs = 50
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=5e-6 / 4e-3,
        by_epoch=True,
        begin=5,
        end=max_epochs,
        convert_to_iter_based=True)
]
