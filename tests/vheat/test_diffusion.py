"""Heat maps of the stages."""
import pytest
import torch

from mmvision_ext.vheat import VHeatNetwork
from mmvision_ext.vheat.diffusion import diffusion_maps


@pytest.fixture
def backbone():
    network = VHeatNetwork('nano', img_size=64)
    # Freshly made networks hardly conduct.
    for stage in network.stages:
        torch.nn.init.constant_(stage.blocks[-1].op.to_k.bias, 0.5)
    return network


def test_shapes_and_scales(backbone):
    maps = diffusion_maps(backbone, torch.randn(1, 3, 70, 100), (0, 1))
    assert maps['times'] == (0, 1)
    sizes = [(18, 25), (9, 13), (5, 7), (3, 4)]
    for stage, size in zip(maps['stages'], sizes):
        assert stage['heat'].shape == (2, *size)
        assert stage['diffusivity'].shape == stage['decay'].shape == size
        assert stage['decay'][0, 0] == 1
        assert stage['diffusivity'].min() >= 0


def test_heat_spreads_until_it_is_even(backbone):
    maps = diffusion_maps(
        backbone, torch.randn(1, 3, 64, 64), (0, 1, 10, 1e6))
    for stage in maps['stages']:
        spread = stage['heat'].std((1, 2))
        assert (spread.diff() < 0).all()
        assert spread[-1] < 1e-5 < spread[0]


def test_time_one_is_what_the_network_does(backbone, monkeypatch):
    """The heat at t = 1 is the input of the operator's norm."""
    image = torch.randn(1, 3, 64, 64)
    seen = []
    for stage in backbone.stages:
        stage.blocks[-1].op.out_norm.register_forward_hook(
            lambda _m, args, _o: seen.append(args[0]))
    maps = diffusion_maps(backbone, image, (1, ))
    for stage, heat in zip(maps['stages'], seen):
        torch.testing.assert_close(stage['heat'][0], heat.abs().mean(-1)[0])


def test_network_is_left_as_it_was(backbone):
    backbone.train()
    diffusion_maps(backbone, torch.randn(1, 3, 64, 64))
    assert backbone.training
    assert not any(stage.blocks[-1].op.linear._forward_hooks
                   for stage in backbone.stages)


@pytest.mark.parametrize(('shape', 'times', 'text'), [
    ((2, 3, 64, 64), (0, ), 'expected one image'),
    ((1, 3, 64, 64), (-1, ), 'at least 0'),
    ((1, 3, 64, 64), (), 'one or more'),
])
def test_wrong_arguments(backbone, shape, times, text):
    with pytest.raises(ValueError, match=text):
        diffusion_maps(backbone, torch.zeros(shape), times)
