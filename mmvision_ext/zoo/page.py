"""The page of the model zoo."""

import re
from collections.abc import Mapping, Sequence

from .entries import Entry

_INTRO = """\
<!-- Made by `python -m mmvision_ext.zoo`; change the configs' headers. -->
# Model zoo

Every config of the methods: what it trains, how large it is, what the paper
reports, and what was done with this package.

    python -m mmvision_ext models              # all of them
    python -m mmvision_ext models 'vheat*in1k'
    python -m mmvision_ext models coco --json

After `import mmvision_ext` the names work in the libraries themselves:

    import mmvision_ext, mmpretrain
    mmpretrain.list_models('*itpn*')
    model = mmpretrain.get_model('vheat-tiny_in1k')

    from mmdet.apis import DetInferencer
    detector = DetInferencer('maskrcnn_vheat_tiny_1x_coco', 'weights.pth')

    from mmseg.apis import MMSegInferencer
    segmenter = MMSegInferencer('upernet_vheat_ade20k', 'weights.pth')

No weights are distributed: [weights.md](weights.md) tells how to convert
those of the authors, and without weights a network starts at random.

**How to read the tables.** *Params* and *FLOPs* are counted here, on the
network as it is trained: FLOPs are multiply-adds of one image of the size in
brackets (height x width), for detectors with all the boxes and masks that
the test settings allow. Pre-training has no FLOPs, as they depend on how
much is hidden; its teacher and its momentum copy are not counted. *Reported*
is what the source, of that number under the table, prints, not a measurement
of ours. *Status* is `not run`
(the config builds, trains a step and predicts in a test, and no more) or
`measured here` with the figure.
"""
_TITLES = {
    'vheat': ('vHeat', '../configs/vheat/README.md'),
    'itpn': ('iTPN and Fast-iTPN', '../configs/itpn/README.md'),
    'ma2ml': ('MA2ML, searches', '../configs/ma2ml/README.md'),
}
_REPORTED = re.compile(r' ?\(reported by paper(?:, )?([^)]*)\)')


def format_params(params: int | None) -> str:
    """Write parameters as millions, such as '30.85M'; '' for None."""
    return '' if params is None else f'{params / 1e6:.2f}M'


def format_macs(entry: Entry) -> str:
    """Write multiply-adds with the size of the image, '' without any."""
    if entry.macs is None or entry.image_size is None:
        return ''
    height, width = entry.image_size
    value = f'{entry.macs / 1e9:.1f}G' if entry.macs >= 1e9 else \
        f'{entry.macs / 1e6:.1f}M'
    return f'{value} ({height}x{width})'


def reported(entry: Entry) -> str:
    """Tell what the source of a model reports, in the words of its header.

    Args:
        entry (Entry): The model.

    Returns:
        str: '' where nothing is published.
    """
    if 'reported by paper' not in entry.figure:
        return ''
    text = _REPORTED.sub(
        lambda match: f' ({match[1]})' if match[1] else '', entry.figure)
    return re.sub(r', see \S+$', '', text)


def page_text(entries: Sequence[Entry]) -> str:
    """Write the page.

    Args:
        entries (Sequence[Entry]): Of all families.

    Returns:
        str: Markdown.
    """
    parts = [_INTRO]
    for family, (title, readme) in _TITLES.items():
        chosen = [entry for entry in entries if entry.family == family]
        # Source -> its number under the table, in the order of the rows.
        sources = {_source(entry): 0 for entry in chosen if reported(entry)}
        sources = {name: i for i, name in enumerate(sources, 1)}
        parts.append(
            f'\n## {title}\n\nNotes and commands: [{readme[3:]}]({readme}).'
            '\n\n| name | task, data | params | FLOPs | reported | status |'
            '\n|---|---|---|---|---|---|\n')
        parts += [_row(entry, sources) for entry in chosen]
        parts.append(f'\nSources of {title}:\n\n')
        parts += [f'{i}. {name}\n' for name, i in sources.items()]
    return ''.join(parts)


def _source(entry: Entry) -> str:
    """The publication, without the pre-training that it tells of."""
    return entry.source.split(';')[0]


def _row(entry: Entry, sources: Mapping[str, int]) -> str:
    name = f'[{entry.name}](../{entry.config})'
    if entry.alias:
        name += f', or {entry.alias}'
    figure = reported(entry)
    if figure:
        figure += f' [{sources[_source(entry)]}]'
    cells = (name, f'{entry.task}, {entry.dataset}',
             format_params(entry.params), format_macs(entry), figure,
             entry.status.replace('(docs/results.md)',
                                  '([results](results.md))'))
    return re.sub(r'\|  (?=\|)', '| ', f'| {" | ".join(cells)} |\n')
