"""Mask R-CNN with iTPN-B (pixel) and its pyramid, COCO 2017, 12 epochs.

What differs from the original:
- blocks are numbered 1 to 30 for the layer-wise rates, the position embedding
  is layer 0; there the last block had 1.1 times the rate of the heads, and
  the position embedding the whole rate;
- the pyramid keeps both blocks of each level that pre-training gave it; there
  the second ones were dropped without a word. Depth 1 is
  --cfg-options model.neck.depth=1;
- the norms of the backbone have the epsilon of pre-training, 1e-6 for 1e-5.

Command:  bash tools/dist_train.sh
          configs/itpn/maskrcnn_itpn_base_1x_coco.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   box AP 53.0, mask AP 46.5 (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 1600 epochs
Hardware: 32 GPUs x 2 images = 64, fp16
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
    '../_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/schedule_1x.py', '../_base_/default_runtime_det.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.ITPN',
        arch='base',
        drop_path_rate=0.05),
    neck=dict(
        _delete_=True,
        type='mmvision_ext.ITPNPyramid',
        in_channels=[128, 256, 512],
        out_channels=256,
        depth=2,
        num_outs=5),
    # Boxes are regressed for each class, and compared after decoding.
    roi_head=dict(
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            conv_out_channels=256,
            reg_decoded_bbox=True,
            norm_cfg=dict(type='SyncBN', requires_grad=True),
            loss_bbox=dict(type='GIoULoss', loss_weight=10.0))))

# The two ways to scale and crop of DETR.
scales = [(side, 1333) for side in range(480, 801, 32)]
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[
            [
                dict(
                    type='RandomChoiceResize', scales=scales, keep_ratio=True)
            ],
            [
                dict(
                    type='RandomChoiceResize',
                    scales=[(400, 1333), (500, 1333), (600, 1333)],
                    keep_ratio=True),
                dict(
                    type='RandomCrop',
                    crop_type='absolute_range',
                    crop_size=(384, 600),
                    allow_negative_crop=True),
                dict(
                    type='RandomChoiceResize', scales=scales, keep_ratio=True)
            ],
        ]),
    dict(type='PackDetInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_epochs,
        by_epoch=True,
        milestones=[9, 11],
        gamma=0.1)
]
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(
        _delete_=True,
        type='AdamW',
        lr=2e-4,
        betas=(0.9, 0.999),
        weight_decay=0.05),
    constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.9,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys={'absolute_pos_embed': dict(decay_mult=0.0)}))
auto_scale_lr = dict(base_batch_size=64)
