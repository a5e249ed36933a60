"""The hook in real trainings of mmengine, of a network with one weight."""
import os
import threading

import pytest
import torch
import torch.distributed as dist
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmvision_ext.ma2ml.hook import MA2MLSearchHook
from mmvision_ext.ma2ml.trial_files import TRIAL_DIR, TrialFolder


class Line(BaseModel):
    """A network of one weight; its loss is what the test says."""

    def __init__(self, loss=1.):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.loss = loss

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return dict(loss=self.weight.sum() * self.loss)
        return [self.weight.detach()]


class Counting(BaseMetric):
    """One more with each validation, times a factor."""

    def __init__(self, factor=0.1):
        super().__init__()
        self.factor = factor
        self.times = 0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.times += 1
        return dict(acc=self.factor * self.times, name='a word')


def train(work_dir, hook, loss=1., factor=0.1, **train_cfg):
    def loader():
        return DataLoader([dict(inputs=torch.zeros(1))] * 2, batch_size=1)

    runner = Runner(
        Line(loss), str(work_dir), loader(),
        val_dataloader=loader(), val_evaluator=Evaluator(Counting(factor)),
        train_cfg=train_cfg or dict(by_epoch=True, max_epochs=3),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None), custom_hooks=[hook],
        experiment_name=f'hook{id(hook)}', log_level='ERROR')
    runner.train()
    return runner


@pytest.fixture
def trial(tmp_path, monkeypatch) -> TrialFolder:
    folder = TrialFolder(tmp_path / 'trial')
    folder.open(dict(values={}, metric='acc', seed=0))
    monkeypatch.setenv(TRIAL_DIR, str(folder.path))
    return folder


@pytest.fixture
def search(trial):
    """Answers reports, in a thread, as the search does: (step, prune)."""
    answers = {}
    stop = threading.Event()

    def answer():
        done = 0
        while not stop.wait(0.005):
            for step, _ in trial.reports()[done:]:
                trial.answer(step, answers.get(step, False))
                done += 1

    thread = threading.Thread(target=answer)
    thread.start()
    yield answers
    stop.set()
    thread.join()


def test_the_metric_of_each_epoch_is_reported_and_the_last_is_the_reward(
        trial, search, tmp_path):
    train(tmp_path / 'run', MA2MLSearchHook())
    assert trial.reports() == [(1, pytest.approx(0.1)),
                               (2, pytest.approx(0.2)),
                               (3, pytest.approx(0.3))]
    result = trial.result()
    assert result['state'] == 'complete'
    assert result['value'] == pytest.approx(0.3)
    assert result['metrics'] == {'acc': pytest.approx(0.3)}


def test_iterations_count_where_the_training_counts_in_them(
        trial, search, tmp_path):
    train(tmp_path / 'run', MA2MLSearchHook('acc'), by_epoch=False,
          max_iters=6, val_interval=3)
    assert [step for step, _ in trial.reports()] == [3, 6]


def test_a_pruned_training_stops_and_says_so(trial, search, tmp_path):
    search[2] = True
    runner = train(tmp_path / 'run', MA2MLSearchHook('acc'))
    assert runner.epoch == 2
    assert trial.result()['state'] == 'pruned'
    assert trial.result()['value'] == pytest.approx(0.2)


def test_a_training_without_a_search_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.delenv(TRIAL_DIR, raising=False)
    monkeypatch.setattr(TrialFolder, 'report', lambda *_: pytest.fail())
    runner = train(tmp_path / 'run', MA2MLSearchHook('acc'), loss=torch.nan)
    assert runner.epoch == 3


@pytest.mark.parametrize('loss, factor, what', [
    (torch.nan, 1., 'the loss is nan'), (1., torch.inf, 'acc is inf')])
def test_what_is_not_finite_ends_a_trial(
        loss, factor, what, trial, search, tmp_path):
    with pytest.raises(FloatingPointError, match=what):
        train(tmp_path / 'run', MA2MLSearchHook('acc', loss_interval=1),
              loss=loss, factor=factor)
    assert trial.result() is None


def test_a_metric_that_is_not_there_is_named(trial, search, tmp_path):
    with pytest.raises(ValueError, match="'mIoU' is not among .*acc, name"):
        train(tmp_path / 'run', MA2MLSearchHook('mIoU'))


def test_a_training_without_a_search_that_answers_goes_on(
        trial, tmp_path):
    train(tmp_path / 'run', MA2MLSearchHook('acc', patience=0.))
    assert trial.result()['state'] == 'complete'


def test_all_ranks_follow_what_rank_0_was_told(trial, tmp_path, fork):
    """Two processes with gloo; rank 0 alone speaks with the search."""
    trial.answer(1, True)

    class Loop:
        stop_training = False

    class Fake:
        epoch = 1
        train_loop = Loop()

        class logger:
            info = staticmethod(lambda *_: None)

    def body(rank):
        dist.init_process_group(
            'gloo', init_method=f'file://{tmp_path}/store', rank=rank,
            world_size=2)
        hook = MA2MLSearchHook('acc')
        hook.after_val_epoch(Fake, dict(acc=0.5 + rank))
        hook.after_train(Fake)
        assert Fake.train_loop.stop_training

    pid = os.fork()
    if pid == 0:
        os._exit(fork(lambda: body(1)))
    assert fork(lambda: body(0)) == 0
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert trial.reports() == [(1, 0.5)]
    assert trial.result()['state'] == 'pruned'
    assert trial.result()['value'] == 0.5


def test_stock_configs_find_the_hook_by_its_name():
    from mmengine.registry import HOOKS
    hook = HOOKS.build(dict(type='mmvision_ext.MA2MLSearchHook',
                            metric='acc'))
    assert type(hook) is MA2MLSearchHook
