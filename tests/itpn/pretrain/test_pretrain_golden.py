"""Agreement with reference outputs of both kinds of pre-training."""

import numpy as np
import torch

from mmvision_ext.itpn.pretrain import random_masking


def tensors(case, *names):
    return [torch.from_numpy(case[name]) for name in names]


def test_pixel(shared_root, pretrain):
    case, config = pretrain.load_golden(shared_root, 'pixel')
    depth = config['mlp_depth'], config['mlp_depth'], config['depth']
    model = pretrain.build_pixel(
        img_size=224,
        arch=dict(
            embed_dims=config['embed_dim'],
            depths=depth,
            num_heads=config['num_heads']),
        fpn=config['fpn_dim'],
        neck_depth=2,
        decoder=dict(
            embed_dims=config['decoder_embed_dim'],
            depth=config['decoder_depth'],
            num_heads=config['decoder_num_heads']))
    pretrain.load_released(model, case)
    images, noise, ids = tensors(case, 'input/img', 'input/noise',
                                 'input/ids_keep')
    hidden = random_masking(noise, 0.75)
    assert torch.equal(hidden.ids_keep, ids)
    assert np.array_equal(hidden.mask, case['input/mask'] == 1)
    with torch.no_grad():
        pyramid = model.neck.forward_tokens(
            *model.backbone.forward_visible(images, ids))
        # all patches, not the hidden ones alone
        every = hidden._replace(
            ids_masked=torch.arange(196).expand(len(images), -1))
        pred = model.head.decoder_pred(
            model._decode(images, every, (14, 14))[-1])
    for stride, level in zip((4, 8, 16), pyramid):
        np.testing.assert_allclose(
            level, case[f'output/fpn_{stride}'], rtol=0, atol=2e-5)
    np.testing.assert_allclose(pred, case['output/pred'], rtol=0, atol=2e-5)
    loss = model.loss(images, noise=noise)
    assert loss.keys() == {'loss_pixel'}
    np.testing.assert_allclose(
        loss['loss_pixel'].item(), case['output/loss'], rtol=0, atol=2e-5)
    loss['loss_pixel'].backward()
    pretrain.check_grad_norms(model, case)


def test_clip(shared_root, pretrain):
    case, config = pretrain.load_golden(shared_root, 'clip')
    model = pretrain.build_clip(
        img_size=224,
        arch=dict(
            embed_dims=config['embed_dim'],
            depths=(config['mlp_depth1'], config['mlp_depth2'],
                    config['depth']),
            num_heads=config['num_heads']),
        fpn=config['fpn_dim'],
        teacher_dims=config['teacher_dim'],
        backbone=dict(drop_path_rate=config['drop_path_rate'])).eval()
    pretrain.load_released(model, case)
    images, mask, target = tensors(case, 'input/img', 'input/bool_masked_pos',
                                   'input/target')
    with torch.no_grad():
        _, main, aux = model._run(images, mask, (14, 14))
    np.testing.assert_allclose(main, case['output/main'], rtol=0, atol=2e-5)
    np.testing.assert_allclose(aux, case['output/aux'], rtol=0, atol=2e-5)
    losses = model.loss(images, mask=mask, target=target)
    assert losses.keys() == {'loss_main', 'loss_aux'}
    total = sum(losses.values())
    np.testing.assert_allclose(
        total.item(), case['output/loss'], rtol=0, atol=2e-5)
    total.backward()
    pretrain.check_grad_norms(model, case)
