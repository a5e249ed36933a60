"""Colours of features and of labels."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

#: What a map of labels shows where pixels do not count.
IGNORED = (128, 128, 128)
#: Okabe and Ito's colours, which colour-blind people tell apart.
SAFE = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#D55E00', '#56B4E9',
        '#000000', '#B8A800')


def component_colours(maps: Sequence[np.ndarray],
                      period: int = 1) -> list[np.ndarray]:
    """Colours of maps of many channels by their principal components.

    The first is the brightness, the next two are the hue and its strength.
    Components and scales are those of all maps together, so that a colour
    means the same in each.

    Args:
        maps (Sequence[np.ndarray]): Shapes (C, H_i, W_i), C at least 3.
        period (int): Places repeat their role after so many rows and
            columns; the mean of each role is taken off. Defaults to 1, one
            role.

    Returns:
        list[np.ndarray]: Shapes (H_i, W_i, 3), RGB, uint8.
    """
    # (C, H_i, W_i) -> (H_i, W_i, C)
    maps = [m.transpose(1, 2, 0).astype(float) for m in maps]
    for y in range(period):
        for x in range(period):
            roles = [m[y::period, x::period] for m in maps]
            mean = np.concatenate([_rows(role) for role in roles]).mean(0)
            for role in roles:
                role -= mean
    rows = np.concatenate([_rows(m) for m in maps])
    found = np.linalg.svd(rows, full_matrices=False)[2][:3]
    # Of one or two places there are no three components.
    axes = np.zeros((3, rows.shape[1]))
    axes[:len(found)] = found
    # Either sign of an axis is right; choose one.
    axes *= np.where(axes.sum(1, keepdims=True) < 0, -1, 1)
    # Single peaks do not set the scales.
    first, second, _ = np.percentile(np.abs(rows @ axes.T), 98, axis=0)
    scales = np.maximum((first, second, second), 1e-12)
    pictures = []
    for m in maps:
        # (H, W, C) -> (H, W, 3), luma and two differences of colour
        values = np.clip(m @ axes.T / scales, -1, 1) * (95, 85, 85) + 128
        picture = Image.fromarray(values.round().astype(np.uint8), 'YCbCr')
        pictures.append(np.asarray(picture.convert('RGB')))
    return pictures


def _rows(values: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (H * W, C)."""
    return values.reshape(-1, values.shape[-1])


def label_map(labels: np.ndarray, palette: Sequence) -> np.ndarray:
    """Colours of a map of labels, grey where they do not count.

    Args:
        labels (np.ndarray): Shape (H, W), class numbers.
        palette (Sequence): An RGB triple a class.

    Returns:
        np.ndarray: Shape (H, W, 3), RGB, uint8.
    """
    table = np.full((256, 3), IGNORED, np.uint8)
    table[:len(palette)] = palette
    return table[labels]


def pick_palette(palette: Sequence | None, count: int) -> list:
    """An RGB triple a class: those of a data set, else distinct ones.

    Args:
        palette (Sequence, optional): Of the data set; anything but a list of
            enough triples counts as none.
        count (int): Classes.

    Returns:
        list[tuple[int, int, int]]: ``count`` or more triples.
    """
    if isinstance(palette, (list, tuple)) and len(palette) >= count:
        return [tuple(colour) for colour in palette]
    safe = [tuple(bytes.fromhex(colour[1:])) for colour in SAFE]
    if count <= len(safe):
        return safe
    # As many hues as there are classes, by golden-angle steps.
    from colorsys import hsv_to_rgb
    return safe + [
        tuple(round(255 * part) for part in hsv_to_rgb(
            i * 0.618034 % 1, 0.55 + 0.4 * (i % 2), 0.95 - 0.25 * (i % 3)))
        for i in range(count - len(safe))
    ]
