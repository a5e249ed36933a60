"""The configs that get_started.md writes for a reader's data train."""
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmvision_ext.ma2ml.spec import read_search

from .pages import REPO, read_code


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page, beside the configs as in a checkout."""
    (tmp_path / 'configs').symlink_to(REPO / 'configs')
    for code in read_code('docs/get_started.md'):
        name = re.match(r'# (\w+\.py)\n', code.text)
        if code.language == 'python' and name:
            (tmp_path / name[1]).write_text(code.text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.smoke
@pytest.mark.parametrize('name, scope, classes', [
    ('my_pets', 'mmpretrain', 3),
    ('my_cells', 'mmdet', 1),
    ('my_streets', 'mmseg', 3),
    ('my_pyramid', 'mmdet', 1),
])
def test_config_is_for_the_classes(written: Path, name: str, scope: str,
                                   classes: int) -> None:
    cfg = Config.fromfile(written / f'{name}.py')
    assert cfg.default_scope == scope
    init_default_scope(scope)
    model = MODELS.build(cfg.model)
    if scope == 'mmpretrain':
        assert model.head.num_classes == classes
    elif scope == 'mmseg':
        assert model.decode_head.num_classes == classes
    else:
        assert model.roi_head.bbox_head.num_classes == classes
        assert model.roi_head.mask_head.num_classes == classes
    for part in ('train', 'val', 'test'):
        dataset = cfg[f'{part}_dataloader'].dataset
        assert dataset.data_root.startswith('data/')
        assert 'metainfo' not in dataset or len(
            dataset.metainfo.classes) == classes


def test_search_reads(written: Path) -> None:
    spec = read_search(written / 'my_search.py')
    spec.load_base()
    assert spec.evaluator['epochs'] * spec.base.train_cfg.max_epochs > 5
    assert spec.base.model.head.num_classes == 3
    assert set(spec.agents) == {'aug', 'nas', 'hpo'}
    assert [name for name in spec.space.names if name.startswith('nas')]
