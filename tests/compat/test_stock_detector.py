"""The stock Mask R-CNN of mmdet trains and predicts with the stand-in."""
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture
def detector():
    """Mask R-CNN of the installed package, with a small backbone."""
    if importlib.util.find_spec('mmdet') is None:
        pytest.skip('mmdet is not installed')
    import mmdet
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    path = Path(mmdet.__file__).parent / (
        '.mim/configs/_base_/models/mask-rcnn_r50_fpn.py')
    if not path.is_file():
        pytest.skip(f'this mmdet came without its configs: {path}')
    cfg = Config.fromfile(path).model
    cfg.backbone.update(depth=18, init_cfg=None, frozen_stages=-1)
    cfg.neck.in_channels = [64, 128, 256, 512]
    cfg.roi_head.bbox_head.num_classes = 3
    cfg.roi_head.mask_head.num_classes = 3
    cfg.train_cfg.rpn_proposal.nms_pre = 200
    cfg.test_cfg.rpn.nms_pre = 200
    # an untrained network is sure of nothing
    cfg.test_cfg.rcnn.score_thr = 0.0
    init_default_scope('mmdet')
    return MODELS.build(cfg)


def batch():
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData
    inputs, samples = [], []
    for boxes in ([[5., 8, 60, 70], [30, 20, 90, 50]], []):
        inputs.append(torch.randint(0, 256, (3, 96, 96), dtype=torch.uint8))
        masks = np.zeros((len(boxes), 96, 96), dtype=np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
            mask[int(y1):int(y2), int(x1):int(x2)] = 1
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(96, 96), ori_shape=(96, 96), pad_shape=(96, 96),
                scale_factor=(1., 1.), batch_input_shape=(96, 96)))
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.arange(len(boxes)),
            masks=BitmapMasks(masks, 96, 96))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.smoke
@pytest.mark.parametrize('kind', ['nms', 'soft_nms'])
def test_stock_mask_rcnn_trains_and_predicts(detector, kind):
    detector.train()
    before = detector.backbone.conv1.weight.detach().clone()
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
    data = detector.data_preprocessor(batch(), training=True)
    losses = detector(**data, mode='loss')
    assert {'loss_rpn_cls', 'loss_bbox', 'loss_mask'} <= set(losses)
    loss, _ = detector.parse_losses(losses)
    assert loss.isfinite() and losses['loss_mask'] > 0
    loss.backward()
    for name, weight in detector.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
    optimizer.step()
    assert not torch.equal(detector.backbone.conv1.weight, before)

    detector.eval()
    detector.roi_head.test_cfg.nms.type = kind
    with torch.no_grad():
        results = detector.test_step(batch())
    for result in results:
        found = result.pred_instances
        assert 0 < len(found) <= 100
        assert found.masks.shape == (len(found), 96, 96)
        assert (found.scores[:-1] >= found.scores[1:]).all()
        assert ((found.bboxes >= 0) & (found.bboxes <= 96)).all()
