"""The quickstart: short trainings and a page about them."""
from .hooks import InitialValHook

__all__ = ['InitialValHook']
