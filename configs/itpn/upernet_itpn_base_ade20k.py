"""UPerNet with iTPN-B (pixel) and its pyramid, ADE20K, 160k iterations.

What differs from the original:
- blocks are numbered 1 to 30 for the layer-wise rates; there the last block
  had 1.04 times the rate of the heads;
- position embedding and tables of relative positions go without weight
  decay, as was meant; there a prefix of the names was missed;
- the norms of the backbone have the epsilon of pre-training, 1e-6 for 1e-5;
- images of any size can be tested whole: the tables are resized.

Command:  bash tools/dist_train.sh
          configs/itpn/upernet_itpn_base_ade20k.py 8
          (on other batch sizes add --auto-scale-lr), or
          mim train mmseg configs/itpn/upernet_itpn_base_ade20k.py
          --gpus 8 --launcher pytorch
Metric:   mIoU 53.5, single scale (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 1600 epochs
Hardware: 8 GPUs x 2 images, fp16
Status:   not run
Weights:  start backbone and pyramid from a pre-training file, of this package
          or converted by python tools/convert_weights.py SRC FILE, with
          --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
          (the backbone alone: model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE)
"""
_base_ = [
    '../_base_/models/upernet_r50.py', '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/default_runtime_seg.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

crop_size = (512, 512)
data_preprocessor = dict(size=crop_size)
# The position embedding keeps its size, tables of relative positions have that
# of the crop. Each level of the pyramid stands before the raw stage.
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.ITPN',
        arch='base',
        img_size=512,
        pos_size=14,
        rpe='table',
        drop_path_rate=0.1),
    neck=dict(
        type='mmvision_ext.ITPNPyramid',
        in_channels=[128, 256, 512],
        out_channels=256,
        depth=2,
        num_outs=4,
        pool='max',
        concat=True),
    decode_head=dict(
        in_channels=[384, 512, 768, 768], channels=768, num_classes=150),
    auxiliary_head=dict(in_channels=768, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(341, 341)))

train_dataloader = dict(batch_size=2)

# 0.9 over 13 layers, of the 32 that the original counts.
optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(
        type='AdamW', lr=3e-5, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.9**(13 / 32),
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0)
        }))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0,
        end=1500),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=1.0,
        begin=1500,
        end=160000,
        by_epoch=False)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
