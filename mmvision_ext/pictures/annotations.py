"""Labels, boxes, masks and label maps, drawn over images."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .colours import IGNORED, label_map
from .figure import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: How much of an image shows through masks and label maps.
_THROUGH = 0.45
#: With more objects than this, a legend stands for their names.
_NAMED = 12
#: What a label map shows where pixels do not count.
IGNORE = 255


@dataclass
class Objects:
    """Objects of an image, true or predicted.

    Args:
        boxes (np.ndarray): Shape (N, 4), x1 y1 x2 y2 in pixels.
        labels (np.ndarray): Shape (N, ), class numbers.
        masks (np.ndarray, optional): Shape (N, H, W), bool; None without
            masks.
        scores (np.ndarray, optional): Shape (N, ), in [0, 1]; None if true.
    """
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None
    scores: np.ndarray | None = None


@dataclass
class Annotated:
    """An image with what is known of it.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        label (int, optional): Its class.
        objects (Objects, optional): What is in it.
        seg_map (np.ndarray, optional): A class a pixel, (H, W), 255 where
            they do not count.
    """
    image: np.ndarray
    label: int | None = None
    objects: Objects | None = None
    seg_map: np.ndarray | None = None


def name_of(classes: Sequence[str], label: int) -> str:
    """Name of a class, its number if it has none."""
    return classes[label] if 0 <= label < len(classes) else str(label)


def draw(cell: Axes, item: Annotated, classes: Sequence[str],
         palette: Sequence, title: str = '') -> None:
    """Put an image with its annotations into a cell.

    Args:
        cell (Axes): The cell.
        item (Annotated): What to draw.
        classes (Sequence[str]): Names of the classes.
        palette (Sequence): An RGB triple a class.
        title (str): What stands above. Defaults to nothing.
    """
    image = item.image
    if item.seg_map is not None:
        image = blend(image, item.seg_map, palette)
    if item.objects is not None and item.objects.masks is not None:
        image = blend_masks(image, item.objects, palette)
    show(cell, image, title)
    if item.objects is not None:
        _draw_boxes(cell, item.objects, classes, palette)
    if item.label is not None:
        cell.set_xlabel(name_of(classes, item.label), fontsize=9)
    cell.set(xlim=(-0.5, image.shape[1] - 0.5),
             ylim=(image.shape[0] - 0.5, -0.5))


def blend(image: np.ndarray, seg_map: np.ndarray,
          palette: Sequence) -> np.ndarray:
    """A label map over its image.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        seg_map (np.ndarray): Shape (H, W), class numbers, 255 for none.
        palette (Sequence): An RGB triple a class.

    Returns:
        np.ndarray: Shape (H, W, 3), RGB, uint8.
    """
    colours = label_map(seg_map.astype(np.uint8), palette)
    mixed = image * _THROUGH + colours * (1 - _THROUGH)
    return mixed.round().astype(np.uint8)


def blend_masks(image: np.ndarray, objects: Objects,
                palette: Sequence) -> np.ndarray:
    """Masks over their image, outlined by nothing, in the class's colour.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        objects (Objects): With masks.
        palette (Sequence): An RGB triple a class.

    Returns:
        np.ndarray: Shape (H, W, 3), RGB, uint8.
    """
    # The image turns grey and pale, so that masks stand out even on objects
    # of their own colour.
    grey = image.mean(-1, keepdims=True).repeat(3, -1)
    canvas = 255 - (255 - grey) * 0.6
    for label, mask in zip(objects.labels, objects.masks):
        colour = np.array(palette[label], float)
        canvas[mask] = colour * (0.65 + 0.35 * grey[mask] / 255)
    return canvas.round().astype(np.uint8)


def _draw_boxes(cell: Axes, objects: Objects, classes: Sequence[str],
                palette: Sequence) -> None:
    from matplotlib.patches import Rectangle
    crowded = len(objects.boxes) > _NAMED
    for i, (box, label) in enumerate(zip(objects.boxes, objects.labels)):
        colour = np.array(palette[label]) / 255
        x1, y1, x2, y2 = map(float, box)
        # Pixel i reaches from i - 0.5 to i + 0.5 there.
        cell.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1,
                                 fill=False, edgecolor=colour,
                                 linewidth=0.8 if crowded else 1.5))
        if crowded:
            continue
        text = name_of(classes, int(label))
        if objects.scores is not None:
            text += f' {objects.scores[i]:.2f}'
        dark = colour @ (0.299, 0.587, 0.114) < 0.55
        cell.text(max(x1, 0.), max(y1, 0.), text, fontsize=6.5,
                  va='bottom' if y1 > 8 else 'top', clip_on=True,
                  color='white' if dark else 'black',
                  bbox=dict(facecolor=colour, edgecolor='none', pad=1.))


def add_legend(figure: Figure, items: Sequence[Annotated],
               classes: Sequence[str], palette: Sequence) -> None:
    """Name the classes of label maps, and of objects too many for names.

    Args:
        figure (Figure): Gets a legend if there is anything to name.
        items (Sequence[Annotated]): What is drawn in it.
        classes (Sequence[str]): Names of the classes.
        palette (Sequence): An RGB triple a class.
    """
    from matplotlib.patches import Patch
    found: set[int] = set()
    for item in items:
        if item.seg_map is not None:
            found.update(np.unique(item.seg_map).tolist())
        if item.objects is not None and len(item.objects.boxes) > _NAMED:
            found.update(item.objects.labels.tolist())
    handles = [
        Patch(color=np.array(IGNORED if i == IGNORE else palette[i]) / 255,
              label='not counted' if i == IGNORE else name_of(classes, i))
        for i in sorted(found) if i == IGNORE or i < len(palette)]
    if handles:
        figure.legend(handles=handles, loc='outside right upper',
                      frameon=False, fontsize=8)
