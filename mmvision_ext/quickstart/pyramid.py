"""The sections on iTPN's pre-training and on its pyramid."""
from __future__ import annotations

import numpy as np
import torch

from ..pictures.pyramid import colour_levels, pyramid_maps
from .pictures import img
from .predictions import Predictions
from .summary import Result

_STRIDES = (4, 8, 16)
#: Images whose features are shown.
_IMAGES = 2


def pretraining_section(result: Result) -> str:
    """What was hidden, what was made of it, and what was there.

    Args:
        result (Result): The pre-training.

    Returns:
        str: HTML.
    """
    cards = []
    for number, example in enumerate(result.predictions.examples, 1):
        found = example.prediction
        sides = ''.join(
            f'<figure><span class="column">{name}</span>'
            f'{img(picture, f"{name} {number}")}</figure>'
            for name, picture in (('masked input', found.masked),
                                  ('reconstruction', found.filled),
                                  ('original', example.truth)))
        cards.append(
            f'<div class="card grid triple square">{sides}</div>')
    return (
        f'<section><h2>{result.record.task.title}</h2><p class="soft">Three '
        'quarters of the patches of 16 × 16 pixels are hidden; backbone and '
        'pyramid see the others, and a decoder fills the gaps. It is asked '
        'for pixels relative to the mean and contrast of their patch, so '
        'the pictures take these two from the original. The levels of the '
        'pyramid also predict features of the hidden patches (masked '
        'feature modelling). No label is used, and these validation images '
        'were not trained on.</p>'
        f'<div class="grid pairs">{"".join(cards)}</div></section>')


def pyramid_section(pretrained: Predictions, detector: Predictions) -> str:
    """Features of the pyramid, before and after training as a detector.

    Args:
        pretrained (Predictions): What the detector started from.
        detector (Predictions): A trained detector with a pyramid of the same
            kind, and its examples.

    Returns:
        str: HTML.
    """
    images = [e.image for e in detector.examples[:_IMAGES]]
    networks = (('Pre-trained', pretrained.model),
                ('Detector', detector.model))
    colours = [_coloured_levels(model, detector, len(images))
               for _, model in networks]
    heads = ''.join(
        f'<th scope="col"><b>Stride {stride}</b>one place for {stride} × '
        f'{stride} pixels</th>' for stride in _STRIDES)
    rows = []
    for i, image in enumerate(images):
        first = (f'<td class="source" rowspan="{len(networks)}">'
                 f'{img(image, f"image {i + 1}")}</td>')
        for (name, _), levels in zip(networks, colours):
            cells = ''.join(
                '<td>' + img(
                    level[i], f'pyramid features of image {i + 1}, stride '
                    f'{stride}, {name.lower()}', 'pixels') + '</td>'
                for stride, level in zip(_STRIDES, levels))
            rows.append(f'<tr>{first}<th class="name" scope="row">'
                        f'<b>{name}</b></th>{cells}</tr>')
            first = ''
    return (
        '<section><h2>Features of the pyramid</h2><p>iTPN pre-trains its '
        'feature pyramid together with the backbone, and the detector starts '
        'from both. Below are the three levels of the pyramid on validation '
        'images, before and after the training in Mask R-CNN.</p>'
        '<p class="soft">Brightness is the first principal component of the '
        'features, hue the next two, for each network and level anew: within '
        'a level, places of a like colour have like features, and colours of '
        'different columns mean nothing to each other. Finer levels are '
        'split out of patches of 16 × 16 pixels; what they owe to the place '
        'in the patch alone is taken off.</p><div class="scroll">'
        '<table class="heat levels"><thead><tr><th class="source" '
        f'scope="col">Image</th><th class="name"></th>{heads}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div></section>')


def _coloured_levels(model: torch.nn.Module, detector: Predictions,
                     count: int) -> list[list[np.ndarray]]:
    """For each level of the pyramid the colours of each image.

    The detector's images serve both networks: they normalise alike.
    """
    maps = []
    for batch in detector.batches[:count]:
        data = detector.model.data_preprocessor(batch, False)
        size = data['data_samples'][0].img_shape
        levels = pyramid_maps(model, data['inputs'], size)
        maps.append(levels[:len(_STRIDES)])
    return colour_levels(maps, split=True)
