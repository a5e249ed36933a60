"""Metafiles and the model index, in the format of OpenMMLab."""

from collections.abc import Sequence
from typing import Any

from .collect import FAMILIES
from .entries import MASKS, Entry

_MADE = ('# Made from the headers of the configs: python -m mmvision_ext.zoo\n'
         '# Change those, not this file.\n')
_COLLECTIONS: dict[str, dict[str, Any]] = {
    'vHeat': {
        'Metadata': {'Architecture': ['Heat Conduction Operator']},
        'Paper': {
            'Title': 'Building Vision Models upon Heat Conduction',
            'URL': 'https://arxiv.org/abs/2405.16555'},
        'README': 'configs/vheat/README.md'},
    'iTPN': {
        'Metadata': {
            'Architecture': ['HiViT', 'Feature Pyramid',
                             'Masked Image Modelling']},
        'Paper': {
            'Title': 'Integrally Pre-Trained Transformer Pyramid Networks',
            'URL': 'https://arxiv.org/abs/2211.12735'},
        'README': 'configs/itpn/README.md'},
    'Fast-iTPN': {
        'Metadata': {'Architecture': ['Fast-iTPN']},
        'README': 'configs/itpn/README.md'},
    'MA2ML': {
        'Metadata': {'Architecture': ['Multi-Agent Search']},
        'Paper': {
            'Title': 'Multi-Agent Automated Machine Learning',
            'URL': 'https://arxiv.org/abs/2210.09084'},
        'README': 'configs/ma2ml/README.md'},
}


def to_card(entry: Entry) -> dict[str, Any]:
    """Put a model into the form of a metafile.

    Args:
        entry (Entry): The model.

    Returns:
        dict[str, Any]: An item of "Models". "Weights" is left out: no
        converted file is public.
    """
    card: dict[str, Any] = {'Name': entry.name}
    if entry.alias:
        card['Alias'] = [entry.alias]
    card['In Collection'] = entry.collection
    card['Config'] = entry.config
    meta: dict[str, Any] = {'Training Data': entry.dataset}
    if entry.macs is not None and entry.image_size is not None:
        meta['FLOPs'] = entry.macs
        # text: mim takes lists for lists of texts
        meta['Image Size'] = '{} x {}'.format(*entry.image_size)
    if entry.params is not None:
        meta['Parameters'] = entry.params
    card['Metadata'] = meta
    card['Results'] = _results(entry)
    card['Figure'] = entry.figure
    card['Source'] = entry.source
    card['Status'] = entry.status
    return card


def _results(entry: Entry) -> list[dict[str, Any]]:
    """A result a task: boxes and masks of a detector are two."""
    masks = {name: value for name, value in entry.metrics.items()
             if name.startswith('mask')}
    others = {name: value for name, value in entry.metrics.items()
              if name not in masks}
    tasks = [(entry.task, others)] + ([(MASKS, masks)] if masks else [])
    return [{'Dataset': entry.dataset, 'Task': task,
             **({'Metrics': metrics} if metrics else {})}
            for task, metrics in tasks]


def metafile_path(family: str) -> str:
    """Where the metafile of a family is, relative to the checkout."""
    return f'configs/{family}/metafile.yml'


def metafile_text(entries: Sequence[Entry], family: str) -> str:
    """Write the metafile of a family.

    Args:
        entries (Sequence[Entry]): Of all families.
        family (str): The one to write.

    Returns:
        str: YAML.
    """
    import yaml
    chosen = [entry for entry in entries if entry.family == family]
    used = {entry.collection for entry in chosen}
    tree = {
        'Collections': [{'Name': name, **about}
                        for name, about in _COLLECTIONS.items()
                        if name in used],
        'Models': [to_card(entry) for entry in chosen]}
    return _MADE + yaml.safe_dump(tree, sort_keys=False, width=79)


def index_text() -> str:
    """Write the model index, which names the metafiles.

    Returns:
        str: YAML.
    """
    lines = [f'- {metafile_path(family)}\n' for family in FAMILIES]
    return f'{_MADE}Import:\n{"".join(lines)}'
