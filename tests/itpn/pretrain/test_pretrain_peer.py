"""The same numbers as mmpretrain's iTPN, so that times can be compared."""

import importlib.util
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope='module')
def peer():
    pytest.importorskip('mmpretrain', reason='mmpretrain is not installed')
    path = Path(__file__).parents[1] / 'peer_pretraining.py'
    spec = importlib.util.spec_from_file_location('peer_pretraining', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equal_losses_and_gradients(peer):
    size = dict(img_size=64, depths=(2, 4, 2), decoder_depth=2)
    theirs, ours = peer.mmpretrain_itpn(**size), peer.ours_at_their_size(
        **size)
    images = torch.randn(2, 3, 64, 64)
    losses = [module(images) for module in (theirs, ours)]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-5)
    for loss in losses:
        loss.backward()
    own = dict(ours.model.named_parameters())
    trained = 0
    for name, parameter in theirs.model.named_parameters():
        found = own.pop(peer._own_name(name))
        assert found.requires_grad == parameter.requires_grad, name
        if parameter.requires_grad:
            trained += 1
            error = (found.grad - parameter.grad).norm()
            assert error <= 1e-4 * parameter.grad.norm(), name
    assert not own and trained > 100


def test_same_patches_in_every_call(peer):
    module = peer.ours('nano', img_size=64)
    images = torch.randn(2, 3, 64, 64)
    state = torch.random.get_rng_state()
    first = module(images)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.item() == module(images).item()
    module.seed = 1
    assert first.item() != module(images).item()
