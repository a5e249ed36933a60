"""Predictions on top of images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..quickstart.pictures import colour_map

#: Objects with a lower score are not shown.
SCORE = 0.5
_COLOURS = ((230, 80, 88), (72, 118, 240), (214, 170, 20), (200, 80, 190),
            (30, 160, 160), (226, 126, 48), (94, 156, 72), (130, 110, 220),
            (150, 110, 80), (90, 140, 190))


def colour(number: int) -> tuple[int, int, int]:
    """Colour of a class; ten of them, then from the first again."""
    return _COLOURS[number % len(_COLOURS)]


def draw_instances(image: np.ndarray, found: Any,
                   names: Sequence[str]) -> np.ndarray:
    """Boxes, masks and names on an image.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        found (InstanceData): Objects, with ``bboxes`` and perhaps ``masks``.
        names (Sequence[str]): What to write at each.

    Returns:
        np.ndarray: A new image, enlarged by :func:`enlarge`.
    """
    out = image.copy()
    labels = found.labels.tolist()
    if 'masks' in found:
        for mask, label in zip(found.masks.cpu().numpy(), labels):
            # (M, 3) pixels of the mask
            out[mask] = (0.5 * out[mask] + 0.5 * np.array(colour(label)))
    # enlarged first, so that the names can be read
    picture = Image.fromarray(enlarge(out))
    times = picture.width // image.shape[1]
    pen = ImageDraw.Draw(picture)
    size = max(max(picture.size) // 24, 12)
    font = ImageFont.load_default(size)
    boxes = (found.bboxes * times).tolist()
    for box, label, name in zip(boxes, labels, names):
        pen.rectangle(box, outline=colour(label), width=size // 5)
        place = (box[0], max(box[1] - 1.2 * size, 0))
        pen.rectangle(pen.textbbox(place, name, font), fill=colour(label))
        pen.text(place, name, 'white', font)
    return np.asarray(picture)


def enlarge(image: np.ndarray, side: int = 384) -> np.ndarray:
    """An image of at least so many pixels on its longer side.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        side (int): Pixels. Defaults to 384.

    Returns:
        np.ndarray: The image, each pixel as often as it takes.
    """
    times = max(-(-side // max(image.shape[:2])), 1)
    return image.repeat(times, 0).repeat(times, 1)


def draw_heat(maps: np.ndarray, index: int) -> np.ndarray:
    """Heat at one time, all times on one scale.

    Args:
        maps (np.ndarray): Shape (times, H, W).
        index (int): Which time.

    Returns:
        np.ndarray: Shape (h, w, 3), RGB, uint8, enlarged.
    """
    # The scale of the heat before it spreads; single peaks do not set it.
    low, high = np.percentile(maps[0], (1, 99))
    return enlarge(colour_map(maps[index], low, high))
