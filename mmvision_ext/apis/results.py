"""What a network sees in an image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_COLOURS = ((230, 80, 88), (72, 118, 240), (214, 170, 20), (200, 80, 190),
            (30, 160, 160), (226, 126, 48), (94, 156, 72), (130, 110, 220),
            (150, 110, 80), (90, 140, 190))


def colour(number: int) -> tuple[int, int, int]:
    """Colour of a class; ten of them, then from the first again."""
    return _COLOURS[number % len(_COLOURS)]


def _font(image: Image.Image) -> Any:
    return ImageFont.load_default(max(max(image.size) // 40, 12))


def _label(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str,
           fill: tuple[int, int, int], font: Any) -> None:
    box = pen.textbbox(at, text, font=font)
    pen.rectangle(box, fill=fill)
    pen.text(at, text, fill=(255, 255, 255), font=font)


@dataclass(frozen=True)
class _Result:
    """What all results have.

    Args:
        source (str): Name of the image.
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
    """
    source: str
    image: np.ndarray


@dataclass(frozen=True)
class ClassResult(_Result):
    """Classes of an image, the most likely first.

    Args:
        source (str): Name of the image.
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        labels (tuple[int, ...]): Numbers of the classes.
        names (tuple[str, ...]): Their names.
        scores (tuple[float, ...]): Their probabilities.
    """
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as plain numbers and texts."""
        return dict(source=self.source, task='classification', classes=[
            dict(label=label, name=name, score=score) for label, name, score
            in zip(self.labels, self.names, self.scores)])

    def draw(self) -> np.ndarray:
        """The image with the classes written on it, (H, W, 3), RGB."""
        picture = Image.fromarray(self.image)
        pen, font = ImageDraw.Draw(picture), _font(picture)
        top = 2.
        for label, name, score in zip(self.labels, self.names, self.scores):
            text = f'{name} {score:.3f}'
            _label(pen, (2, top), text, colour(label), font)
            top = pen.textbbox((2, top), text, font=font)[3] + 2
        return np.asarray(picture)


@dataclass(frozen=True)
class InstanceResult(_Result):
    """Objects in an image, the surest first.

    Args:
        source (str): Name of the image.
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        boxes (np.ndarray): Shape (N, 4), left, top, right, bottom in pixels
            of the image.
        masks (np.ndarray, optional): Shape (N, H, W), bool; None of a
            network without masks.
        labels (tuple[int, ...]): Numbers of the classes.
        names (tuple[str, ...]): Their names.
        scores (tuple[float, ...]): Between 0 and 1.
    """
    boxes: np.ndarray
    masks: np.ndarray | None
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as plain numbers and texts; masks as COCO's RLE."""
        objects = [dict(label=label, name=name, score=score,
                        box=[round(float(x), 2) for x in box])
                   for label, name, score, box in zip(
                       self.labels, self.names, self.scores, self.boxes)]
        if self.masks is not None:
            for item, mask in zip(objects, self.masks):
                item['mask'] = _rle(mask)
        return dict(source=self.source, task='detection',
                    size=list(self.image.shape[:2]), objects=objects)

    def draw(self) -> np.ndarray:
        """The image with boxes, masks and names, (H, W, 3), RGB."""
        out = self.image.copy()
        for mask, label in zip(self.masks if self.masks is not None else (),
                               self.labels):
            # (M, 3) pixels of the mask
            out[mask] = 0.5 * out[mask] + 0.5 * np.array(colour(label))
        picture = Image.fromarray(out)
        pen, font = ImageDraw.Draw(picture), _font(picture)
        for box, label, name, score in zip(self.boxes, self.labels,
                                           self.names, self.scores):
            left, top, right, bottom = map(float, box)
            pen.rectangle((left, top, max(left, right), max(top, bottom)),
                          outline=colour(label), width=2)
            _label(pen, (left, max(top, 0)), f'{name} {score:.2f}',
                   colour(label), font)
        return np.asarray(picture)


@dataclass(frozen=True)
class SegmentResult(_Result):
    """The class of each pixel.

    Args:
        source (str): Name of the image.
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        map (np.ndarray): Shape (H, W), number of the class.
        names (tuple[str, ...]): Names of all classes, by number.
    """
    map: np.ndarray
    names: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The share of each class as plain numbers and texts."""
        numbers, counts = np.unique(self.map, return_counts=True)
        return dict(
            source=self.source, task='segmentation',
            size=list(self.map.shape), segments=[
                dict(label=int(n), name=self.name(int(n)), pixels=int(c))
                for n, c in zip(numbers, counts)])

    def name(self, label: int) -> str:
        """Name of a class, or its number."""
        known = label < len(self.names)
        return self.names[label] if known else f'class {label}'

    def draw(self) -> np.ndarray:
        """The image under the colours of its segments, (H, W, 3), RGB."""
        out = self.image.copy()
        present = np.unique(self.map).tolist()
        for label in present:
            mask = self.map == label
            # (M, 3) pixels of the class
            out[mask] = 0.5 * out[mask] + 0.5 * np.array(colour(label))
        picture = Image.fromarray(out)
        pen, font = ImageDraw.Draw(picture), _font(picture)
        top = 2.
        for label in present:
            _label(pen, (2, top), self.name(label), colour(label), font)
            top = pen.textbbox((2, top), self.name(label),
                               font=font)[3] + 2
        return np.asarray(picture)


def _rle(mask: np.ndarray) -> dict[str, Any]:
    from pycocotools import mask as coco
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=[int(n) for n in code['size']],
                counts=code['counts'].decode())
