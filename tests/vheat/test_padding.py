"""Independence of an image from the canvas that it stands in."""

import pytest
import torch

from mmvision_ext.vheat import VHeatNetwork
from mmvision_ext.vheat.padding import find_valid_sizes

ARCH = dict(embed_dims=8, depths=(1, 1, 1, 1))
SIZES = [(64, 90), (96, 61), (64, 90)]


@pytest.fixture
def network() -> VHeatNetwork:
    torch.manual_seed(0)
    network = VHeatNetwork(ARCH, img_size=64, ignore_padding=True)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def batch(canvas):
    torch.manual_seed(1)
    images = [torch.randn(3, h, w) for h, w in SIZES]
    padded = torch.zeros(3, 3, *canvas)
    for i, image in enumerate(images):
        padded[i, :, :image.shape[1], :image.shape[2]] = image
    return images, padded


@pytest.mark.parametrize('canvas', [(96, 90), (128, 96), (97, 203)])
def test_valid_area_does_not_depend_on_the_canvas(network, canvas):
    images, padded = batch(canvas)
    assert find_valid_sizes(padded) == SIZES
    outs = network(padded)
    plain = network(padded, valid_sizes=[canvas] * 3)
    for out, other in zip(outs, plain):
        assert out.shape == other.shape
    for i, image in enumerate(images):
        alone = network(image[None])
        for out, other, expected in zip(outs, plain, alone):
            _, _, h, w = expected.shape
            assert torch.allclose(out[i, :, :h, :w], expected[0], atol=1e-5)
            assert out[i, :, h:].abs().sum() == 0
            assert out[i, :, :, w:].abs().sum() == 0
            # and the option is needed: the canvas matters without it
            assert (other[i, :, :h, :w] - expected[0]).abs().max() > 1e-2


def test_sizes_may_be_given_and_gradients_stay_inside(network):
    _, padded = batch((96, 90))
    padded = (padded + 1.).requires_grad_()  # padding is no longer zero
    outs = network(padded, valid_sizes=SIZES)
    sum(out.square().sum() for out in outs).backward()
    for i, (h, w) in enumerate(SIZES):
        grad = padded.grad[i]
        assert grad[:, :h, :w].abs().sum() > 0
        assert grad[:, h:].abs().sum() == 0
        assert grad[:, :, w:].abs().sum() == 0
    part = VHeatNetwork(ARCH, img_size=64, out_indices=(1, 3))
    part.load_state_dict(network.state_dict(), strict=False)
    for a, i in zip(part(padded, valid_sizes=SIZES), (1, 3)):
        assert torch.equal(a, outs[i])


def test_an_image_of_zeros_counts_as_a_whole(network):
    x = torch.zeros(2, 3, 40, 50)
    x[1, :, :33, :34] = 1
    assert find_valid_sizes(x) == [(40, 50), (33, 34)]
    assert network(x)[0].isfinite().all()


def test_wrong_sizes(network):
    x = torch.zeros(2, 3, 64, 64)
    with pytest.raises(ValueError, match='1 valid_sizes for a batch of 2'):
        network(x, valid_sizes=[(64, 64)])
    with pytest.raises(ValueError, match=r'\(65, 64\) does not fit'):
        network(x, valid_sizes=[(64, 64), (65, 64)])
