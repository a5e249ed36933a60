"""MA2ML: agents that search a whole training pipeline together."""

from .space import Condition, Decision, SearchSpace

__all__ = ['Condition', 'Decision', 'SearchSpace']
