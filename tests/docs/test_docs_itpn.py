"""What the page and the configs say about sizes and folders is so."""
import os
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmvision_ext.engine.complexity import count_complexity
from mmvision_ext.engine.data_root import replace_data_root
from mmvision_ext.itpn import FastITPNNetwork, ITPNNetwork

REPO = Path(__file__).resolve().parents[2]
ROW = re.compile(r'^\| `(\w+)`, `(\w+)`[^|]*\| (\d+) \| ([\d, ]+) \| (\d+) '
                 r'\| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|$', re.MULTILINE)


def test_table_of_architectures() -> None:
    rows = ROW.findall((REPO / 'docs' / 'itpn.md').read_text())
    assert len(rows) == 10
    for kind, arch, dims, depths, heads, params, small, large in rows:
        network = dict(ITPN=ITPNNetwork, FastITPN=FastITPNNetwork)[kind]
        with torch.device('meta'):
            model = network(arch)
        settings = model.arch_settings
        assert settings.embed_dims == int(dims)
        assert settings.depths == tuple(map(int, depths.split(',')))
        assert settings.num_heads == int(heads)
        found = count_complexity(model, (224, 224))
        assert found.params == int(params.replace(',', ''))
        assert f'{found.macs / 1e9:.3f}' == small, (kind, arch)
        if arch in ('nano', 'base'):
            macs = count_complexity(model, (1024, 1024)).macs
            assert f'{macs / 1e9:.1f}' == large, (kind, arch)


def write(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.new('RGB', (40, 30), (200, 50, 0)).save(folder / name)


@pytest.mark.parametrize('listed, expected', [
    (False, ['one/a.jpg', 'one/b.png', 'two/c.jpg', 'two_again/c.jpg']),
    (True, ['one/a.jpg', 'two/c.jpg']),
])
def test_pretraining_reads_links_and_lists(tmp_path: Path, listed: bool,
                                           expected: list[str]) -> None:
    """The ways that the header and the page give for several folders."""
    write(tmp_path / 'one', 'a.jpg', 'b.png')
    write(tmp_path / 'two' / 'deep', 'c.jpg')
    root = tmp_path / 'images'
    root.mkdir()
    os.symlink(tmp_path / 'one', root / 'one')
    for name in ('two', 'two_again'):
        os.symlink(tmp_path / 'two' / 'deep', root / name)
    cfg = Config.fromfile(
        REPO / 'configs' / 'itpn' / 'itpn-nano_pretrain_pixel.py')
    replace_data_root(cfg, str(root))
    if listed:
        (root / 'files.txt').write_text('one/a.jpg\ntwo/c.jpg\n')
        cfg.merge_from_dict(
            {'train_dataloader.dataset.ann_file': 'files.txt'})
    init_default_scope('mmpretrain')
    data = DATASETS.build(cfg.train_dataloader.dataset)
    found = [data.get_data_info(i)['img_path'] for i in range(len(data))]
    assert sorted(os.path.relpath(path, root) for path in found) == expected
    assert data[0]['inputs'].shape == (3, 128, 128)
