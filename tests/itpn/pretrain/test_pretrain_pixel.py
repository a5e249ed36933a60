"""Pixel pre-training."""

import pytest
import torch
import torch.nn.functional as F

from mmvision_ext.itpn.pretrain import random_masking
from mmvision_ext.itpn.pretrain.patches import images_to_patches
from mmvision_ext.itpn.pretrain.pixel_head import patch_targets, pixel_loss


@pytest.mark.parametrize('arch, millions', [
    ('base', '108.493344'),
    ('large', '318.34'),
])
def test_parameters(pretrain, arch, millions):
    model = pretrain.build_on_meta(
        pretrain.build_pixel, arch, img_size=224, neck_depth=2, decoder={})
    digits = len(millions.split('.')[1])
    assert f'{pretrain.count(model) / 1e6:.{digits}f}' == millions


def test_start(pretrain):
    model = pretrain.build_pixel()
    head = model.head
    # trained from sine-cosine values, while those of the decoder are fixed
    assert model.backbone.absolute_pos_embed.requires_grad
    assert not head.decoder_pos_embed.requires_grad
    assert torch.equal(model.backbone.absolute_pos_embed,
                       head.decoder_pos_embed)
    assert head.mask_token.std().item() == pytest.approx(0.02, rel=0.5)
    other = pretrain.build_pixel(backbone=dict(pos_init='trunc_normal'))
    assert other.backbone.absolute_pos_embed.abs().max() < 0.2


def test_hidden_places_hold_three_mask_tokens(pretrain):
    head = pretrain.build_pixel().head
    hidden = random_masking(torch.rand(2, 16), 0.75)
    visible = torch.randn(2, 4, 32)
    for levels in (3, 1):
        tokens = head.fill(visible, hidden.ids_keep, (4, 4), levels)
        places = head.decoder_pos_embed.expand(2, -1, -1)
        expected = levels * head.mask_token[0, 0] + places[hidden.mask]
        assert torch.equal(tokens[hidden.mask], expected)
        for i in range(2):
            ids = hidden.ids_keep[i]
            assert torch.equal(tokens[i, ids], visible[i] + places[i, ids])


def test_as_released_step_by_step(pretrain, images):
    """Mask tokens appended to each level, put in order, then summed."""
    model = pretrain.build_pixel().double()
    images = images.double()
    noise = torch.rand(2, 16)
    head = model.head
    order = noise.argsort(1)
    restore = order.argsort(1)
    pyramid = model.neck.forward_tokens(
        *model.backbone.forward_visible(images, order[:, :4]))
    total = head.decoder_pos_embed
    for embed, level in zip(head.decoder_embed, pyramid[::-1]):
        x = torch.cat([
            embed(level).reshape(2, 4, 32),
            head.mask_token.expand(2, 13, -1)
        ], 1)
        total = total + x.gather(1, restore[..., None].expand(-1, -1, 32))
    x = total
    for block in head.decoder_blocks:
        x = block(x)
    pred = head.decoder_pred(head.decoder_norm(x))
    patches = images_to_patches(images)
    target = (patches - patches.mean(-1, keepdim=True)) / (
        patches.var(-1, keepdim=True) + 1e-6)**.5
    mask = torch.ones(2, 16).scatter(1, order[:, :4], 0)
    expected = ((pred - target)**2).mean(-1).mul(mask).sum() / mask.sum()
    loss = model.loss(images, noise=noise)['loss_pixel']
    # the targets are taken in float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_loss_of_hidden_patches(images):
    ids = random_masking(torch.rand(2, 16), 0.75).ids_masked
    target = patch_targets(images, (4, 4), ids)[0]
    assert pixel_loss(target, images, (4, 4), ids) == 0
    pred = torch.randn(2, 12, 768)
    expected = F.mse_loss(pred, target)
    loss = pixel_loss(pred, images, (4, 4), ids)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    patches = images_to_patches(images)
    for b in range(2):
        values = patches[b, ids[b]]
        expected = (values - values.mean(1, keepdim=True)) / (
            values.var(1, keepdim=True) + 1e-6)**.5
        assert torch.allclose(target[b], expected, atol=1e-6)


def test_last_block_gives_what_is_asked(pretrain):
    """Some tokens, as if all had been computed; gradients too."""
    block = pretrain.build_pixel().head.decoder_blocks[0].double()
    x = torch.randn(2, 16, 32).double()
    ids = torch.rand(2, 16).argsort(1)[:, :5]
    weights = torch.randn(2, 5, 32).double()
    found = []
    for compute in (
            lambda y: block.forward_some(y, ids),
            lambda y: block(y).gather(1, ids[..., None].expand(-1, -1, 32))):
        given = x.clone().requires_grad_()
        block.zero_grad()
        out = compute(given)
        (out * weights).sum().backward()
        found.append([out, given.grad, *(
            p.grad.clone() for p in block.parameters())])
    assert len(found[0]) == 2 + 12
    for some, every in zip(*found):
        assert torch.allclose(some, every, rtol=1e-10, atol=1e-12)


