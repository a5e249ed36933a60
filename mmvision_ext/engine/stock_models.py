"""Model configs of the stock networks that official weights belong to.

Each holds its scope in ``_scope_``, so that it builds under any default
scope. They equal the configs of the mm packages, with a backbone of ours.
"""

from collections.abc import Sequence
from typing import Any

ModelConfig = dict[str, Any]

_MEAN = [123.675, 116.28, 103.53]
_STD = [58.395, 57.12, 57.375]


def image_classifier(backbone: ModelConfig, channels: int,
                     num_classes: int) -> ModelConfig:
    """A backbone, global average pooling and one linear layer.

    Args:
        backbone (dict): Config whose last map is pooled.
        channels (int): Channels of that map.
        num_classes (int): Outputs.

    Returns:
        dict: Config of ``mmpretrain.ImageClassifier``.
    """
    return dict(
        _scope_='mmpretrain',
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            num_classes=num_classes,
            mean=_MEAN,
            std=_STD,
            to_rgb=True),
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=num_classes,
            in_channels=channels,
            loss=dict(
                type='LabelSmoothLoss', label_smooth_val=0.1,
                mode='original')))


def _delta_coder(stds: list[float]) -> ModelConfig:
    return dict(
        type='DeltaXYWHBBoxCoder',
        target_means=[0., 0., 0., 0.],
        target_stds=stds)


def _roi_extractor(size: int) -> ModelConfig:
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=256,
        featmap_strides=[4, 8, 16, 32])


def _rpn_head() -> ModelConfig:
    return dict(
        type='RPNHead',
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64]),
        bbox_coder=_delta_coder([1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(
            type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0))


def _roi_head(num_classes: int) -> ModelConfig:
    return dict(
        type='StandardRoIHead',
        bbox_roi_extractor=_roi_extractor(7),
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            in_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=num_classes,
            bbox_coder=_delta_coder([0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(
                type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
        mask_roi_extractor=_roi_extractor(14),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            num_classes=num_classes,
            loss_mask=dict(
                type='CrossEntropyLoss', use_mask=True, loss_weight=1.0)))


def _matching(positive: float, negative: float, num: int, share: float,
              add_gt: bool) -> ModelConfig:
    return dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=positive,
            neg_iou_thr=negative,
            min_pos_iou=negative,
            match_low_quality=True,
            ignore_iof_thr=-1),
        sampler=dict(
            type='RandomSampler',
            num=num,
            pos_fraction=share,
            neg_pos_ub=-1,
            add_gt_as_proposals=add_gt),
        pos_weight=-1,
        debug=False)


def _proposals(nms_pre: int) -> ModelConfig:
    return dict(
        nms_pre=nms_pre,
        max_per_img=1000,
        nms=dict(type='nms', iou_threshold=0.7),
        min_bbox_size=0)


def mask_rcnn(backbone: ModelConfig, channels: Sequence[int],
              num_classes: int) -> ModelConfig:
    """Mask R-CNN with FPN and the default heads.

    Args:
        backbone (dict): Config of a backbone with four maps.
        channels (Sequence[int]): Channels of the maps.
        num_classes (int): Object classes, without the background.

    Returns:
        dict: Config of ``mmdet.MaskRCNN``.
    """
    rpn = _matching(0.7, 0.3, num=256, share=0.5, add_gt=False)
    rcnn = _matching(0.5, 0.5, num=512, share=0.25, add_gt=True)
    return dict(
        _scope_='mmdet',
        type='mmdet.MaskRCNN',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=_MEAN,
            std=_STD,
            bgr_to_rgb=True,
            pad_mask=True,
            pad_size_divisor=32),
        backbone=backbone,
        neck=dict(
            type='FPN',
            in_channels=list(channels),
            out_channels=256,
            num_outs=5),
        rpn_head=_rpn_head(),
        roi_head=_roi_head(num_classes),
        train_cfg=dict(
            rpn=dict(rpn, allowed_border=-1),
            rpn_proposal=_proposals(2000),
            rcnn=dict(rcnn, mask_size=28)),
        test_cfg=dict(
            rpn=_proposals(1000),
            rcnn=dict(
                score_thr=0.05,
                nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=100,
                mask_thr_binary=0.5)))


def upernet(backbone: ModelConfig, channels: Sequence[int],
            num_classes: int, head_channels: int = 512,
            aux_channels: int = 256,
            test_cfg: ModelConfig | None = None) -> ModelConfig:
    """UPerNet with an auxiliary FCN head on the third map.

    Args:
        backbone (dict): Config of a backbone with four maps.
        channels (Sequence[int]): Channels of the maps.
        num_classes (int): Classes of pixels.
        head_channels (int): Channels of the main head. Defaults to 512.
        aux_channels (int): Channels of the auxiliary head; 0 leaves that
            head out. Defaults to 256.
        test_cfg (dict, optional): How images are tiled for prediction.
            Defaults to the whole image at once.

    Returns:
        dict: Config of ``mmseg.EncoderDecoder``.
    """
    shared = dict(
        dropout_ratio=0.1,
        num_classes=num_classes,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        align_corners=False)
    model = dict(
        _scope_='mmseg',
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=_MEAN,
            std=_STD,
            bgr_to_rgb=True,
            pad_val=0,
            seg_pad_val=255),
        backbone=backbone,
        decode_head=dict(
            type='UPerHead',
            in_channels=list(channels),
            in_index=[0, 1, 2, 3],
            pool_scales=(1, 2, 3, 6),
            channels=head_channels,
            loss_decode=dict(
                type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            **shared),
        train_cfg=dict(),
        test_cfg=test_cfg or dict(mode='whole'))
    if aux_channels:
        model['auxiliary_head'] = dict(
            type='FCNHead',
            in_channels=channels[2],
            in_index=2,
            channels=aux_channels,
            num_convs=1,
            concat_input=False,
            loss_decode=dict(
                type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
            **shared)
    return model
