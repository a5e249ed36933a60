"""Networks from weight files, and what they see in images, in one call."""

from .inputs import Failure, read_image
from .predictor import Predictor, load_predictor
from .results import ClassResult, InstanceResult, SegmentResult
from .weights import load_model

__all__ = [
    'ClassResult', 'Failure', 'InstanceResult', 'Predictor', 'SegmentResult',
    'load_model', 'load_predictor', 'read_image'
]
