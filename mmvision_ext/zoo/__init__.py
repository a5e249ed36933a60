"""The model zoo: what the configs are, how large and how well they do.

``metafile.yml`` in the folder of each family is made from the headers of the
configs and from the counter of the suite (``python -m mmvision_ext.zoo``),
and read again here. :mod:`mmvision_ext.zoo.hub` makes the names known to
mmpretrain, mmdet and mmseg.
"""

from .entries import Entry, list_entries

__all__ = ['Entry', 'list_entries']
