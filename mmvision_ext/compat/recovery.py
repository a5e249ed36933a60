"""Which checkpoint of a work directory a run can go on from."""

import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import CheckpointError, safe_load

_NUMBERED = re.compile(r'(?:epoch|iter)_\d+\.pth')


@dataclass(frozen=True)
class Recovered:
    """A checkpoint to go on from.

    Attributes:
        path (str | None): The file, or the folder of a sharded checkpoint;
            None where no run has written any.
        notes (tuple[str, ...]): A line for each that was passed over.
    """
    path: str | None
    notes: tuple[str, ...] = ()


def find_damage(path: str | os.PathLike) -> str | None:
    """What is wrong with a checkpoint file.

    Every byte is read: the archives of ``torch.save`` hold a checksum of
    each tensor.

    Args:
        path (str | PathLike): The file.

    Returns:
        str | None: What is wrong in a few words; None for a whole one.
    """
    path = Path(path)
    try:
        if path.is_dir():  # of sharded training
            return None if any(path.iterdir()) else 'the folder is empty'
        if not path.exists():
            return 'it does not exist'
        if not path.stat().st_size:
            return 'it is empty'
        with open(path, 'rb') as file:
            if not file.read(2) == b'PK':
                safe_load(path)  # of before torch 1.6, or safetensors
                return None
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        return f'the checksum of {broken} is wrong' if broken else None
    except (zipfile.BadZipFile, zlib.error, EOFError, CheckpointError,
            NotImplementedError) as error:
        return f'it is cut short or damaged ({error})'
    except OSError as error:
        return f'it cannot be read ({error.strerror})'


def newest_checkpoint(work_dir: str | os.PathLike) -> Recovered:
    """The newest whole checkpoint of a work directory.

    First comes the one that ``last_checkpoint`` names, there or, when the
    directory was moved, under the same name here; then ``epoch_*.pth`` and
    ``iter_*.pth``, the last written first.

    Args:
        work_dir (str | PathLike): The directory.

    Returns:
        Recovered: The checkpoint, and what was passed over.

    Raises:
        CheckpointError: If runs have written checkpoints and none is whole.
    """
    folder = Path(work_dir)
    pointer = folder / 'last_checkpoint'
    written = _read_pointer(pointer)
    named = [] if written is None else [written, folder / written.name]
    # Older ones only: a longer run may have used this folder before.
    others = sorted(
        (path for path in folder.glob('*.pth')
         if _NUMBERED.fullmatch(path.name)),
        key=lambda path: path.stat().st_mtime_ns, reverse=True)
    notes: list[str] = []
    if pointer.is_file() and written is None:
        notes.append(f'{pointer} is empty')
    elif written is not None and not any(p.exists() for p in named):
        notes.append(f'{pointer} names {written}, which does not exist')
    for path in dict.fromkeys([*named, *others]):
        if not path.exists():
            continue
        damage = find_damage(path)
        if damage is None:
            if notes:
                notes.append(f'going on from {path}')
            return Recovered(str(path), tuple(notes))
        notes.append(f'{path} cannot be resumed from: {damage}')
    if not notes:
        return Recovered(None)
    raise CheckpointError(
        f'{"; ".join(notes)}; no other checkpoint in {folder}: give --resume '
        f'PATH, or remove {pointer} to start anew')


def _read_pointer(pointer: Path) -> Path | None:
    try:
        text = pointer.read_text(errors='replace').strip()
    except OSError:
        return None
    return Path(text) if text and '\0' not in text else None
