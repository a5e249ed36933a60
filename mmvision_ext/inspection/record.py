"""What an inspection finds, and how it is told."""
from collections import Counter
from dataclasses import dataclass, field
from statistics import median

EXAMPLES = 3


@dataclass
class Split:
    """One part of a data set.

    Args:
        name (str): Such as ``train``.
        images (str): Folder of the images, relative to the root.
        annotations (str): File or folder of the annotations, relative to
            the root; empty for a folder a class.
        sizes (list[tuple[int, int]]): Width and height of each image that
            could be read, in pixels.
        counts (Counter): Class -> images, boxes or pixels.
    """
    name: str
    images: str
    annotations: str = ''
    sizes: list[tuple[int, int]] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)


@dataclass
class DataSet:
    """A data set.

    Args:
        layout (str): ``coco``, ``voc``, ``folders`` or ``ade``.
        root (str): Its folder.
        scope (str): Library that trains on it.
        classes (list[str]): Names, in the order of the labels.
        unit (str): What the counts of the classes count.
        splits (list[Split]): Its parts, that to train on first.
        faults (dict[str, list[str]]): Kind -> each place.
        notes (list[str]): What a reader should know and is no fault.
        facts (dict): What the layout adds: number of ``objects`` and of
            ``masks`` of COCO and VOC, ``reduce_zero_label`` and the
            suffix of ADE.
    """
    layout: str
    root: str
    scope: str
    unit: str
    classes: list[str] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict = field(default_factory=dict)

    def fault(self, kind: str, place: str) -> None:
        """Note a fault.

        Args:
            kind (str): What is wrong.
            place (str): Where.
        """
        self.faults.setdefault(kind, []).append(place)

    def lines(self) -> list[str]:
        """The report.

        Returns:
            list[str]: Lines to print.
        """
        lines = [f'{self.root}: {TITLES[self.layout]}, for {self.scope}']
        for split in self.splits:
            lines.append(f'{split.name}: {len(split.sizes)} images'
                         f'{_sizes(split.sizes)}')
            lines += [f'  {name}: {split.counts[name]} {self.unit}'
                      for name in self.classes]
        lines += [f'note: {note}' for note in self.notes]
        for kind, places in self.faults.items():
            more = len(places) - EXAMPLES
            lines.append(
                f'fault: {kind}: {len(places)} ('
                + '; '.join(places[:EXAMPLES])
                + (f'; and {more} more' if more > 0 else '') + ')')
        if not self.faults:
            lines.append('no faults')
        return lines


TITLES = {
    'coco': 'COCO annotations',
    'voc': 'XML annotations, as PASCAL VOC',
    'folders': 'a folder of images a class',
    'ade': 'pairs of images and label maps, as ADE20K',
}


def _sizes(sizes: list[tuple[int, int]]) -> str:
    if not sizes:
        return ''
    parts = [f'{name} {min(side)}/{median(side):g}/{max(side)}'
             for name, side in zip(('width', 'height'), zip(*sizes))]
    return f', {" and ".join(parts)} (min/median/max)'
