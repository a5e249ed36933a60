"""Small networks with their configs and checkpoints on disk."""

import pytest
import torch

PREPROCESSOR = dict(num_classes=5, mean=[120., 110., 100.],
                    std=[60., 50., 55.], to_rgb=True)
BACKBONES = dict(
    vheat=dict(type='mmvision_ext.VHeat', img_size=64, out_indices=(3, ),
               arch=dict(embed_dims=8, depths=(1, 1, 1, 1))),
    itpn=dict(type='mmvision_ext.ITPN', img_size=64, rpe='table',
              arch=dict(embed_dims=32, depths=(1, 1, 1), num_heads=2),
              out_type='avg_featmap'))
CHANNELS = dict(vheat=64, itpn=32)


@pytest.fixture
def trained(tmp_path):
    """Write config and checkpoint of a classifier; returns their paths."""
    from mmengine.config import Config

    from mmvision_ext.engine.trained import _build

    def make(name):
        pooled = name == 'itpn'
        cfg = Config(dict(
            default_scope='mmpretrain', classes=('a', 'b', 'c', 'd', 'e'),
            data_preprocessor=PREPROCESSOR,
            custom_imports=dict(imports=['mmvision_ext']),
            model=dict(
                type='ImageClassifier', backbone=BACKBONES[name],
                neck=None if pooled else dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=5,
                          in_channels=CHANNELS[name]))))
        config = tmp_path / f'{name}.py'
        cfg.dump(config)
        from mmvision_ext.engine.checks import register_scope
        register_scope('mmpretrain')
        model = _build(Config.fromfile(str(config)), str(config))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        weights = tmp_path / f'{name}.pth'
        torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
        return str(config), str(weights)

    return make
