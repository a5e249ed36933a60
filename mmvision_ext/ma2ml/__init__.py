"""MA2ML: agents that search a whole training pipeline together."""

from .decision import Condition, Decision
from .space import SearchSpace

__all__ = ['Condition', 'Decision', 'SearchSpace']
