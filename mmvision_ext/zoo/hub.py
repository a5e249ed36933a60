"""Our names in the model hubs of mmpretrain, mmdet and mmseg.

mmpretrain has a hub of its own, mmdet and mmseg use the inferencer of
mmengine. Both only know the metafiles that the libraries bring along. They
are told of ours when, and only when, something imports them: importing this
module imports none of the libraries.
"""

import importlib.abc
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..engine.errors import LaunchError
from .entries import Entry, read_entries


class _Loader(importlib.abc.Loader):
    """Loads as another loader does, then patches the module."""

    def __init__(self, loader: Any, patch: Callable[[Any], None]) -> None:
        self._loader = loader
        self._patch = patch

    def __getattr__(self, name: str) -> Any:
        # inspect and pickle ask for sources and files.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patch(module)


class HubFinder(importlib.abc.MetaPathFinder):
    """Sees the hubs being imported, and answers with a patching loader."""

    def __init__(self) -> None:
        self._busy: set[str] = set()

    def find_spec(self,
                  fullname: str,
                  path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a hub by means of the other finders.

        Args:
            fullname (str): Only the modules of the hubs are answered.
            path (Sequence[str], optional): Unused.
            target (ModuleType, optional): Unused.

        Returns:
            ModuleSpec, optional: None for any other module.
        """
        if fullname not in _PATCHES or fullname in self._busy:
            return None
        self._busy.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, _PATCHES[fullname])
        return spec


def _ours(scope: str) -> list[Entry]:
    """Our models of a library; a broken zoo of ours must not break it."""
    from ..engine.shipped import shipped_root
    try:
        return [entry for entry in read_entries(shipped_root())
                if entry.scope == scope]
    except LaunchError as error:
        from mmengine.logging import print_log
        print_log(f'the model zoo of mmvision_ext is left out: {error}',
                  logger='current')
        return []


def _patch_mmpretrain(module: Any) -> None:
    """Register ours in ``ModelHub`` when it registers mmpretrain's."""
    hub = module.ModelHub
    register = hub._register_mmpretrain_models

    def register_all(cls: Any) -> None:
        register()
        if 'mmvision_ext' in cls.__dict__.get('_guests', ()):
            return
        cls._guests = ('mmvision_ext', )
        cls._models_dict.update(_hub_models())

    hub._register_mmpretrain_models = classmethod(register_all)


def _hub_models() -> dict[str, Any]:
    """Name or alias -> what mmpretrain keeps of a model."""
    from modelindex.models.Model import Model

    from .metafile import to_card
    models = {}
    for entry in _ours('mmpretrain'):
        card = {**to_card(entry), 'Config': str(entry.config_path)}
        for name in entry.names:
            models[name] = Model.from_dict({**card, 'Name': name})
    return models


def _patch_mmengine(module: Any) -> None:
    """Let inferencers find ours before they search the library's own."""
    base = module.BaseInferencer
    load, list_models = base._load_model_from_metafile, base.list_models

    @wraps(load)
    def load_ours_too(self: Any, model: str) -> tuple[Any, str | None]:
        names = {name: entry for entry in _ours(self.scope)
                 for name in entry.names}
        if model.lower() not in names:
            return load(self, model)
        from mmengine.config import Config
        return Config.fromfile(names[model.lower()].config_path), None

    @wraps(list_models)
    def list_ours_too(scope: str | None = None,
                      patterns: str = r'.*') -> list[str]:
        found = list_models(scope, patterns)
        return found + [name for entry in _ours(scope or '')
                        for name in entry.names if re.match(patterns, name)]

    base._load_model_from_metafile = load_ours_too
    base.list_models = staticmethod(list_ours_too)


_PATCHES: dict[str, Callable[[Any], None]] = {
    'mmpretrain.apis.model': _patch_mmpretrain,
    'mmengine.infer.infer': _patch_mmengine,
}


def install() -> None:
    """Offer our models to the hubs, loaded already or not. Idempotent."""
    if any(isinstance(finder, HubFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, HubFinder())
    for name, patch in _PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])
