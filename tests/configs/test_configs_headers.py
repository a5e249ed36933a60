"""Every config parses, opens with its recipe header and tells the truth."""
import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config

REPO = Path(__file__).resolve().parents[2]
# Searches are no trainings: tests/ma2ml looks at them and at their bases.
CONFIGS = sorted(
    p for p in (REPO / 'configs').rglob('*.py')
    if not {'_base_', 'ma2ml'} & set(p.relative_to(REPO).parts))
FIELDS = ('Command', 'Metric', 'Source', 'Hardware', 'Status')
SAMPLES = ('vheat-tiny_16xb128_in1k', 'maskrcnn_vheat_tiny_3x_coco',
           'upernet_vheat_ade20k', 'itpn-clip_base_32xb32-ft-100e_in1k-384px',
           'cascade_itpn_base_3x_coco', 'upernet_itpn_base_ade20k',
           'itpn-clip_base_64xb32-amp-300e_in1k')

# What the original published: top-1; box AP, mask AP; mIoU. Of pre-training,
# the top-1 after fine-tuning.
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
    'itpn-pixel_base_64xb64-amp-400e_in1k': ('85.1', ),
    'itpn-pixel_base_64xb64-amp-1600e_in1k': ('85.5', ),
    'itpn-pixel_large_64xb64-amp-400e_in1k': ('86.3', ),
    'itpn-pixel_large_64xb64-amp-1600e_in1k': ('86.7', ),
    'itpn-clip_base_64xb32-amp-300e_in1k': ('85.9', ),
    'itpn-clip_base_64xb32-amp-800e_in1k': ('86.2', ),
    'itpn-clip-l_large_64xb32-amp-300e_in1k': ('87.8', ),
    'itpn-clip-l_large_64xb32-amp-300e_in1k-256px': ('88.0', ),
    'itpn-pixel_base_32xb32-ft-100e_in1k': ('85.5', '85.1'),
    'itpn-pixel_large_32xb32-ft-50e_in1k': ('86.7', '86.3'),
    'itpn-clip_base_32xb32-ft-100e_in1k': ('86.2', '85.9'),
    'itpn-clip_large_32xb16-ft-50e_in1k': ('87.8', '87.0'),
    'itpn-clip_large_32xb16-ft-50e_in1k-256px': ('88.0', ),
    'itpn-clip_large_32xb16-ft-50e_in1k-384px': ('89.2', ),
    'fast-itpn_tiny_16xb64-ft-100e_in1k': ('85.1', ),
    'fast-itpn_tiny_16xb64-ft-100e_in1k-384px': ('86.2', ),
    'fast-itpn_tiny_16xb64-ft-100e_in1k-512px': ('86.5', ),
    'fast-itpn_small_16xb64-ft-100e_in1k': ('86.4', ),
    'fast-itpn_small_16xb64-ft-100e_in1k-384px': ('86.95', ),
    'fast-itpn_small_16xb64-ft-100e_in1k-512px': ('87.8', ),
    'fast-itpn_base_32xb32-ft-20e_in1k': ('87.4', ),
    'fast-itpn_base_32xb32-ft-20e_in1k-512px': ('88.5', '88.75'),
    'fast-itpn_large_32xb16-ft-20e_in1k-640px': ('89.5', ),
    'maskrcnn_itpn_base_1x_coco': ('53.0', '46.5'),
    'maskrcnn_itpn_base_3x_coco': ('54.0', '47.4'),
    'maskrcnn_itpn_large_1x_coco': ('55.6', '48.6'),
    'maskrcnn_itpn-clip_base_1x_coco': ('53.2', '46.6'),
    'maskrcnn_itpn-clip_base_3x_coco': ('54.1', '47.5'),
    'maskrcnn_itpn-clip_large_1x_coco': ('55.2', '48.2'),
    'cascade_itpn_base_3x_coco': ('56.0', '48.5'),
    'cascade_itpn-clip_base_3x_coco': ('56.1', '48.6'),
    'upernet_itpn_base_ade20k': ('53.5', ),
    'upernet_itpn_large_ade20k': ('56.1', ),
    'upernet_itpn-clip_base_ade20k': ('54.7', ),
    'upernet_itpn-clip_large_ade20k': ('57.7', ),
}
KEYS = ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler',
        'train_cfg', 'auto_scale_lr', 'default_scope')


def read_header(path: Path) -> dict[str, str]:
    """The fields of the docstring that a config opens with."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ''
    fields = re.split(r'^(\w+):[ ]+', text, flags=re.MULTILINE)[1:]
    return {
        name: ' '.join(value.split())
        for name, value in zip(fields[::2], fields[1::2], strict=True)
    }


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 18 + 50
    assert set(PUBLISHED) <= {p.stem for p in CONFIGS}


@pytest.mark.smoke
@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_config_parses(path: Path) -> None:
    cfg = Config.fromfile(path)
    assert 'mmvision_ext' in cfg.custom_imports.imports
    assert cfg.custom_imports.allow_failed_imports is False
    # There is nothing to evaluate in pre-training.
    is_pretraining = cfg.model.type.endswith('Pretrain')
    keys = KEYS if is_pretraining else (*KEYS, 'val_dataloader',
                                        'val_evaluator')
    for key in keys:
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
    cfg = Config.fromfile(next(p for p in CONFIGS if p.stem == stem))
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_nothing_is_downloaded(path: Path) -> None:
    """No config points at weights or at the network."""
    assert not re.search(r'https?://', path.read_text())
    cfg = Config.fromfile(path)
    assert cfg.model.get('pretrained') is None
    assert cfg.model.get('init_cfg') is None
    assert cfg.model.backbone.get('init_cfg') is None
    assert cfg.load_from is None


@pytest.mark.parametrize('wing, folders', [
    ('vheat', ('vheat', 'peers')),
    ('itpn', ('itpn', )),
])
def test_model_card_lists_every_config(wing: str,
                                       folders: tuple[str, ...]) -> None:
    card = (REPO / 'configs' / wing / 'README.md').read_text()
    files = [p for p in CONFIGS if p.parent.name in folders]
    assert [p.stem for p in files if p.name not in card] == []
    for stem in {p.stem for p in files} & set(PUBLISHED):
        row = next(line for line in card.splitlines()
                   if f'({stem}.py)' in line and line.startswith('|'))
        assert all(figure in row for figure in PUBLISHED[stem]), row
