"""Generated data that the stock dataset types read."""
from .toy_classes import COCO_CATEGORIES, TOY_CLASSES, ToyClass
from .toy_data import make_toy_data
from .toy_scenes import Instance, Scene, make_scene, make_single_object

__all__ = [
    'COCO_CATEGORIES', 'Instance', 'Scene', 'TOY_CLASSES', 'ToyClass',
    'make_scene', 'make_single_object', 'make_toy_data'
]