def test_other_grids(pretrain):
    model = pretrain.build_pixel()
    images = torch.randn(2, 3, 48, 96)
    losses = model.loss(images)
    assert torch.isfinite(losses['loss_pixel'])
    places = model.head._positions((3, 6))
    assert places.shape == (1, 18, 32)
    # the same code for the same place in a grid of another width
    assert torch.equal(places[0, 6 + 2], model.head.decoder_pos_embed[0, 6])


def test_every_trained_parameter_has_a_gradient(pretrain, images):
    model = pretrain.build_pixel(neck_depth=2).train()
    sum(model.loss(images).values()).backward()
    assert [
        name for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ] == []


def test_noise_decides(pretrain, images):
    model = pretrain.build_pixel()
    noise = torch.rand(2, 16)
    first, again, other = (
        model.loss(images, noise=value)['loss_pixel'].item()
        for value in (noise, noise.clone(), noise.flip(1)))
    assert first == again != other
    torch.manual_seed(3)
    seeded = model.loss(images)['loss_pixel'].item()
    torch.manual_seed(3)
    assert model.loss(images)['loss_pixel'].item() == seeded


def test_predict_gives_pictures(pretrain):
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    from mmengine.model import ImgDataPreprocessor
    model = pretrain.build_pixel(
        data_preprocessor=ImgDataPreprocessor(mean=mean, std=std))
    pixels = torch.randint(0, 256, (2, 3, 64, 64)).float()
    images = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(
        std)[:, None, None]
    noise = torch.rand(2, 16)
    samples = model.predict(images, noise=noise)
    assert len(model(images, mode='predict')) == len(samples) == 2
    hidden = random_masking(noise, 0.75).mask.reshape(2, 4, 4)
    for i, sample in enumerate(samples):
        assert torch.equal(sample.mask, hidden[i])
        large = sample.mask.repeat_interleave(16, 0).repeat_interleave(16, 1)
        for picture in (sample.masked_input, sample.reconstruction):
            assert picture.shape == (3, 64, 64)
            assert picture.min() >= 0 and picture.max() <= 255
            assert torch.allclose(
                picture[:, ~large], pixels[i][:, ~large], atol=1e-3)
        assert torch.allclose(
            sample.masked_input[:, large],
            torch.tensor(mean)[:, None],
            atol=1e-3)
        # the mean and contrast of hidden patches are the true ones, so an
        # untrained decoder draws about that mean
        assert not torch.allclose(sample.reconstruction[:, large],
                                  sample.masked_input[:, large])


def test_tensor_mode_gives_the_pyramid(pretrain, images):
    model = pretrain.build_pixel()
    shapes = [tuple(level.shape) for level in model(images, mode='tensor')]
    assert shapes == [(2, 16, side, side) for side in (16, 8, 4, 2, 1)]


@pytest.mark.parametrize('change, message', [
    (dict(decoder=dict(embed_dims=40)), 'multiple of 16'),
    (dict(decoder=dict(depth=0)), 'depth of the decoder is 0'),
    (dict(mfm=dict(teacher='clip')), "'momentum'"),
    (dict(mfm=dict(colour=1)), 'MFMSettings'),
    (dict(backbone=dict(out_indices=(2, ))), 'maps of all'),
    (dict(backbone=dict(out_type='avg_featmap')), 'maps of all'),
    (dict(neck=dict(type='mmvision_ext.ITPNPyramid')), r'\(8, 16, 32\)'),
])
def test_refusals(pretrain, change, message):
    from mmvision_ext.itpn.pretrain import ITPNPixelPretrain
    with pytest.raises(ValueError, match=message):
        if 'neck' in change:
            ITPNPixelPretrain(
                dict(type='mmvision_ext.ITPN', arch=pretrain.ARCH), **change)
        else:
            pretrain.build_pixel(**change)


def test_refuses_at_run_time(pretrain, images):
    model = pretrain.build_pixel()
    with pytest.raises(ValueError, match='60 x 64 pixels'):
        model.loss(images[:, :, :60])
    with pytest.raises(ValueError, match="mode is 'test'"):
        model(images, mode='test')


def test_autocast(pretrain, images):
    model = pretrain.build_pixel()
    noise = torch.rand(2, 16)
    plain = model.loss(images, noise=noise)['loss_pixel']
    with torch.autocast('cpu', torch.bfloat16):
        mixed = model.loss(images, noise=noise)['loss_pixel']
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(plain.item(), rel=1e-2)


def test_file_initialises_backbone_and_neck(pretrain, tmp_path):
    from mmengine.model import BaseModel
    model = pretrain.build_pixel(mfm=dict())
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')

    class Detector(BaseModel):

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            fresh = pretrain.build_pixel()
            self.backbone, self.neck = fresh.backbone, fresh.neck
            self.other = torch.nn.Linear(2, 2)

        def forward(self):
            raise NotImplementedError

    detector = Detector(
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'a.pth')))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    detector.init_weights()
    for part in ('backbone', 'neck'):
        given = getattr(model, part).state_dict()
        own = getattr(detector, part).state_dict()
        assert given.keys() == own.keys()
        assert all(torch.equal(given[key], own[key]) for key in given)
