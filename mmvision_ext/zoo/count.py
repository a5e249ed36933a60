"""Size and cost of the network of a config."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.build import build_model
from ..engine.complexity import count_macs

#: Of detectors: images of COCO are not all of one form, and the literature
#: counts at the second.
_COMMON_SIZES = {(800, 1333): (800, 1280)}


def image_size(config: Any) -> tuple[int, int]:
    """Height and width of an image in the test pipeline of a config.

    Args:
        config (Config): With a test pipeline that resizes or crops.

    Returns:
        tuple[int, int]: In pixels; 800 x 1280 for a detector on COCO.
    """
    pipeline = config.test_dataloader.dataset.pipeline
    sizes = [step.get('crop_size') or step.get('scale') for step in pipeline]
    size = [size for size in sizes if size][-1]
    if isinstance(size, int):
        return size, size
    # Pipelines have width first.
    height, width = size[::-1]
    return _COMMON_SIZES.get((height, width), (height, width))


def build_on_meta(config: Any) -> nn.Module:
    """Build the network of a config without memory for its weights.

    Args:
        config (Config): Left unchanged. The teacher of a pre-training, which
            is not trained and needs a file, is left out.

    Returns:
        nn.Module: On the meta device, in evaluation.
    """
    settings = copy.deepcopy(dict(config.model))
    settings.setdefault('_scope_', config.default_scope)
    settings.pop('teacher', None)
    with torch.device('meta'):
        return build_model(settings).eval()


def count_params(model: nn.Module) -> int:
    """Count the parameters of a network.

    Args:
        model (nn.Module): Any network.

    Returns:
        int: Their number, without the momentum copy of a pre-training.
    """
    return sum(p.numel() for name, p in model.named_parameters()
               if not name.startswith('mfm.teacher.'))


def count_image(model: nn.Module, size: tuple[int, int]) -> int:
    """Count the multiply-adds of one image.

    Args:
        model (nn.Module): Classifier, segmenter or two-stage detector, of
            :func:`build_on_meta`.
        size (tuple[int, int]): Height and width in pixels.

    Returns:
        int: ``macs`` of :class:`mmvision_ext.engine.complexity.Complexity`.
        A detector is counted with as many boxes and masks as its test
        settings allow.
    """
    with torch.no_grad():
        return count_macs(lambda: run_image(model, size))


def run_image(model: nn.Module, size: tuple[int, int]) -> None:
    """Run what is counted for one image.

    Args:
        model (nn.Module): As of :func:`count_image`, or a backbone.
        size (tuple[int, int]): Height and width in pixels.
    """
    image = torch.zeros(1, 3, *size, device='meta')
    if hasattr(model, 'roi_head'):
        _run_detector(model, image)
    else:
        model(image)


def _run_detector(model: Any, image: Tensor) -> None:
    """Run all but the choice of boxes, which depends on numbers."""
    features = model.extract_feat(image)
    model.rpn_head(features)
    test, head = model.test_cfg, model.roi_head
    for kind, count in (('bbox', test.rpn.max_per_img),
                        ('mask', test.rcnn.max_per_img)):
        heads = _listed(getattr(head, f'{kind}_head'))
        extractors = _listed(getattr(head, f'{kind}_roi_extractor'))
        for part, extractor in zip(heads, extractors):
            side = extractor.roi_layers[0].output_size
            part(torch.zeros(count, extractor.out_channels, *side,
                             device='meta'))


def _listed(part: nn.Module) -> list[nn.Module]:
    """A cascade has several heads, any other detector one."""
    return list(part) if isinstance(part, nn.ModuleList) else [part]
