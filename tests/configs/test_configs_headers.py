"""Every config parses, opens with its recipe header and tells the truth."""
import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config

REPO = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    p for p in (REPO / 'configs').rglob('*.py')
    if '_base_' not in p.relative_to(REPO).parts)
FIELDS = ('Command', 'Metric', 'Source', 'Hardware', 'Status')
SAMPLES = ('vheat-tiny_16xb128_in1k', 'maskrcnn_vheat_tiny_3x_coco',
           'upernet_vheat_ade20k')

# What the original published: top-1; box AP, mask AP; mIoU.
PUBLISHED = {
    'vheat-tiny_16xb128_in1k': ('82.2', ),
    'vheat-small_16xb128_in1k': ('83.6', ),
    'vheat-base_16xb128_in1k': ('83.9', ),
    'maskrcnn_vheat_tiny_1x_coco': ('45.1', '41.2'),
    'maskrcnn_vheat_small_1x_coco': ('46.8', '42.3'),
    'maskrcnn_vheat_base_1x_coco': ('47.7', '43.0'),
    'maskrcnn_vheat_tiny_3x_coco': ('47.3', '42.5'),
    'maskrcnn_vheat_small_3x_coco': ('48.8', '43.7'),
    'maskrcnn_vheat_base_3x_coco': ('49.7', '44.3'),
    'upernet_vheat_ade20k': ('47.0', ),
    'upernet_vheat_small_ade20k': ('49.0', ),
    'upernet_vheat_base_ade20k': ('49.6', ),
}


def read_header(path: Path) -> dict[str, str]:
    """The fields of the docstring that a config opens with."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ''
    fields = re.split(r'^(\w+):[ ]+', text, flags=re.MULTILINE)[1:]
    return {
        name: ' '.join(value.split())
        for name, value in zip(fields[::2], fields[1::2], strict=True)
    }


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 18
    assert set(PUBLISHED) <= {p.stem for p in CONFIGS}


@pytest.mark.smoke
@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_config_parses(path: Path) -> None:
    cfg = Config.fromfile(path)
    assert 'mmvision_ext' in cfg.custom_imports.imports
    assert cfg.custom_imports.allow_failed_imports is False
    for key in ('model', 'train_dataloader', 'val_dataloader',
                'val_evaluator', 'optim_wrapper', 'param_scheduler',
                'train_cfg', 'auto_scale_lr', 'default_scope'):
        assert cfg.get(key) is not None, key


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_header_is_complete(path: Path) -> None:
    header = read_header(path)
    assert [f for f in FIELDS if not header.get(f)] == []
    command = header['Command']
    script = next(w for w in command.split() if w.startswith('tools/'))
    assert (REPO / script).is_file()
    if path.parent.name == 'quickstart':
        assert script == 'tools/quickstart.sh'
    else:
        assert str(path.relative_to(REPO)) in command
    assert re.match(r'(not run|measured here)\b', header['Status'])
    if header['Status'].startswith('measured here'):
        assert re.search(r'\d', header['Status']), 'no figure'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_header_prints_the_published_figures(path: Path) -> None:
    metric = read_header(path)['Metric']
    if path.stem in PUBLISHED:
        assert re.findall(r'\d+\.\d+', metric) == list(PUBLISHED[path.stem])
        assert 'reported by paper' in metric
    else:
        assert 'reported by paper' not in metric


@pytest.mark.parametrize('stem', SAMPLES)
def test_dumped_config_reads_back(stem: str, tmp_path: Path) -> None:
    """A run writes its config down; that file must make the same run."""
    cfg = Config.fromfile(REPO / 'configs' / 'vheat' / f'{stem}.py')
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_nothing_is_downloaded(path: Path) -> None:
    """No config points at weights or at the network."""
    assert not re.search(r'https?://', path.read_text())
    cfg = Config.fromfile(path)
    assert cfg.model.get('pretrained') is None
    assert cfg.model.backbone.get('init_cfg') is None
    assert cfg.load_from is None


def test_model_card_lists_every_config() -> None:
    card = (REPO / 'configs' / 'vheat' / 'README.md').read_text()
    missing = [
        p.stem for p in CONFIGS
        if p.parent.name in ('vheat', 'peers') and p.name not in card
    ]
    assert missing == []
    for stem, figures in PUBLISHED.items():
        row = next(line for line in card.splitlines() if f'{stem}.py' in line
                   and line.startswith('|'))
        assert all(figure in row for figure in figures), row
