"""Mask R-CNN with vHeat-T, COCO 2017, 36 epochs, multi-scale.

The original left the tables of this one model at the 224 grid; here it has
the 512 grid of all the others, and a file of either grid loads. Scored with
batches of 1 image, the original with 2 (see the 1x config).

Command:  bash tools/dist_train.sh
          configs/vheat/maskrcnn_vheat_tiny_3x_coco.py 8
          (on other batch sizes add --auto-scale-lr)
Metric:   box AP 47.3, mask AP 42.5 (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 8 GPUs x 2 images, fp32
Status:   not run
Weights:  start from a converted ImageNet classifier with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE, where FILE was written by
          python tools/convert_weights.py vHeat_tiny.pth FILE
"""
_base_ = './maskrcnn_vheat_tiny_1x_coco.py'

model = dict(backbone=dict(drop_path_rate=0.2))

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

max_epochs = 36
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0,
        end=1000),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_epochs,
        by_epoch=True,
        milestones=[27, 33],
        gamma=0.1)
]
