"""Outlines, fillings and rasterisation of the generated objects.

Coordinates are (x, y) in pixels with the origin at the top left corner of the
image, so the centre of the first pixel is (0.5, 0.5), as in COCO.
"""
import colorsys

import numpy as np


def _regular(count: int, phase: float = 0.0) -> np.ndarray:
    angle = phase + 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _star() -> np.ndarray:
    points = _regular(10)
    points[1::2] *= 0.45
    return points


def _cross() -> np.ndarray:
    arm, end = 0.33, 0.94
    corner = np.array([[arm, end], [arm, arm], [end, arm]])
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    # A quarter turn a time: the twelve corners in order around the centre.
    parts = [corner @ np.linalg.matrix_power(turn, k) for k in range(4)]
    return np.concatenate(parts)


def _bar() -> np.ndarray:
    return np.array([[1.0, 0.26], [-1.0, 0.26], [-1.0, -0.26], [1.0, -0.26]])


#: Outline of each shape, (P, 2) points within the unit circle.
SHAPES: dict[str, np.ndarray] = {
    'disk': _regular(32),
    'square': _regular(4, np.pi / 4),
    'triangle': _regular(3),
    'star': _star(),
    'cross': _cross(),
    'bar': _bar(),
}


def place(shape: str, center: tuple[float, float], radius: float,
          angle: float) -> np.ndarray:
    """Turn, scale and move the outline of a shape.

    Args:
        shape (str): One of ``SHAPES``.
        center (tuple[float, float]): (x, y) of its centre, in pixels.
        radius (float): Radius of the circle around it, in pixels.
        angle (float): Rotation, in radians.

    Returns:
        np.ndarray: (P, 2) points (x, y), in pixels.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, sin], [-sin, cos]])
    return SHAPES[shape] @ rotation * radius + np.asarray(center)


def rasterize(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels whose centre lies inside a polygon (even-odd rule).

    Args:
        polygon (np.ndarray): (P, 2) points (x, y), in pixels.
        height (int): Height of the image.
        width (int): Width of the image.

    Returns:
        np.ndarray: Mask of shape (height, width), bool.
    """
    y = np.arange(height)[:, None] + 0.5
    x = np.arange(width)[None, :] + 0.5
    inside = np.zeros((height, width), dtype=bool)
    ends = np.roll(polygon, -1, axis=0)
    for (x0, y0), (x1, y1) in zip(polygon, ends, strict=True):
        if y0 == y1:
            continue
        crosses = (y0 <= y) != (y1 <= y)
        inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.3


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (np.floor(u) + np.floor(v)) % 2


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u % 1 < 0.5


def _plain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.ones_like(u)


def _gradient(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u - u.min()) / max(float(np.ptp(u)), 1e-6)


def _rings(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u, v) % 1 < 0.5


#: Fillings: map coordinates in units of the pattern's period to [0, 1].
TEXTURES = {
    'dots': _dots,
    'checks': _checks,
    'stripes': _stripes,
    'plain': _plain,
    'gradient': _gradient,
    'rings': _rings,
}


def paint(texture: str, mask: np.ndarray, hue: float, period: float,
          angle: float) -> np.ndarray:
    """Colours of the pixels of a mask.

    Args:
        texture (str): One of ``TEXTURES``.
        mask (np.ndarray): (H, W) bool, with at least one pixel set.
        hue (float): Hue, in [0, 1).
        period (float): Period of the pattern, in pixels.
        angle (float): Rotation of the pattern, in radians.

    Returns:
        np.ndarray: (N, 3) RGB in [0, 1] for the N pixels of the mask, in
        row-major order.
    """
    y, x = np.nonzero(mask)
    y, x = y - y.mean(), x - x.mean()
    u = (np.cos(angle) * x + np.sin(angle) * y) / period
    v = (-np.sin(angle) * x + np.cos(angle) * y) / period
    value = TEXTURES[texture](u, v).astype(float)[:, None]
    light = np.array(colorsys.hsv_to_rgb(hue % 1, 0.75, 1.0))
    dark = np.array(colorsys.hsv_to_rgb(hue % 1, 0.95, 0.45))
    return value * light + (1 - value) * dark
