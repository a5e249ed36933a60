"""Training without CUDA, by configs that were written for it."""
import os
import socket
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

pytest.importorskip('mmengine')

from mmengine.config import Config  # noqa: E402

from mmvision_ext.compat import adapt_config_for_cpu, cpu  # noqa: E402


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(cpu, 'has_accelerator', lambda: False)


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(cpu, '_log', lines.append)
    return lines


def gpu_config():
    return Config(
        dict(
            model=dict(
                type='EncoderDecoder',
                norm_cfg=dict(type='SyncBN', requires_grad=True),
                heads=[
                    dict(norm_cfg=dict(type='mmcv.SyncBN')),
                    dict(norm_cfg=dict(type='MMSyncBN'), norm=('BN', dict(
                        type='SyncBN', eps=1e-3))),
                ],
                kept=dict(type='LN')),
            optim_wrapper=dict(
                type='AmpOptimWrapper',
                loss_scale='dynamic',
                dtype='float16',
                constructor='LayerDecayOptimWrapperConstructor',
                accumulative_counts=2,
                clip_grad=dict(max_norm=1.),
                optimizer=dict(type='AdamW', lr=1e-4)),
            sync_bn='torch',
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60)),
            launcher='pytorch'))


def test_config_is_adapted(no_cuda, log):
    cfg = gpu_config()
    assert adapt_config_for_cpu(cfg) is cfg
    assert cfg.model.norm_cfg == dict(type='BN', requires_grad=True)
    assert cfg.model.heads[0].norm_cfg.type == 'mmcv.BN'
    assert cfg.model.heads[1].norm_cfg.type == 'BN'
    assert cfg.model.heads[1].norm[1] == dict(type='BN', eps=1e-3)
    assert cfg.model.kept.type == 'LN'
    assert cfg.optim_wrapper == dict(
        type='OptimWrapper',
        constructor='LayerDecayOptimWrapperConstructor',
        accumulative_counts=2,
        clip_grad=dict(max_norm=1.),
        optimizer=dict(type='AdamW', lr=1e-4))
    assert cfg.env_cfg.dist_cfg == dict(backend='gloo', timeout=60)
    assert 'sync_bn' not in cfg and cfg.launcher == 'pytorch'
    assert log == [
        'option sync_bn dropped', 'SyncBN reverted to BN',
        'MMSyncBN reverted to BN',
        'AmpOptimWrapper replaced by OptimWrapper (no mixed precision)',
        'distributed backend nccl replaced by gloo'
    ]
    adapt_config_for_cpu(cfg)
    assert len(log) == 5  # nothing is left to adapt


def test_types_given_as_classes(no_cuda, log):
    from mmengine.optim import AmpOptimWrapper, OptimWrapper
    cfg = adapt_config_for_cpu(
        dict(
            wrapper=dict(type=AmpOptimWrapper, loss_scale=1.),
            norm=dict(type=nn.SyncBatchNorm),
            full=dict(type='torch.nn.SyncBatchNorm')))
    assert cfg['wrapper'] == dict(type=OptimWrapper)
    assert cfg['norm'] == dict(type=nn.BatchNorm2d)
    assert cfg['full'] == dict(type='BN')


def test_config_is_left_alone_with_a_gpu(monkeypatch, log):
    monkeypatch.setattr(cpu, 'has_accelerator', lambda: True)
    cfg = adapt_config_for_cpu(gpu_config())
    assert cfg.to_dict() == gpu_config().to_dict()
    assert log == []


@pytest.mark.smoke
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='about machines without CUDA')
@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'ApexOptimWrapper'])
def test_runner_replaces_amp_wrappers(kind, tiny_runner, log):
    runner = tiny_runner(
        optim_wrapper=dict(
            type=kind, loss_scale='dynamic',
            optimizer=dict(type='SGD', lr=0.1)))
    runner.train()
    assert type(runner.optim_wrapper).__name__ == 'OptimWrapper'
    assert log == [
        f'{kind} replaced by OptimWrapper (no mixed precision)'
    ]


def test_launcher_is_untouched_with_a_gpu(monkeypatch):
    """The replacement asks for a device when it is called, not before."""
    import mmengine.dist.utils as launcher
    monkeypatch.setattr(cpu, 'has_accelerator', lambda: True)
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('LOCAL_RANK', '3')
    devices = []
    monkeypatch.setattr(torch.cuda, 'set_device', devices.append)
    backends = []
    monkeypatch.setattr(torch.distributed, 'init_process_group',
                        lambda backend: backends.append(backend))
    launcher._init_dist_pytorch('nccl')
    assert (devices, backends) == ([3], ['nccl'])


SCRIPT = textwrap.dedent("""
    import os
    import sys
    import torch
    import torch.distributed as dist
    from torch import nn
    import mmvision_ext.compat
    mmvision_ext.compat.setup()
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.norm = nn.SyncBatchNorm(2)
            self.unused = nn.Linear(1, 1)

        def forward(self, x, mode='tensor'):
            x = torch.stack(x) if isinstance(x, list) else x
            return dict(loss=self.norm(self.linear(x)).pow(4).mean())

    rank = int(os.environ['RANK'])
    torch.manual_seed(rank)
    extra = {'default': {}, 'wrapper': dict(
        sync_bn='torch', model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', find_unused_parameters=True)),
        'separate': dict(model_wrapper_cfg=dict(
            type='MMSeparateDistributedDataParallel'))}[sys.argv[2]]
    runner = Runner(
        model=Model(), work_dir=sys.argv[1], launcher='pytorch',
        train_dataloader=dict(
            batch_size=2, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=[dict(x=torch.rand(3)) for _ in range(8)]),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(
            type='AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
        env_cfg=dict(dist_cfg=dict(backend='nccl')),
        cfg=dict(find_unused_parameters=True, **extra))
    model = runner.model
    if sys.argv[2] != 'separate':
        runner.train()
        model = runner.model.module
        weights = [torch.zeros(2, 3) for _ in range(2)]
        dist.all_gather(weights, model.linear.weight.detach())
        assert torch.equal(*weights), 'the processes drifted apart'
        assert type(model.norm).__name__ == '_BatchNormXd'
        assert type(runner.optim_wrapper).__name__ == 'OptimWrapper'
        assert runner.iter == 2, runner.iter
    else:
        runner.wrap_model(dict(extra['model_wrapper_cfg']), Model())
    assert dist.get_backend() == 'gloo' and dist.get_world_size() == 2
    print(f'rank {rank} done', flush=True)
""")


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.mark.smoke
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='about machines without CUDA')
@pytest.mark.parametrize('wrapper', ['default', 'wrapper', 'separate'])
def test_two_gloo_processes_train(wrapper, tmp_path, repo_root):
    script = tmp_path / 'train.py'
    script.write_text(SCRIPT)
    done = subprocess.run(
        [
            sys.executable, '-m', 'torch.distributed.run',
            '--nproc_per_node=2', '--master_addr=127.0.0.1',
            f'--master_port={free_port()}',
            str(script),
            str(tmp_path / 'work'), wrapper
        ],
        env={
            **os.environ, 'PYTHONPATH': str(repo_root),
            'OMP_NUM_THREADS': '1'
        },
        capture_output=True,
        text=True,
        timeout=300)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert 'rank 0 done' in output and 'rank 1 done' in output
    # each is said once, by the first process
    for line in ('nccl replaced by gloo', 'SyncBatchNorm layers reverted'):
        assert output.count(line) == 1, output
