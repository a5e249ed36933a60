"""iTPN-L (CLIP) fine-tuned as a classifier, ImageNet-1k at 224, 50 epochs.

The released command does not say how many nodes of 8 x 16 images: as for the
base, 4 are assumed. Blocks are numbered as in the pixel configs, and the end
rate falls with the layer.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-clip_large_32xb16-ft-50e_in1k.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 87.8 % with CLIP-L/14 as teacher, 87.0 % with CLIP-B/16,
          after 300 epochs of pre-training (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 32 GPUs x 16 images = 512, fp16
Status:   not run
Weights:  start from a pre-training file, of this package or converted, with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE
"""
_base_ = './itpn-clip_base_32xb32-ft-100e_in1k.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.25),
    head=dict(in_channels=768))

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)
test_dataloader = val_dataloader

# 0.55 over 13 layers, for 44 blocks and the head.
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
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
        eta_min_ratio=1e-6 / 2e-4,
        by_epoch=True,
        begin=5,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=512)
