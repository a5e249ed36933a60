"""Converted official files against the outputs of the original code."""
import numpy as np
import pytest
import torch

from mmvision_ext.apis import load_model
from mmvision_ext.engine.convert_cli import convert_file

# Containers and prefixes that official files have.
LAYOUTS = [('model', ''), ('state_dict', 'module.'), ('module', 'encoder.'),
           ('model_ema', 'module.'), (None, '')]

DENSE = {
    'itpn_det_pixel': ('detection', 5),
    'itpn_det_clip': ('detection', 5),
    'itpn_det_clip_rpe': ('detection', 5),
    'itpn_seg_norpe': ('segmentation', 4),
    'itpn_seg_rpe224': ('segmentation', 4),
}


@pytest.fixture
def convert(shared_root, tmp_path):
    """A golden case, the report of its conversion and the model."""

    def run(name, container='model', prefix=''):
        with np.load(shared_root / 'golden' / f'{name}.npz') as file:
            case = {key: file[key] for key in file.files}
        weights = {
            prefix + key[len('param/'):]: torch.from_numpy(value)
            for key, value in case.items() if key.startswith('param/')
        }
        src, dst = tmp_path / 'official.pth', tmp_path / 'dst.pth'
        torch.save({container: weights} if container else weights, src)
        result = convert_file(src, dst)
        model = load_model(dst)
        assert not model.training
        return case, result, model

    return run


def _close(out, expected, limit=2e-5):
    assert out.shape == expected.shape
    assert np.abs(out.detach().numpy() - expected).max() < limit


@pytest.mark.parametrize('container,prefix', LAYOUTS)
def test_every_layout(convert, container, prefix):
    case, result, model = convert('itpn_cls_pixel', container, prefix)
    assert result.dropped == ()
    assert result.ignored == (f'{prefix}relative_position_index', )
    with torch.no_grad():
        _close(model(torch.from_numpy(case['input/img'])),
               case['output/logits'])


def test_clip_classifier(convert):
    case, result, model = convert('itpn_cls_clip')
    assert (result.family, result.form) == ('iTPN', 'classification')
    assert 'layer scale, relative position by table of 14' in result.arch
    with torch.no_grad():
        _close(model(torch.from_numpy(case['input/img'])),
               case['output/logits'])


def test_fast_classifier(convert):
    case, result, model = convert('itpn_fast_cls')
    assert (result.family, result.form) == ('Fast-iTPN', 'classification')
    assert result.dropped == ()
    for size in (224, 384):
        images = torch.from_numpy(case[f'input/img_{size}'])
        with torch.no_grad():
            _close(model.backbone(images)[0], case[f'output/pooled_{size}'])
            _close(model(images), case[f'output/logits_{size}'])


@pytest.mark.parametrize('name', list(DENSE))
def test_dense_forms(convert, name):
    case, result, model = convert(name)
    form, levels = DENSE[name]
    assert result.form == form and result.dropped == ()
    sizes = [key[len('input/img_'):] for key in case
             if key.startswith('input/img_')]
    assert len(sizes) == (1 if name == 'itpn_seg_rpe224' else 2)
    for size in sizes:
        with torch.no_grad():
            maps = model(torch.from_numpy(case[f'input/img_{size}']))
        assert len(maps) == levels
        for i, out in enumerate(maps):
            _close(out, case[f'output/feats_{size}/{i}'])


def _check_gradients(model, result, case):
    checked = 0
    parameters = dict(model.named_parameters())
    for new, old in result.sources.items():
        expected = case.get(f'output/grad_norms/{old}')
        if expected is not None:
            norm = parameters[new].grad.norm().item()
            assert norm == pytest.approx(float(expected), rel=1e-4), new
            checked += 1
    assert checked == sum(key.startswith('output/grad_norms/')
                          for key in case) > 100


def test_pixel_pretraining(convert):
    case, result, model = convert('itpn_pretrain_pixel')
    assert result.form == 'pixel pre-training' and result.dropped == ()
    losses = model.loss(
        torch.from_numpy(case['input/img']),
        noise=torch.from_numpy(case['input/noise']))
    assert list(losses) == ['loss_pixel']
    loss = losses['loss_pixel']
    assert abs(loss.item() - float(case['output/loss'])) < 2e-5
    assert not model.head.decoder_pos_embed.requires_grad
    loss.backward()
    _check_gradients(model, result, case)


def test_clip_pretraining(convert):
    case, result, model = convert('itpn_pretrain_clip')
    assert result.form == 'CLIP pre-training' and result.dropped == ()
    assert result.ignored == ('relative_position_index', )
    losses = model.loss(
        torch.from_numpy(case['input/img']),
        mask=torch.from_numpy(case['input/bool_masked_pos']),
        target=torch.from_numpy(case['input/target']))
    assert set(losses) == {'loss_main', 'loss_aux'}
    loss = sum(losses.values())
    assert abs(loss.item() - float(case['output/loss'])) < 2e-5
    loss.backward()
    _check_gradients(model, result, case)
