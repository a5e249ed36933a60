"""Every way by which mmengine loads a checkpoint ends in the safe one."""
import os

import pytest
import torch

from mmvision_ext.compat import CheckpointError, safe_load

loaders = pytest.importorskip('mmengine.runner.checkpoint')


class Runs:

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.fixture
def evil(tmp_path):
    """A hostile checkpoint, and the file that it makes when it runs."""
    marker = tmp_path / 'it-ran'
    path = tmp_path / 'evil.pth'
    torch.save(
        dict(
            state_dict={'linear.weight': torch.zeros(2, 3)},
            meta=dict(call=Runs(os.system, f'touch {marker}'))), path)
    return path, marker


def load_from(path, tiny_runner, monkeypatch):
    tiny_runner(load_from=str(path)).train()


def resume(path, tiny_runner, monkeypatch):
    tiny_runner(load_from=str(path), resume=True).train()


def auto_resume(path, tiny_runner, monkeypatch):
    runner = tiny_runner(resume=True)
    with open(os.path.join(runner.work_dir, 'last_checkpoint'), 'w') as file:
        file.write(str(path))
    runner.train()


def runner_method(path, tiny_runner, monkeypatch):
    tiny_runner().load_checkpoint(str(path))


def init_cfg(path, tiny_runner, monkeypatch):
    tiny_runner(init_cfg=dict(type='Pretrained', checkpoint=str(path))).train()


def init_cfg_prefix(path, tiny_runner, monkeypatch):
    tiny_runner(
        init_cfg=dict(
            type='Pretrained', checkpoint=str(path),
            prefix='backbone')).train()


def load_checkpoint(path, tiny_runner, monkeypatch):
    loaders.load_checkpoint(torch.nn.Linear(3, 2), str(path))


def checkpoint_loader(path, tiny_runner, monkeypatch):
    loaders.CheckpointLoader.load_checkpoint(str(path))


def local_loader(path, tiny_runner, monkeypatch):
    loaders.load_from_local(str(path), 'cpu')


def http(path, tiny_runner, monkeypatch):
    """The file is in the cache already, so nothing is downloaded."""
    cache = path.parent / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    os.link(path, cache / 'evil.pth')
    monkeypatch.setenv('TORCH_HOME', str(path.parent))
    loaders.CheckpointLoader.load_checkpoint('https://example.org/evil.pth')


def torchvision_zoo(path, tiny_runner, monkeypatch):
    monkeypatch.setattr(loaders, 'get_torchvision_models',
                        lambda: {'evil': 'https://example.org/evil.pth'})
    monkeypatch.setattr(
        loaders, 'load_url', lambda url, **kwargs: safe_load(path))
    loaders.CheckpointLoader.load_checkpoint('torchvision://evil')


def download(path, tiny_runner, monkeypatch):
    """A URL that is not in the cache; file:// stands for the network."""
    monkeypatch.setenv('TORCH_HOME', str(path.parent / 'home'))
    loaders.load_from_http(f'file://{path}')


def utils_load_url(path, tiny_runner, monkeypatch):
    from mmengine.utils.dl_utils import load_url
    load_url(f'file://{path}', model_dir=str(path.parent / 'cache'))


def object_store(path, tiny_runner, monkeypatch):

    class Backend:

        def get(self, name):
            return path.read_bytes()

    monkeypatch.setattr(loaders, 'get_file_backend',
                        lambda *args, **kwargs: Backend())
    loaders.CheckpointLoader.load_checkpoint('s3://bucket/evil.pth')


def model_zoo(path, tiny_runner, monkeypatch):
    monkeypatch.setenv('MMENGINE_HOME', str(path.parent))
    monkeypatch.setattr(loaders, 'get_external_models',
                        lambda: {'evil': 'evil.pth'})
    loaders.CheckpointLoader.load_checkpoint('open-mmlab://evil')


DOORS = [
    load_from, resume, auto_resume, runner_method, init_cfg, init_cfg_prefix,
    load_checkpoint, checkpoint_loader, local_loader, http, download,
    utils_load_url, object_store, model_zoo, torchvision_zoo
]


