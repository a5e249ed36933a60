"""Arrays as pictures that stand in a page without any other file."""
from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from ..pictures.annotations import Objects

#: Corners of a dark-to-bright scale of rising lightness, for heat.
_HEAT = ((4, 4, 20), (60, 15, 110), (140, 35, 105), (205, 65, 75),
         (240, 115, 35), (250, 185, 50), (253, 252, 180))
#: Of a single hue, for diffusivity.
_BLUE = ((8, 20, 48), (20, 58, 120), (40, 110, 180), (110, 175, 220),
         (225, 243, 252))


def data_uri(image: np.ndarray) -> str:
    """A picture as the address of an ``<img>``.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.

    Returns:
        str: A PNG as a data URI.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'PNG', optimize=True)
    code = base64.b64encode(buffer.getvalue()).decode('ascii')
    return f'data:image/png;base64,{code}'


def img(image: np.ndarray, alt: str, css: str = '') -> str:
    """An ``<img>`` element.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        alt (str): What it shows, for those who cannot see it.
        css (str): Value of its ``class``. Defaults to none.

    Returns:
        str: HTML.
    """
    height, width = image.shape[:2]
    return (f'<img src="{data_uri(image)}" alt="{escape(alt)}" '
            f'class="{css}" width="{width}" height="{height}">')


def colour_map(values: np.ndarray,
               low: float,
               high: float,
               scale: str = 'heat') -> np.ndarray:
    """Colours of a map of numbers.

    Args:
        values (np.ndarray): Shape (H, W).
        low (float): Value of the darkest colour.
        high (float): Value of the brightest; what lies outside is clipped.
        scale (str): 'heat' or 'blue'. Defaults to 'heat'.

    Returns:
        np.ndarray: Shape (H, W, 3), RGB, uint8.
    """
    corners = np.array(dict(heat=_HEAT, blue=_BLUE)[scale], float)
    span = max(high - low, 1e-12)
    place = np.clip((values - low) / span, 0, 1) * (len(corners) - 1)
    axis = np.arange(len(corners))
    channels = [np.interp(place, axis, corners[:, c]) for c in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def objects_svg(image: np.ndarray, objects: Objects, names: Sequence[str],
                palette: Sequence, alt: str) -> str:
    """An image with masks, boxes and names drawn over it.

    The image turns grey and pale, so that masks stand out even on objects
    of their own colour.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        objects (Objects): What to draw.
        names (Sequence[str]): Names of the classes.
        palette (Sequence): An RGB triple a class.
        alt (str): What it shows, for those who cannot see it.

    Returns:
        str: An ``<svg>`` element.
    """
    grey = image.mean(-1, keepdims=True).repeat(3, -1)
    canvas = 255 - (255 - grey) * 0.45
    for label, mask in zip(objects.labels, objects.masks):
        colour = np.array(palette[label], float)
        shade = 0.65 + 0.35 * grey[mask] / 255
        canvas[mask] = colour * shade
    height, width = image.shape[:2]
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(alt)}"><image width="{width}" '
        f'height="{height}" href="{data_uri(canvas.astype(np.uint8))}"/>'
    ]
    # Boxes first, so that no box covers a name.
    colours = ['#' + bytes(palette[i]).hex() for i in objects.labels]
    for (x1, y1, x2, y2), colour in zip(objects.boxes, colours):
        parts.append(
            f'<rect class="box" x="{x1:.1f}" y="{y1:.1f}" '
            f'width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" '
            f'stroke="{colour}"/>')
    for i, (box, label) in enumerate(zip(objects.boxes, objects.labels)):
        text = names[label]
        if objects.scores is not None:
            text += f' {objects.scores[i]:.2f}'
        parts.append(_tag(box, text, colours[i], (height, width)))
    return ''.join([*parts, '</svg>'])


def _tag(box: np.ndarray, text: str, colour: str, size: tuple) -> str:
    """A name on its box's upper edge, kept inside the picture."""
    # Pictures are shown at one height, so names are a share of it.
    font = size[0] / 18
    room = (0.6 * len(text) + 0.6) * font
    x = min(max(box[0], 0), size[1] - room)
    y = max(box[1] - 1.3 * font, 0)
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{room:.1f}" '
            f'height="{1.3 * font:.1f}" rx="{font / 5:.1f}" '
            f'fill="{colour}"/><text class="tag" x="{x + 0.3 * font:.1f}" '
            f'y="{y + font:.1f}" font-size="{font:.2f}">{escape(text)}'
            '</text>')
