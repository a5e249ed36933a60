"""Every command writes a picture of the size it promises."""
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip('mmdet', reason='the commands build models of mm packages')

from mmvision_ext.engine.errors import LaunchError  # noqa: E402
from mmvision_ext.pictures.figure import (  # noqa: E402
    check_target,
    new_figure,
    save,
)
from mmvision_ext.pictures.network import load_network  # noqa: E402


def _size(output, path):
    """The size that was printed is that of the file."""
    width, height = map(int, output.split()[-4::2][:2])
    assert output.splitlines()[-1].startswith(f'{path}: ')
    with Image.open(path) as image:
        assert image.size == (width, height)
        assert np.asarray(image.convert('L')).std() > 5
    return width


@pytest.fixture
def image(toy):
    return sorted((toy / 'coco' / 'val2017').iterdir())[0]


@pytest.mark.smoke
def test_heat_from_another_folder(cli, toy_configs, image):
    config = toy_configs / 'upernet_vheat_nano_toy_seg.py'
    status, out, err = cli('picture', 'heat', config, '--image', image,
                           '--times', 0, 1, '--width', 500)
    assert (status, err) == (0, '')
    assert _size(out, 'heat.png') == 500


def test_a_picture_is_replaced_only_when_named(cli, image, tmp_path):
    call = ('picture', 'heat', 'vheat-nano', '--image', image, '--times', 1,
            '--width', 300)
    (tmp_path / 'heat.png').write_text('mine')
    status, _, err = cli(*call)
    assert status == 1 and 'heat.png exists; to replace it name it' in err
    assert (tmp_path / 'heat.png').read_text() == 'mine'
    status, out, _ = cli(*call, '--out', 'heat.png')
    assert status == 0 and _size(out, 'heat.png') == 300
    assert [path.name for path in tmp_path.iterdir()] == ['heat.png']


@pytest.mark.parametrize(('kind', 'model', 'options'), [
    ('heat', 'vheat-nano', ['--point', '9,9']),
    ('diffusivity', 'vheat-nano', ['--size', 64]),
    ('attention', 'itpn-nano', []),
    ('attention', 'fast-itpn-tiny', ['--point', '9,9', '--size', 48]),
])
def test_picture_of_one_image(cli, image, kind, model, options):
    if kind != 'diffusivity':
        options = [*options, '--image', image]
    status, out, err = cli('picture', kind, model, *options,
                           '--width', 400, '--out', 'sub/a b.webp')
    assert (status, err) == (0, '')
    assert _size(out, 'sub/a b.webp') == 400


def test_fields_side_by_side(cli, image):
    status, out, err = cli(
        'picture', 'field', 'vheat-nano', 'resnet-50', '--image',
        image.parent, '--count', 1, '--size', 64, '--width', 400)
    assert (status, err) == (0, '')
    assert _size(out, 'field.png') == 400
    lines = out.splitlines()
    assert lines[0].startswith('vheat-nano, RANDOM WEIGHTS')
    assert '% of the pixels hold 95% of the gradient' in lines[1]


@pytest.mark.parametrize(('kind', 'config'), [
    ('pyramid', 'maskrcnn_itpn_nano_toy_det.py'),
    ('masked', 'itpn-nano_toy_pretrain.py'),
])
def test_picture_of_several_images(cli, toy_configs, image, kind, config):
    status, out, err = cli(
        'picture', kind, toy_configs / config, '--image', image.parent,
        '--count', 2, '--width', 400)
    assert (status, err) == (0, '')
    assert _size(out, f'{kind}.png') == 400


