"""Weights of other sizes and kinds; the registered classes."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from mmvision_ext.engine.match import WeightMismatchError
from mmvision_ext.itpn import ITPN, ITPNNetwork, ITPNPyramid

ARCH = dict(embed_dims=32, depths=(1, 1, 2), num_heads=2)


def perturbed(cls=ITPNNetwork, **kwargs):
    network = cls(ARCH, **{'img_size': 64, **kwargs})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


@pytest.mark.parametrize('rpe', ['none', 'table', 'decomposed'])
def test_tables_are_resized_as_they_would_be_at_run_time(rpe):
    """So a network made for another size begins where the file ends."""
    given = perturbed(rpe=rpe)
    network = perturbed(rpe=rpe, img_size=96)
    network.load_state_dict(given.state_dict())
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        for a, b in zip(network(x), given(x)):
            assert torch.allclose(a, b, atol=1e-5)
    assert network.absolute_pos_embed.shape == (1, 36, 32)
    assert given.absolute_pos_embed.shape == (1, 16, 32)


def test_resized_tables():
    given = perturbed(rpe='table').state_dict()
    network = perturbed(rpe='table', img_size=96, pos_size=4)
    network.load_state_dict(given)
    name = 'blocks.4.attn.relative_position_bias_table'
    square = given[name].reshape(1, 7, 7, 2).permute(0, 3, 1, 2)
    expected = F.interpolate(square, size=11, mode='bicubic')
    assert torch.allclose(network.state_dict()[name],
                          expected.flatten(2)[0].t(), atol=1e-5)
    assert torch.equal(network.absolute_pos_embed,
                       given['absolute_pos_embed'])

    given = perturbed(rpe='decomposed').state_dict()
    network = perturbed(rpe='decomposed', img_size=96)
    network.load_state_dict(given)
    expected = F.interpolate(given['blocks.4.attn.rel_pos_h'].t()[None],
                             size=11, mode='linear')[0].t()
    assert torch.allclose(network.blocks[4].attn.rel_pos_h, expected,
                          atol=1e-6)


def test_stored_indices_are_left_out_and_the_given_is_not_changed():
    given = perturbed(rpe='table').state_dict()
    given['relative_position_index'] = torch.zeros(16, 16, dtype=torch.long)
    shapes = {name: value.shape for name, value in given.items()}
    perturbed(rpe='table', img_size=96).load_state_dict(given, strict=True)
    assert {name: value.shape for name, value in given.items()} == shapes


@pytest.mark.parametrize(('name', 'shape'), [
    ('absolute_pos_embed', (1, 15, 32)), ('absolute_pos_embed', (1, 36, 16)),
    ('blocks.4.attn.relative_position_bias_table', (48, 2)),
    ('blocks.4.attn.relative_position_bias_table', (49, 3))])
def test_tables_that_do_not_fit(name, shape):
    given = perturbed(rpe='table').state_dict()
    given[name] = torch.zeros(shape)
    with pytest.raises(RuntimeError, match=f'size mismatch for {name}'):
        perturbed(rpe='table').load_state_dict(given)


@pytest.mark.parametrize('own', ['none', 'table', 'decomposed'])
@pytest.mark.parametrize('other', ['none', 'table', 'decomposed'])
def test_relative_positions_come_and_go(own, other):
    """And so does the norm of the classifier; they are listed, not more."""
    given = perturbed(rpe=other, out_type='avg_featmap').state_dict()
    network = perturbed(ITPN, rpe=own)
    found = network.load_state_dict(given, strict=False)
    unexpected = {'fc_norm.weight', 'fc_norm.bias'}
    if own != other:
        unexpected |= {name for name in given if 'rel' in name}
    assert set(found.unexpected_keys) == unexpected
    assert all('rel' in name for name in found.missing_keys)


def test_weights_of_another_network_are_refused():
    given = perturbed(layer_scale=0.5).state_dict()
    message = r'not weights of this ITPN.*blocks\.0\.gamma_2'
    with pytest.raises(WeightMismatchError, match=message):
        perturbed(ITPN).load_state_dict(given, strict=False)
    with pytest.raises(WeightMismatchError, match='0 of'):
        perturbed(ITPN).load_state_dict({'head.weight': torch.zeros(2)},
                                        strict=False)


def test_pretrained_file_starts_backbone_and_pyramid(tmp_path):
    """Through the init_cfg of one, the other, and of the model."""
    from mmengine.model import BaseModule
    from mmengine.runner import save_checkpoint

    def build(init_cfg=None):
        model = BaseModule(init_cfg=init_cfg)
        model.backbone = perturbed(ITPN, rpe='table')
        model.neck = ITPNPyramid(model.backbone.num_features, 16)
        return model

    given = build()
    path = str(tmp_path / 'given.pth')
    save_checkpoint({'state_dict': given.state_dict()}, path)
    model = build(dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    for name, value in given.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    for part in ('backbone', 'neck'):
        model = build()
        getattr(model, part).init_cfg = dict(
            type='Pretrained', checkpoint=path, prefix=f'{part}.')
        model.init_weights()
        for name, value in getattr(given, part).state_dict().items():
            assert torch.equal(getattr(model, part).state_dict()[name],
                               value), name


@pytest.mark.smoke
def test_registered_under_the_scope_of_the_package():
    from mmengine.registry import MODELS as ROOT
    backbone = ROOT.build(dict(type='mmvision_ext.ITPN', arch='nano'))
    neck = ROOT.build(dict(
        type='mmvision_ext.ITPNPyramid', in_channels=backbone.num_features))
    assert (type(backbone), type(neck)) == (ITPN, ITPNPyramid)
    outs = neck(backbone(torch.zeros(1, 3, 32, 32)))
    assert [out.shape[2] for out in outs] == [8, 4, 2, 1, 1]
    with pytest.raises(TypeError, match='embed_dim'):
        ROOT.build(dict(type='mmvision_ext.ITPN', embed_dim=3))
    # mmpretrain owns other spellings
    for name in ('ITPN', 'iTPN', 'HiViT', 'iTPNHiViT'):
        assert name not in ROOT.module_dict


def test_networks_import_with_torch_alone(repo_root):
    code = """
import importlib.util, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('mmengine', 'mmcv', 'mmdet', 'mmseg',
                                      'mmpretrain', 'torchvision', 'scipy'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if (
    name.startswith('mm') and not name.startswith('mmvision_ext')
) else find(name, package)
import torch
from mmvision_ext.itpn import ITPNNetwork, ITPNPyramidNetwork
network = ITPNNetwork('nano')
pyramid = ITPNPyramidNetwork(network.num_features)
print(len(pyramid(network(torch.zeros(1, 3, 32, 32)))))
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=repo_root,
                          capture_output=True, text=True)
    assert done.stdout.strip() == '5', done.stderr[-2000:]
