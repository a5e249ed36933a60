"""Safe loading in mmengine: ``load_from``, ``resume``, ``init_cfg`` and all.

:func:`install` makes every loader of mmengine end in
:func:`mmvision_ext.compat.checkpoint.safe_load`.
"""

import os
from types import ModuleType
from typing import Any
from urllib.error import URLError
from urllib.parse import urlparse

import torch

from .checkpoint import CheckpointError, Source, safe_load


class _SafeTorch(ModuleType):
    """torch as mmengine's checkpoint module sees it: a safe ``load``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(f: Source, map_location: Any = None, **kwargs: Any) -> Any:
        """:func:`safe_load`, whatever ``weights_only`` the caller wants."""
        return safe_load(f, map_location)


def load_url(url: str,
             model_dir: str | None = None,
             map_location: Any = None,
             progress: bool = True,
             check_hash: bool = False,
             file_name: str | None = None) -> Any:
    """Stands in for :func:`torch.hub.load_state_dict_from_url`, safely.

    Args:
        url (str): What to download, once.
        model_dir (str, optional): Where to; by default torch's hub folder.
        map_location (Any): As in :func:`torch.load`. Defaults to None.
        progress (bool): Whether to show a bar. Defaults to True.
        check_hash (bool): Whether the file name ends in the hash to expect.
            Defaults to False.
        file_name (str, optional): Name of the file, by default as in the
            URL.

    Returns:
        Any: As :func:`safe_load`.

    Raises:
        CheckpointError: If it cannot be downloaded or loaded.
    """
    folder = model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        found = torch.hub.HASH_REGEX.search(name) if check_hash else None
        try:
            torch.hub.download_url_to_file(
                url, path, found.group(1) if found else None, progress)
        except (URLError, OSError) as error:
            raise CheckpointError(
                f'{url}: cannot be downloaded ({error}); fetch it by other '
                'means and give the path of the file') from error
    return safe_load(path, map_location)


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Stands in for mmengine's loader of local files."""
    return safe_load(os.path.expanduser(filename), map_location)


def install() -> None:
    """Make mmengine's loaders end in :func:`safe_load`. Idempotent.

    The loaders of files, URLs, model zoos and object stores are functions of
    one module, and find ``torch.load``, ``load_url`` and, in the fork,
    ``_safe_torch_load`` (which unpickles what the safe way refused) among
    its globals. Those are replaced there, and nowhere else: ``torch.load``
    itself stays as it is.
    """
    from mmengine.runner import checkpoint as loaders
    from mmengine.utils import dl_utils
    if isinstance(loaders.torch, _SafeTorch):
        return
    loaders.torch = _SafeTorch('torch')
    if hasattr(loaders, '_safe_torch_load'):
        loaders._safe_torch_load = _SafeTorch.load
    for module in (loaders, dl_utils, dl_utils.hub):
        module.load_url = load_url
    loaders.load_from_local = load_from_local
    loaders.CheckpointLoader.register_scheme('', load_from_local, force=True)