def test_reconstruction_takes_its_scale_from_the_image(toy_configs, image):
    """A decoder that predicts 0 leaves the mean of each hidden patch."""
    from mmvision_ext.pictures.masked import masked_picture
    from mmvision_ext.pictures.network import read_image
    network = load_network(str(toy_configs / 'itpn-nano_toy_pretrain.py'))
    for parameter in network.module.head.parameters():
        torch.nn.init.zeros_(parameter)
    pixels = read_image(image)[:64, :64]
    _, (error, ) = masked_picture(network, [pixels], ratio=15 / 16)
    # Of all pixels but the visible patch; normalised, the patch as a whole
    # has mean 0 over its three colours.
    normal = (pixels - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    # (64, 64, 3) -> (4, 4, 16 * 16 * 3)
    patches = normal.reshape(4, 16, 4, 16, 3).swapaxes(1, 2).reshape(
        4, 4, 16 * 16, 3)
    rest = (patches - patches.mean((2, 3), keepdims=True)) * [
        58.395, 57.12, 57.375]
    errors = np.square(rest).mean((2, 3)).ravel()
    possible = np.sqrt((errors.sum() - errors) / 15)
    assert np.abs(possible - error).min() < 0.2


@pytest.mark.parametrize(('config', 'layout', 'options'), [
    ('maskrcnn_vheat_nano_toy_det.py', 'coco', ['--mode', 'pipeline']),
    ('upernet_vheat_nano_toy_seg.py', 'ade20k', ['--split', 'val']),
    ('vheat-nano_toy_cls.py', 'imagenet', ['--mode', 'original']),
])
def test_browse(cli, toy, toy_configs, config, layout, options):
    status, out, err = cli(
        'browse', toy_configs / config, '--data-root', toy / layout,
        '--count', 2, '--draws', 1, '--width', 400, *options)
    assert (status, err) == (0, '')
    assert _size(out, 'browse.png') == 400


@pytest.mark.parametrize(('config', 'layout'), [
    ('maskrcnn_vheat_nano_toy_det.py', 'coco'),
    pytest.param('upernet_vheat_nano_toy_seg.py', 'ade20k',
                 marks=pytest.mark.smoke),
    ('vheat-nano_toy_cls.py', 'imagenet'),
])
def test_compare(cli, toy, toy_configs, tmp_path, config, layout):
    network = load_network(str(toy_configs / config))
    torch.save({'state_dict': network.module.state_dict()},
               tmp_path / 'random.pth')
    status, out, err = cli(
        'compare', toy_configs / config, 'random.pth', '--data-root',
        toy / layout, '--scan', 3, '--count', 2, '--width', 400)
    assert (status, err) == (0, '')
    assert _size(out, 'compare.png') == 400
    assert out.startswith('3 of ')
    assert 'images scored: mean 0.' in out


def test_curves_as_a_process(tmp_path, repo_root):
    """As it is called where the package is installed."""
    log = tmp_path / 'scalars.json'
    log.write_text('{"loss": 2.5, "step": 1}\n{"loss": 1.5, "step": 2}\n')
    done = subprocess.run(
        [sys.executable, '-m', 'mmvision_ext', 'curves', str(log), '--out',
         'c.svg'], cwd=tmp_path, env={'PYTHONPATH': str(repo_root)},
        capture_output=True, text=True, check=True)
    assert done.stdout.startswith('scalars.json: loss 1.5\nc.svg: 1200 x ')
    assert (tmp_path / 'c.svg').read_text().count('<svg') == 1


@pytest.mark.parametrize(('call', 'text'), [
    (['heat', 'itpn-nano'], "has the backbone ITPN; the picture 'heat'"),
    (['attention', 'vheat-nano'], 'is of iTPN and Fast-iTPN'),
    (['heat', 'vheat-nano', '--point', '64,1'], 'outside the image'),
    (['heat', 'vheat-nano', '--times', '-1'], 'each at least 0'),
    (['heat', 'vheat-nano', '--size', '3'], '--size 3: expected 16'),
    (['heat', 'vheat-nano', '--checkpoint', 'x.pth'], 'x.pth does not exist'),
    (['heat', 'vheat-nano', '--out', 'x.txt'], 'expected the name of a'),
    (['heat', 'vheat-nano', '--width', '9'], '--width 9: expected 200'),
    (['heat', 'vheat-nano', '--cfg-options', 'a=1'], 'needs a config'),
    (['masked', 'vheat-nano'], 'is of a pixel pre-training'),
    (['pyramid', 'itpn-nano'], 'has no neck'),
    (['diffusivity', 'vheat-nano', '--block', '9'], '--block 9: the stages'),
    (['diffusivity', 'vheat-nano', '--size', '9'], '--size 9: expected at'),
])
def test_mistakes_are_one_line(cli, image, tmp_path, call, text):
    small = tmp_path / 'in.png'
    Image.open(image).resize((64, 48)).save(small)
    if call[0] != 'diffusivity':
        call = [*call, '--image', str(small)]
    status, out, err = cli('picture', *call)
    assert status == 1 and out == ''
    assert err.startswith('error: ') and err.count('\n') == 1
    assert text in err
    assert [path.name for path in tmp_path.iterdir()] == ['in.png']


def test_a_failed_write_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    path.write_text('old')
    figure = new_figure(0.3, 'title')
    monkeypatch.setattr(figure, 'savefig', lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(figure, path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [
        ('a.png', 'old')]


def test_same_figure_same_file(tmp_path):
    for name in ('a.png', 'b.png'):
        save(new_figure(0.3, 'title', 'note ' * 60), tmp_path / name, 300)
    assert (tmp_path / 'a.png').read_bytes() == (
        tmp_path / 'b.png').read_bytes()


def test_matplotlib_is_named_where_it_is_missing(monkeypatch):
    from importlib import util
    find = util.find_spec
    monkeypatch.setattr(util, 'find_spec', lambda name, *args: None
                        if name == 'matplotlib' else find(name, *args))
    with pytest.raises(LaunchError, match=r"'mmvision_ext\[pictures\]'"):
        check_target(None, 'heat.png')


def test_compare_refuses_a_pre_training(cli, toy_configs, toy, tmp_path):
    config = toy_configs / 'itpn-nano_toy_pretrain.py'
    network = load_network(str(config))
    torch.save(network.module.state_dict(), tmp_path / 'w.pth')
    status, _, err = cli('compare', config, 'w.pth', '--split', 'train')
    assert status == 1
    assert 'is a ITPNPixelPretrain; compare needs the config of' in err
