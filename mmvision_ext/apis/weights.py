"""Networks from converted weight files, in one call."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ..compat.checkpoint import CheckpointError, safe_load
from ..engine.build import build_model, load_weights


def load_model(path: str | Path,
               device: str | torch.device = 'cpu') -> nn.Module:
    """Build the network of a converted weight file and load its weights.

    Args:
        path (str | Path): A file written by ``tools/convert_weights.py``.
        device (str | torch.device): Where the network shall be. Defaults to
            'cpu'.

    Returns:
        nn.Module: The network in eval mode. ``model(images)``, with
        normalised images of shape (B, 3, H, W), gives the logits (B, classes)
        of a classifier, the tuple of maps of a backbone, and the logits
        (B, classes, H/4, W/4) of a segmentor; of a backbone with its pyramid
        it gives the maps of the pyramid. A detector is for mmdet's own
        inference functions. A pre-training model has ``loss(images,
        noise=...)`` or ``loss(images, mask=..., target=...)``.

    Raises:
        CheckpointError: If the file cannot be read or does not say which
            network it is for.
        MissingPackageError: If that network needs a package that is not
            installed.
        RuntimeError: If the weights do not fit the network.
    """
    content = safe_load(str(path))
    meta = content.get('meta') if isinstance(content, Mapping) else None
    config = meta.get('model') if isinstance(meta, Mapping) else None
    if not isinstance(config, Mapping) or 'state_dict' not in content:
        raise CheckpointError(
            f'{path} does not say which network it is for; official weights '
            'must be converted first: python tools/convert_weights.py SRC DST')
    model = build_model(config)
    try:
        load_weights(model, content['state_dict'])
    except RuntimeError as error:
        raise RuntimeError(f'{path}: {error}') from error
    return model.to(device).eval()
