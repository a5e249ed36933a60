"""A page on which people try networks on their own images."""

from .app import launch_demo
from .networks import DemoNetwork, load_network, quickstart_networks

__all__ = ['DemoNetwork', 'launch_demo', 'load_network',
           'quickstart_networks']
