"""Generated scenes: textured shapes on textured backgrounds."""
from dataclasses import dataclass, field

import numpy as np

from .toy_classes import (
    ADE_FLOOR,
    ADE_GRASS,
    ADE_OTHER,
    ADE_SKY,
    ADE_WALL,
    TOY_CLASSES,
)
from .toy_shapes import paint, place, rasterize

# Tries to find a free place for one object before it is left out.
_MAX_TRIES = 30


@dataclass
class Instance:
    """One object of a scene.

    Args:
        label (int): Index into ``TOY_CLASSES``.
        mask (np.ndarray): (H, W) bool.
        polygon (np.ndarray, optional): (P, 2) points (x, y) in pixels; None
            for a crowd.
    """
    label: int
    mask: np.ndarray
    polygon: np.ndarray | None

    @property
    def is_crowd(self) -> bool:
        """Whether the mask covers a group of objects."""
        return self.polygon is None


@dataclass
class Scene:
    """An image and everything known about it.

    Args:
        image (np.ndarray): (H, W, 3) RGB; float in [0, 1] while it is being
            painted, uint8 when finished.
        semantic (np.ndarray): (H, W) uint8, ADE20K pixel values.
        instances (list[Instance]): The objects.
    """
    image: np.ndarray
    semantic: np.ndarray
    instances: list[Instance] = field(default_factory=list)


def _background(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Sky over grass or wall over floor, with a strip of neither at a side."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    horizon = height * rng.uniform(0.35, 0.65)
    lower = y > horizon + height * 0.04 * np.sin(
        2 * np.pi * (x / width + rng.uniform()))
    grain = rng.normal(0, 1, (height, width))
    if rng.uniform() < 0.5:
        top, bottom = ADE_SKY, ADE_GRASS
        shade = 0.75 + 0.2 * y / height + 0.01 * grain
        upper_rgb = shade[..., None] * np.array([0.80, 0.90, 1.0])
        shade = 0.5 + 0.16 * grain
        lower_rgb = shade[..., None] * np.array([0.45, 0.95, 0.30])
    else:
        top, bottom = ADE_WALL, ADE_FLOOR
        row = np.floor(y / 8)
        joint = (y % 8 < 1) | ((x + 6 * (row % 2)) % 12 < 1)
        shade = 0.80 - 0.25 * joint + 0.02 * grain
        upper_rgb = shade[..., None] * np.array([0.95, 0.88, 0.80])
        shade = 0.42 + 0.10 * ((x + y) % 14 < 7) + 0.02 * grain
        lower_rgb = shade[..., None] * np.array([0.80, 0.62, 0.45])
    image = np.where(lower[..., None], lower_rgb, upper_rgb)
    semantic = np.where(lower, bottom, top).astype(np.uint8)
    strip = x < width * rng.uniform(0.0, 0.08)
    image[strip] = 0.15 + 0.05 * np.abs(grain[strip])[:, None]
    semantic[strip] = ADE_OTHER
    return Scene(image, semantic)


def _draw(rng: np.random.Generator, scene: Scene, label: int,
          polygon: np.ndarray, radius: float) -> np.ndarray:
    """Paint one object into the scene and return its mask."""
    cls = TOY_CLASSES[label]
    mask = rasterize(polygon, *scene.semantic.shape)
    period = max(4.0, radius * rng.uniform(0.4, 0.55))
    hue = cls.hue + rng.uniform(-0.02, 0.02)
    colors = paint(cls.texture, mask, hue, period, rng.uniform(0, np.pi))
    scene.image[mask] = colors * rng.uniform(0.85, 1.0)
    scene.semantic[mask] = cls.ade_id
    return mask


def _add_object(rng: np.random.Generator, scene: Scene, label: int,
                occupied: np.ndarray) -> bool:
    height, width = scene.semantic.shape
    for _ in range(_MAX_TRIES):
        radius = min(height, width) * rng.uniform(0.12, 0.28)
        center = (rng.uniform(radius, width - radius),
                  rng.uniform(radius, height - radius))
        polygon = place(TOY_CLASSES[label].shape, center, radius,
                        rng.uniform(0, 2 * np.pi))
        if not (rasterize(polygon, height, width) & occupied).any():
            mask = _draw(rng, scene, label, polygon, radius)
            occupied |= mask
            scene.instances.append(Instance(label, mask, polygon))
            return True
    return False


def _add_crowd(rng: np.random.Generator, scene: Scene, label: int,
               occupied: np.ndarray) -> None:
    """A row of small objects of one class, annotated as one crowd."""
    height, width = scene.semantic.shape
    radius = min(height, width) * 0.06
    crowd = np.zeros_like(occupied)
    for x in np.arange(radius, width - radius, 2.2 * radius):
        center = (x, height - 1.5 * radius)
        polygon = place(TOY_CLASSES[label].shape, center, radius,
                        rng.uniform(0, 2 * np.pi))
        crowd |= _draw(rng, scene, label, polygon, radius)
    occupied |= crowd
    scene.instances.append(Instance(label, crowd, None))


def _finish(rng: np.random.Generator, scene: Scene) -> Scene:
    noise = rng.normal(0, 0.015, scene.image.shape)
    scene.image = (255 * np.clip(scene.image + noise, 0, 1)).astype(np.uint8)
    return scene


def make_scene(rng: np.random.Generator,
               height: int,
               width: int,
               objects: int,
               crowd: bool = False) -> Scene:
    """Draw a scene of several objects that do not cover one another.

    Args:
        rng (np.random.Generator): Source of all randomness.
        height (int): Height in pixels.
        width (int): Width in pixels.
        objects (int): Number of objects wished for. An object that finds no
            free place is left out, except the first.
        crowd (bool): Whether to add a group of small objects annotated as
            one crowd. Default: False.

    Returns:
        Scene: The finished scene.
    """
    scene = _background(rng, height, width)
    occupied = np.zeros((height, width), dtype=bool)
    if crowd:
        _add_crowd(rng, scene, int(rng.integers(len(TOY_CLASSES))), occupied)
    for _ in range(objects):
        _add_object(rng, scene, int(rng.integers(len(TOY_CLASSES))), occupied)
    return _finish(rng, scene)


def make_single_object(rng: np.random.Generator, size: int,
                       label: int) -> Scene:
    """Draw one large object, as for image classification.

    Args:
        rng (np.random.Generator): Source of all randomness.
        size (int): Height and width in pixels.
        label (int): Index into ``TOY_CLASSES``.

    Returns:
        Scene: The finished scene with one instance.
    """
    scene = _background(rng, size, size)
    radius = size * rng.uniform(0.25, 0.42)
    center = (rng.uniform(radius, size - radius),
              rng.uniform(radius, size - radius))
    polygon = place(TOY_CLASSES[label].shape, center, radius,
                    rng.uniform(0, 2 * np.pi))
    mask = _draw(rng, scene, label, polygon, radius)
    scene.instances.append(Instance(label, mask, polygon))
    return _finish(rng, scene)
