"""Where a study is kept: one journal file by default, or any Optuna storage.

The journal is Optuna's own format, so that ``optuna-dashboard`` and plain
Optuna open it unchanged. What is added here is what a search that may be
killed at any moment, or run out of disk, needs of a file.
"""
import fcntl
import json
import os
from pathlib import Path
from typing import Any, Optional

from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import (
    JournalFileBackend,
    JournalFileSymlinkLock,
)

from .errors import SearchError

#: Name of the journal within the work directory.
JOURNAL = 'study.log'


class JournalLock(JournalFileSymlinkLock):
    """Optuna's lock on a journal, without its wait for the dead.

    A process that is killed while it appends leaves Optuna's lock file
    behind, and the next one waits half a minute for it. Here the kernel's
    lock is taken first, which dies with its owner; a lock file of ours that
    is there nevertheless has nobody behind it. The lock file is still made,
    for whoever opens the journal with Optuna alone.

    Args:
        path (str): The journal.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        # Tells our lock files from Optuna's, whose target is the path as
        # it was given. It has to exist: Optuna looks at its time.
        self._lock_target_file = os.path.join('.', os.path.basename(path))
        self._guard = path + '.guard'
        self._handle: Optional[int] = None

    def acquire(self) -> bool:
        """Wait for the lock.

        Returns:
            bool: True.
        """
        handle = os.open(self._guard, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            # A file system without it: Optuna's lock alone has to do.
            os.close(handle)
            return super().acquire()
        self._handle = handle
        try:
            if os.readlink(self._lock_file) == self._lock_target_file:
                os.unlink(self._lock_file)
        except OSError:
            pass
        try:
            return super().acquire()
        except BaseException:
            self._drop_guard()
            raise

    def release(self) -> None:
        """Give the lock back."""
        try:
            super().release()
        finally:
            self._drop_guard()

    def _drop_guard(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class SafeJournalBackend(JournalFileBackend):
    """A journal file that a full disk or a kill leaves readable.

    Optuna appends without looking at what it wrote: half a record that did
    not fit on the disk would be joined by the next one, and the file could
    never be read again. Here a record is there as a whole or not at all.

    Args:
        path (str): The journal; made if it does not exist.
    """

    def __init__(self, path: str) -> None:
        self._own_lock = JournalLock(path)
        super().__init__(path, lock_obj=self._own_lock)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, all or none.

        Args:
            logs (list[dict]): The records.

        Raises:
            OSError: If they could not be written; none of them is there.
        """
        text = ''.join(
            json.dumps(log, separators=(',', ':')) + '\n' for log in logs)
        self._own_lock.acquire()
        try:
            with open(self._file_path, 'r+b', buffering=0) as file:
                end = whole_length(file)
                if file.seek(0, os.SEEK_END) != end:
                    # Another process was killed while it wrote.
                    file.truncate(end)
                self._write(file, text.encode(), end)
        finally:
            self._own_lock.release()

    @staticmethod
    def _write(file: Any, data: bytes, end: int) -> None:
        file.seek(end)
        try:
            done = 0
            while done < len(data):
                done += file.write(data[done:])
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise


def whole_length(file: Any) -> int:
    """Length of a journal without a last record that has no end.

    Args:
        file (BinaryIO): The journal, open for reading.

    Returns:
        int: Position behind the last newline, in bytes.
    """
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        step = min(4096, position)
        file.seek(position - step)
        found = file.read(step).rfind(b'\n')
        if found >= 0:
            return position - step + found + 1
        position -= step
    return 0


def mend_journal(path: Path) -> Optional[str]:
    """Look a journal through before it is used.

    A record cut off at the end was never confirmed to whoever wrote it, so
    it is taken off; everything before is kept. Damage in the middle is not
    mended: what follows it may depend on what is lost.

    Args:
        path (Path): The journal; may be absent.

    Returns:
        str | None: One line about what was done, None if all was well.

    Raises:
        SearchError: If a record in the middle cannot be read.
    """
    if not path.exists():
        return None
    lock = JournalLock(str(path))
    lock.acquire()
    try:
        with open(path, 'r+b') as file:
            end = whole_length(file)
            rest = file.seek(0, os.SEEK_END) - end
            _check_records(path, file, end)
            if rest:
                file.truncate(end)
    finally:
        lock.release()
    if not rest:
        return None
    return (f'{path}: the last record was cut off ({rest} bytes without an '
            'end) and has been removed; everything before it is kept')


def _check_records(path: Path, file: Any, end: int) -> None:
    file.seek(0)
    place = number = 0
    while place < end:
        line = file.readline()
        number += 1
        try:
            if 'op_code' not in json.loads(line):
                raise ValueError('no op_code')
        except (ValueError, TypeError) as error:
            raise SearchError(
                f'{path}: record {number} (byte {place}) is damaged and '
                'others follow it. Put a copy of the file in its place, or '
                f'keep what comes before: cp {path} {path}.damaged; head -n '
                f'{number - 1} {path}.damaged > {path}; then start again '
                'with --resume: trials that had finished are taken from '
                'their folders') from error
        place += len(line)


def open_storage(url: Optional[str], work_dir: Path
                 ) -> tuple[BaseStorage, list[str]]:
    """Open the storage of a study.

    Args:
        url (str, optional): What ``--storage`` says: any URL that Optuna
            takes (``postgresql://``, ``mysql://``, ``sqlite:///``,
            ``redis://``), ``grpc://HOST:PORT`` of a proxy, or the path of a
            journal. None: the journal in the work directory.
        work_dir (Path): The work directory.

    Returns:
        tuple: The storage, and lines that the user should read.

    Raises:
        SearchError: If it cannot be opened.
    """
    if url is None or '://' not in url:
        path = Path(url) if url else work_dir / JOURNAL
        path.parent.mkdir(parents=True, exist_ok=True)
        line = mend_journal(path)
        backend = SafeJournalBackend(str(path))
        return JournalStorage(backend), [line] if line else []
    try:
        if url.startswith('grpc://'):
            return _open_proxy(url[len('grpc://'):]), []
        return get_storage(url), []
    except ImportError as error:
        raise SearchError(f'--storage {hide_password(url)}: its driver is '
                          f'not installed: {error}') from error
    except Exception as error:
        # Drivers raise errors of their own when nobody answers.
        reason = str(error).strip().partition('\n')[0]
        raise SearchError(f'--storage {hide_password(url)} cannot be opened: '
                          f'{type(error).__name__}: {reason}') from error


def _open_proxy(place: str) -> BaseStorage:
    from optuna.storages import GrpcStorageProxy
    host, _, port = place.rstrip('/').rpartition(':')
    if not host or not port.isdigit():
        raise SearchError(f'--storage grpc://{place}: expected '
                          'grpc://HOST:PORT')
    return GrpcStorageProxy(host=host, port=int(port))


def hide_password(url: str) -> str:
    """A storage's URL without the password in it.

    Args:
        url (str): Such as ``postgresql://user:secret@host/name``.

    Returns:
        str: The same with ``***`` for the secret.
    """
    scheme, mark, rest = url.partition('://')
    account, at, host = rest.rpartition('@')
    user, colon, _ = account.partition(':')
    return f'{scheme}{mark}{user}{":***" if colon else ""}{at}{host}'
