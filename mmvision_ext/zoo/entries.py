"""The models of the zoo, as their metafiles have them."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..engine.errors import LaunchError
from ..engine.shipped import shipped_root

#: Task -> library that builds and trains its models.
SCOPES: dict[str, str | None] = {
    'Image Classification': 'mmpretrain',
    'Self-Supervised Learning': 'mmpretrain',
    'Object Detection': 'mmdet',
    'Semantic Segmentation': 'mmseg',
    'Pipeline Search': None,
}
MASKS = 'Instance Segmentation'


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Args:
        name (str): Its name, that of its config.
        family (str): Folder of the config: 'vheat', 'itpn' or 'ma2ml'.
        collection (str): The method, such as 'Fast-iTPN'.
        task (str): One of :data:`SCOPES`. Detectors predict masks too.
        dataset (str): What the config trains and scores on.
        config (str): Path of the config, relative to the folder that
            :func:`mmvision_ext.engine.shipped.shipped_root` tells.
        figure (str): Field "Metric" of the header, in its words.
        source (str): Field "Source" of the header.
        status (str): Field "Status" of the header: 'not run' or 'measured
            here: ...'.
        alias (str, optional): A shorter name. Defaults to None.
        params (int, optional): Parameters, as trained. None for a search.
        macs (int, optional): Multiply-adds of an image, as trained. None
            where it is not one number: pre-training, a search.
        image_size (tuple[int, int], optional): Height and width in pixels
            that ``macs`` holds for. None where that is None.
        metrics (Mapping[str, float]): The figure as numbers, in percent:
            of the paper, or measured here where no paper has one. Empty
            where neither is.
    """

    name: str
    family: str
    collection: str
    task: str
    dataset: str
    config: str
    figure: str
    source: str
    status: str
    alias: str | None = None
    params: int | None = None
    macs: int | None = None
    image_size: tuple[int, int] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def scope(self) -> str | None:
        """Library of the model; None for a search."""
        return SCOPES[self.task]

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it goes by."""
        return (self.name, self.alias) if self.alias else (self.name, )

    @property
    def config_path(self) -> Path:
        """Where the config is on this machine."""
        return shipped_root() / self.config


def _from_card(card: Mapping[str, Any]) -> Entry:
    """The opposite of :func:`mmvision_ext.zoo.metafile.to_card`."""
    meta, results = card.get('Metadata', {}), card['Results']
    metrics: dict[str, float] = {}
    for result in results:
        metrics.update(result.get('Metrics', {}))
    size = tuple(int(n) for n in meta.get('Image Size', '').split(' x ')
                 if n)
    return Entry(
        name=card['Name'], family=Path(card['Config']).parent.name,
        collection=card['In Collection'], task=results[0]['Task'],
        dataset=results[0]['Dataset'], config=card['Config'],
        figure=card['Figure'], source=card['Source'], status=card['Status'],
        alias=card.get('Alias', [None])[0], params=meta.get('Parameters'),
        macs=meta.get('FLOPs'), image_size=size or None,
        metrics=metrics)


@lru_cache(maxsize=4)
def read_entries(root: Path) -> tuple[Entry, ...]:
    """Read every metafile that a model index names.

    Args:
        root (Path): Folder of ``model-index.yml``.

    Returns:
        tuple[Entry, ...]: In the order of the files.

    Raises:
        LaunchError: If a file is missing or not what the generator makes.
    """
    import yaml
    entries: list[Entry] = []
    path = root / 'model-index.yml'
    try:
        for name in yaml.safe_load(path.read_text('utf-8'))['Import']:
            path = root / name
            cards = yaml.safe_load(path.read_text('utf-8'))['Models']
            entries.extend(map(_from_card, cards))
    except (OSError, yaml.YAMLError, LookupError, TypeError) as error:
        raise LaunchError(
            f'{path} cannot be read as a metafile of the model zoo ({error!r})'
            '; install mmvision_ext again, or in a checkout run '
            '`python -m mmvision_ext.zoo`') from error
    return tuple(entries)


def list_entries(pattern: str = '*') -> list[Entry]:
    """List the models of the zoo.

    Args:
        pattern (str): Of names and aliases, with the wildcards ``*``, ``?``
            and ``[...]``; a word without any is looked for anywhere in them.
            Case does not matter. Defaults to '*', which is all.

    Returns:
        list[Entry]: Those that match, sorted by family and name.

    Raises:
        LaunchError: If the metafiles are missing or broken.
    """
    pattern = pattern.lower()
    if not set(pattern) & set('*?['):
        pattern = f'*{pattern}*'
    return sorted(
        (entry for entry in read_entries(shipped_root())
         if any(fnmatch.fnmatchcase(name, pattern) for name in entry.names)),
        key=lambda entry: (entry.family, entry.name))
