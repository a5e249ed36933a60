"""The backbone builds from every scope and from anywhere."""

import subprocess
import sys

import pytest

CODE = """
from mmengine.registry import MODELS, init_default_scope
scope = {scope!r}
if {custom_imports}:
    from mmengine.utils import import_modules_from_strings
    import_modules_from_strings(['mmvision_ext'], allow_failed_imports=False)
if scope:
    init_default_scope(scope)
    registry = __import__(scope + '.registry', fromlist=['MODELS']).MODELS
else:
    registry = MODELS
backbone = registry.build(dict(type='mmvision_ext.VHeat', arch='nano'))
assert type(backbone).__module__ == 'mmvision_ext.vheat.backbone'
assert MODELS.get('mmvision_ext.VHeat') is type(backbone)
import sys
loaded = {{'mmcv', 'mmdet', 'mmseg', 'mmpretrain'}} & set(sys.modules)
print('built', sorted(loaded))
"""


@pytest.mark.smoke
@pytest.mark.parametrize('custom_imports', [True, False])
@pytest.mark.parametrize('scope', ['', 'mmdet', 'mmseg', 'mmpretrain'])
def test_builds_from_every_scope(tmp_path, scope, custom_imports):
    done = subprocess.run(
        [sys.executable, '-c',
         CODE.format(scope=scope, custom_imports=custom_imports)],
        cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    last = done.stdout.splitlines()[-1]
    assert last.startswith('built')
    if not scope:  # nothing of mm but mmengine is needed
        assert last == 'built []'


def test_every_root_registry_has_a_child():
    import mmengine.registry as root
    from mmengine.registry import Registry

    import mmvision_ext.registry as ours
    for name, registry in vars(root).items():
        if isinstance(registry, Registry):
            child = getattr(ours, name)
            assert child.parent is registry
            assert child.scope == 'mmvision_ext'


def test_wrong_argument_is_named():
    from mmvision_ext.registry import MODELS
    with pytest.raises(TypeError, match='embed_dim'):
        MODELS.build(dict(type='mmvision_ext.VHeat', embed_dim=3))


def test_package_imports_with_torch_alone(repo_root):
    code = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        first = name.partition('.')[0]
        if first in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain',
                     'torchvision', 'scipy'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
import importlib.util, torch
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if (
    name.startswith('mm') and not name.startswith('mmvision_ext')
) else find(name, package)
from mmvision_ext.vheat import HeatConduction2d, VHeatNetwork
from mmvision_ext.ops import dct_2d
print(len(VHeatNetwork('nano')(torch.zeros(1, 3, 32, 32))))
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=repo_root,
                          capture_output=True, text=True)
    assert done.stdout.strip() == '4', done.stderr[-2000:]