@pytest.mark.smoke
@pytest.mark.parametrize('door', DOORS, ids=lambda door: door.__name__)
def test_hostile_checkpoint_does_not_run(door, evil, tiny_runner,
                                         monkeypatch):
    path, marker = evil
    with pytest.raises(CheckpointError, match='posix.system'):
        door(path, tiny_runner, monkeypatch)
    assert not marker.exists()


@pytest.mark.parametrize('door', [load_from, resume, init_cfg],
                         ids=lambda door: door.__name__)
def test_missing_and_truncated_are_explained(door, tiny_runner, tmp_path,
                                             monkeypatch):
    path = tmp_path / 'some.pth'
    with pytest.raises(CheckpointError, match='some.pth: no such'):
        door(path, tiny_runner, monkeypatch)
    torch.save({'w': torch.zeros(999)}, path)
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(CheckpointError, match='some.pth: truncated'):
        door(path, tiny_runner, monkeypatch)


def test_opting_out_reaches_the_runner(evil, tiny_runner, monkeypatch):
    path, marker = evil
    monkeypatch.setenv('MMVISION_UNSAFE_LOAD', '1')
    with pytest.warns(UserWarning, match='MMVISION_UNSAFE_LOAD'):
        tiny_runner().load_checkpoint(str(path))
    assert marker.exists()


def test_safetensors_by_init_cfg_and_load_from(tiny_runner, tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    source = tiny_runner()
    path = str(tmp_path / 'w.safetensors')
    save_file(source.model.state_dict(), path)
    for settings in (dict(load_from=path),
                     dict(init_cfg=dict(type='Pretrained', checkpoint=path))):
        runner = tiny_runner(train_cfg=dict(by_epoch=True, max_epochs=0),
                             **settings)
        runner.train()
        assert torch.equal(runner.model.linear.weight,
                           source.model.linear.weight)


SCHEDULES = [
    dict(type='LinearLR', start_factor=0.1),
    dict(type='MultiStepLR', milestones=[1]),
    dict(type='CosineAnnealingLR', T_max=4),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=9),
]


@pytest.mark.smoke
@pytest.mark.parametrize(
    'schedule', SCHEDULES, ids=lambda schedule: schedule['type'])
def test_resume_restores_everything(schedule, tiny_runner):
    settings = dict(
        param_scheduler=[dict(schedule, by_epoch=True)],
        custom_hooks=[dict(type='EMAHook')])
    first = tiny_runner(epochs=1, **settings)
    first.train()
    saved = os.path.join(first.work_dir, 'epoch_1.pth')
    second = tiny_runner(epochs=1, resume=True, **settings)
    second.train()  # nothing is left to train
    assert (second.epoch, second.iter) == (1, 2)
    for name, value in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name
    state = second.optim_wrapper.optimizer.state_dict()['state']
    assert state[0]['step'].item() == 2
    losses = second.message_hub.log_scalars['train/loss'].data[0]
    assert losses.shape == (2, ) and (losses > 0).all()
    third = tiny_runner(epochs=2, load_from=saved, resume=True, **settings)
    third.train()
    assert (third.epoch, third.iter) == (2, 4)
    assert len(third.message_hub.log_scalars['train/loss'].data[0]) == 4


def test_setup_again_changes_nothing(tiny_runner, tmp_path, capfd):
    from mmvision_ext.compat import setup
    local, proxy = loaders.load_from_local, loaders.torch
    setup()
    assert loaders.load_from_local is local and loaders.torch is proxy
    path = tmp_path / 'w.pth'
    torch.save(tiny_runner().model.state_dict(), path)
    loaded = loaders.CheckpointLoader.load_checkpoint(str(path))
    assert set(loaded) >= {'linear.weight', 'linear.bias'}
    assert capfd.readouterr().err.count('weights_only') == 0
    # torch itself is as it was
    assert torch.load.__module__ == 'torch.serialization'
    assert proxy.load is not torch.load and proxy.save is torch.save
