"""Model configs of the stock networks that official weights belong to.

Each holds its scope in ``_scope_``, so that it builds under any default
scope. They equal the configs of the mm packages, with a backbone of ours, and
a neck and box head of their own for networks that were released with these.
"""

import copy
from collections.abc import Sequence
from typing import Any

ModelConfig = dict[str, Any]

_MEAN = [123.675, 116.28, 103.53]
_STD = [58.395, 57.12, 57.375]


#: Pixels scaled to -1 to 1, in place of ImageNet's mean and deviation.
HALF_RANGE = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])


def image_classifier(backbone: ModelConfig, channels: int,
                     num_classes: int, pooled: bool = False,
                     normalization: ModelConfig | None = None
                     ) -> ModelConfig:
    """A backbone, global average pooling and one linear layer.

    Args:
        backbone (dict): Config whose last map is pooled.
        channels (int): Channels of that map.
        num_classes (int): Outputs.
        pooled (bool): Whether the backbone pools its map itself. Defaults to
            False.
        normalization (dict, optional): ``mean`` and ``std`` of the images.
            Defaults to those of ImageNet.

    Returns:
        dict: Config of ``mmpretrain.ImageClassifier``.
    """
    return dict(
        _scope_='mmpretrain',
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            num_classes=num_classes,
            to_rgb=True,
            **(normalization or dict(mean=_MEAN, std=_STD))),
        backbone=backbone,
        neck=None if pooled else dict(type='GlobalAveragePooling'),
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


def fc_box_head(num_classes: int) -> ModelConfig:
    """Two linear layers, the default of the detectors here.

    Args:
        num_classes (int): Object classes, without the background.

    Returns:
        dict: Config of a head of ``mmdet``.
    """
    return dict(
        type='Shared2FCBBoxHead',
        in_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes=num_classes,
        bbox_coder=_delta_coder([0.1, 0.1, 0.2, 0.2]),
        reg_class_agnostic=False,
        loss_cls=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0))


def conv_box_head(num_classes: int) -> ModelConfig:
    """Four convolutions and one linear layer, trained by GIoU.

    Args:
        num_classes (int): Object classes, without the background.

    Returns:
        dict: Config of a head of ``mmdet``, for ``box_head`` of the
        detectors here.
    """
    return dict(
        fc_box_head(num_classes),
        type='Shared4Conv1FCBBoxHead',
        conv_out_channels=256,
        reg_decoded_bbox=True,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        loss_bbox=dict(type='GIoULoss', loss_weight=10.0))


def _roi_head(num_classes: int, box_head: ModelConfig) -> ModelConfig:
    return dict(
        type='StandardRoIHead',
        bbox_roi_extractor=_roi_extractor(7),
        bbox_head=box_head,
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
              num_classes: int, neck: ModelConfig | None = None,
              box_head: ModelConfig | None = None) -> ModelConfig:
    """Mask R-CNN with FPN and the default heads, or others.

    Args:
        backbone (dict): Config of a backbone with four maps, or of as many
            as ``neck`` takes.
        channels (Sequence[int]): Channels of the maps.
        num_classes (int): Object classes, without the background.
        neck (dict, optional): Config of a neck with five maps of 256
            channels. Defaults to FPN.
        box_head (dict, optional): Config of the box head. Defaults to two
            linear layers.

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
        neck=neck or dict(
            type='FPN',
            in_channels=list(channels),
            out_channels=256,
            num_outs=5),
        rpn_head=_rpn_head(),
        roi_head=_roi_head(num_classes,
                           box_head or fc_box_head(num_classes)),
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


def cascade_mask_rcnn(backbone: ModelConfig, channels: Sequence[int],
                      num_classes: int, neck: ModelConfig | None = None,
                      box_head: ModelConfig | None = None) -> ModelConfig:
    """Cascade Mask R-CNN of three stages.

    All but the stages is as in :func:`mask_rcnn`, which says what the
    arguments are.

    Args:
        backbone (dict): Config of a backbone.
        channels (Sequence[int]): Channels of its maps.
        num_classes (int): Object classes, without the background.
        neck (dict, optional): Config of a neck. Defaults to FPN.
        box_head (dict, optional): Config of the box head of every stage.
            Defaults to two linear layers.

    Returns:
        dict: Config of ``mmdet.CascadeRCNN``.
    """
    model = mask_rcnn(backbone, channels, num_classes, neck, box_head)
    smooth = dict(type='SmoothL1Loss', beta=1.0 / 9.0, loss_weight=1.0)
    model['type'] = 'mmdet.CascadeRCNN'
    model['rpn_head']['loss_bbox'] = smooth
    heads, rules = [], []
    for overlap, centre, size in ((0.5, 0.1, 0.2), (0.6, 0.05, 0.1),
                                  (0.7, 0.033, 0.067)):
        head = copy.deepcopy(model['roi_head']['bbox_head'])
        head['bbox_coder'] = _delta_coder([centre, centre, size, size])
        heads.append(head)
        rule = _matching(overlap, overlap, num=512, share=0.25, add_gt=True)
        rule['assigner']['match_low_quality'] = False
        rules.append(dict(rule, mask_size=28))
    model['roi_head'].update(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=heads)
    model['train_cfg']['rpn']['allowed_border'] = 0
    model['train_cfg']['rpn_proposal']['max_per_img'] = 2000
    model['train_cfg']['rcnn'] = rules
    return model


def upernet(backbone: ModelConfig, channels: Sequence[int],
            num_classes: int, head_channels: int = 512,
            aux_channels: int = 256,
            test_cfg: ModelConfig | None = None,
            neck: ModelConfig | None = None) -> ModelConfig:
    """UPerNet with an auxiliary FCN head on the third map.

    Args:
        backbone (dict): Config of a backbone with four maps, or of as many
            as ``neck`` takes.
        channels (Sequence[int]): Channels of the four maps that the heads
            are given.
        num_classes (int): Classes of pixels.
        head_channels (int): Channels of the main head. Defaults to 512.
        aux_channels (int): Channels of the auxiliary head; 0 leaves that
            head out. Defaults to 256.
        test_cfg (dict, optional): How images are tiled for prediction.
            Defaults to the whole image at once.
        neck (dict, optional): Config of a neck with four maps. Defaults to
            none.

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
    if neck:
        model['neck'] = neck
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
