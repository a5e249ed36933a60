"""Cascade Mask R-CNN with iTPN-B (pixel) and its pyramid, COCO, 36 epochs.

What differs from the original is listed in maskrcnn_itpn_base_1x_coco.py.
(The header of the published table says 3x, as the released file does; its
caption says 1x.)

Command:  bash tools/dist_train.sh
          configs/itpn/cascade_itpn_base_3x_coco.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   box AP 56.0, mask AP 48.5 (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 1600 epochs
Hardware: 32 GPUs x 2 images = 64, fp16
Status:   not run
Weights:  backbone and pyramid from a pre-training file, of this package or
          converted, with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
"""
_base_ = './maskrcnn_itpn_base_3x_coco.py'

# Overlap that makes a positive, deviations of the box deltas; a stage each.
stages = [(0.5, 0.1, 0.2), (0.6, 0.05, 0.1), (0.7, 0.033, 0.067)]
# All else is that of the stock cascade.
model = dict(
    type='CascadeRCNN',
    backbone=dict(drop_path_rate=0.2),
    rpn_head=dict(
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0 / 9.0, loss_weight=1.0)),
    roi_head=dict(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[
            dict(
                _base_.model.roi_head.bbox_head,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder',
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=[centre, centre, size, size]))
            for _, centre, size in stages
        ]),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=[
            dict(
                _base_.model.train_cfg.rcnn,
                assigner=dict(
                    type='MaxIoUAssigner',
                    pos_iou_thr=overlap,
                    neg_iou_thr=overlap,
                    min_pos_iou=overlap,
                    match_low_quality=False,
                    ignore_iof_thr=-1)) for overlap, _, _ in stages
        ]))

optim_wrapper = dict(optimizer=dict(lr=1e-4))
