"""iTPN-B (pixel) fine-tuned as a classifier, ImageNet-1k at 224, 100 epochs.

What differs from the original: blocks are numbered without the two merges,
each of which shares the number of the block before it, as the original meant
to, for the layer-wise rates. The end rate falls with the layer as well.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-pixel_base_32xb32-ft-100e_in1k.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 85.5 % after 1600 epochs of pre-training, 85.1 % after 400
          (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 32 GPUs x 32 images = 1024, fp16
Status:   not run
Weights:  start from a pre-training file, of this package or converted by
          python tools/convert_weights.py itpn_base_pixel.pth FILE, with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE
"""
_base_ = [
    '../_base_/datasets/imagenet_bs64_swin_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_swin.py',
    '../_base_/default_runtime_cls.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

# Pre-training has no relative positions; their tables start from zero here.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvision_ext.ITPN',
        arch='base',
        img_size=224,
        rpe='table',
        drop_path_rate=0.15,
        out_type='avg_featmap'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        cal_acc=False),
    train_cfg=dict(augments=[
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.0)
    ]))

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
test_dataloader = val_dataloader

# 0.6 over 13 layers, for 30 blocks and the head. Norms, biases and every
# other 1-D tensor, positions and tables go without decay (base file).
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(lr=4e-4 * 1024 / 256, weight_decay=0.05),
    constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.6**(13 / 31)))
max_epochs = 100
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    # A ratio, so that the end falls with the layer; 5e-6 in the head.
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=5e-6 / 1.6e-3,
        by_epoch=True,
        begin=5,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=1024)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
randomness = dict(seed=0, diff_rank_seed=True)
