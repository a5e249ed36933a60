"""Files that are either whole or not there."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | os.PathLike,
                     write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that its name never stands for half of it.

    The bytes go to a draft beside it, to the disk, and then take the name in
    one step. What had the name before stays until then.

    Args:
        path (str | PathLike): The file; its folder is made.
        write (Callable): Is given the open draft.

    Raises:
        OSError: If it cannot be written, with the path; the draft is gone
            and what had the name is as it was.
    """
    path = Path(path)
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(
            dir=path.parent, prefix=f'.{path.name}.', suffix='.part')
        with os.fdopen(handle, 'wb') as file:
            # mkstemp lets nobody else read; open() would have gone by umask
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException as error:
        if draft is not None:
            with contextlib.suppress(OSError):
                os.unlink(draft)
        if isinstance(error, OSError) and not isinstance(
                error, FileNotFoundError):
            raise OSError(error.errno, error.strerror or str(error),
                          str(path)) from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def remove_drafts(folder: str | os.PathLike) -> list[str]:
    """Remove what writes that were killed left of checkpoints.

    Args:
        folder (str | PathLike): Where the checkpoints are.

    Returns:
        list[str]: Names of the removed files.
    """
    removed = []
    for path in sorted(Path(folder).glob('.*.pth.*.part')):
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path.name)
    return removed
