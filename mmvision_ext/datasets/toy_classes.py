"""The classes of the generated data, under the ids of the real datasets.

The generated files carry ids and names that ImageNet-1k, COCO and ADE20K own,
so that a stock 1000-class, 80-class or 150-class config reads them unchanged.
Only COCO's and ADE20K's names resemble the shape they stand for; the ImageNet
folders are simply the first six of the 1000, because then the label by sorted
folder name and the ImageNet-1k label are the same number.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class ToyClass:
    """One class of generated object.

    Args:
        shape (str): Outline, see ``toy_shapes.SHAPES``.
        texture (str): Filling, see ``toy_shapes.TEXTURES``.
        hue (float): Hue of the filling, in [0, 1).
        wnid (str): Folder name in the ImageNet layout.
        coco_id (int): Category id in the COCO layout.
        ade_id (int): Pixel value in the ADE20K layout (1 to 150).
    """
    shape: str
    texture: str
    hue: float
    wnid: str
    coco_id: int
    ade_id: int


#: The six classes. The index is the label in the ImageNet layout.
#: COCO names: sports ball, tv, pizza, kite, airplane, skis.
#: ADE20K names: ball, painting, tent, flag, airplane, bench.
TOY_CLASSES: tuple[ToyClass, ...] = (
    ToyClass('disk', 'dots', 0.98, 'n01440764', 37, 120),
    ToyClass('square', 'checks', 0.63, 'n01443537', 72, 23),
    ToyClass('triangle', 'stripes', 0.15, 'n01484850', 59, 115),
    ToyClass('star', 'plain', 0.83, 'n01491361', 38, 150),
    ToyClass('cross', 'gradient', 0.50, 'n01494475', 5, 91),
    ToyClass('bar', 'rings', 0.07, 'n01496331', 35, 70),
)

#: ADE20K pixel values of the backgrounds; 0 is "other" and not evaluated.
ADE_OTHER = 0
ADE_WALL = 1
ADE_SKY = 3
ADE_FLOOR = 4
ADE_GRASS = 10

_COCO_NAMES = (
    'person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, '
    'traffic light, fire hydrant, stop sign, parking meter, bench, bird, cat, '
    'dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, '
    'umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, '
    'kite, baseball bat, baseball glove, skateboard, surfboard, '
    'tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, '
    'banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, '
    'donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, '
    'laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, '
    'sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, '
    'toothbrush').split(', ')
_COCO_UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}

#: All 80 categories. ``CocoDataset`` numbers its labels by the categories
#: that the file lists, so a file listing six of them would give a label of
#: an 80-class model another meaning.
COCO_CATEGORIES: tuple[dict, ...] = tuple(
    dict(id=i, name=name) for i, name in zip(
        (i for i in range(1, 91) if i not in _COCO_UNUSED_IDS),
        _COCO_NAMES,
        strict=True))
