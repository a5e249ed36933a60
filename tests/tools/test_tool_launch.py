"""tools/train.py and tools/test.py, run in this process."""
import pickle
import re
from pathlib import Path

import pytest
import torch

from mmvision_ext.engine import launch

pytest.importorskip('mmpretrain', reason='the config is of mmpretrain')
from mmengine.config import Config  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

no_cuda = pytest.mark.skipif(
    torch.cuda.is_available(), reason='what happens without a CUDA device')


@pytest.fixture(autouse=True)
def _own_visualizer(monkeypatch):
    """mmengine finds them by a name that holds for a second.

    Two trainings in that second would share one, and its folder.
    """
    from mmpretrain.visualization import UniversalVisualizer
    build = launch._build_runner

    def build_afresh(cfg):
        UniversalVisualizer._instance_dict.clear()
        return build(cfg)

    monkeypatch.setattr(launch, '_build_runner', build_afresh)


@pytest.fixture
def args(tiny_config: Path, toy_data: Path, tmp_path: Path) -> list[str]:
    """Arguments with which training works."""
    return [
        str(tiny_config), '--data-root',
        str(toy_data / 'imagenet'), '--work-dir',
        str(tmp_path / 'work dir')
    ]


@pytest.fixture
def fails(capfd):
    """Run a tool that has to fail with one line, and return the line."""

    def run(tool, arguments: list[str]) -> str:
        capfd.readouterr()
        assert tool(arguments) == 2
        # Libraries may warn on stderr; the tool itself says one line.
        lines = capfd.readouterr().err.splitlines()
        said = [x for x in lines if re.match('(train|test).py: ', x)]
        assert len(said) == 1
        return said[0]

    return run


def _dumped(work_dir: Path) -> Config:
    return Config.fromfile(next(work_dir.glob('*.py')))


@pytest.mark.smoke
def test_train_resume_and_test(args, tmp_path, capfd):
    work_dir = tmp_path / 'work dir'
    assert launch.train(args) == 0
    first = torch.load(work_dir / 'epoch_1.pth', weights_only=False)
    assert first['meta']['epoch'] == 1 and first['meta']['iter'] == 2
    more = ['--cfg-options', 'train_cfg.max_epochs=2']
    assert launch.train([*args, '--resume', *more]) == 0
    second = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    assert second['meta']['iter'] == 4
    assert 'resumed epoch: 1, iter: 2' in capfd.readouterr().out
    # The momentum went on as well, not from zero.
    assert len(second['optimizer']['state']) == len(
        first['optimizer']['state']) > 0
    out = tmp_path / 'out' / 'p.pkl'
    assert launch.test([
        args[0], str(work_dir / 'epoch_2.pth'), *args[1:], '--out', str(out),
        '--show-dir', str(tmp_path / 'shown')
    ]) == 0
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 4
    assert predictions[0]['pred_score'].shape == (1000, )
    assert len(list((tmp_path / 'shown').iterdir())) == 4


def test_resume_from_a_path_and_from_a_moved_directory(args, tmp_path, capfd):
    work_dir = tmp_path / 'work dir'
    assert launch.train(args) == 0
    moved = work_dir.rename(tmp_path / 'moved')
    assert launch.latest_checkpoint(str(moved)) == str(moved / 'epoch_1.pth')
    more = ['--cfg-options', 'train_cfg.max_epochs=2']
    assert launch.train(
        [*args, '--resume', str(moved / 'epoch_1.pth'), *more]) == 0
    assert 'resumed epoch: 1, iter: 2' in capfd.readouterr().out
    assert not (work_dir / 'epoch_1.pth').exists()
    assert (work_dir / 'epoch_2.pth').exists()


def test_resume_with_nothing_there_starts_anew(args, tmp_path, capfd):
    assert launch.train([*args, '--resume', '--no-validate']) == 0
    out = capfd.readouterr().out
    assert f'no checkpoint in {tmp_path / "work dir"}, training starts anew' \
        in out
    assert _dumped(tmp_path / 'work dir').resume is False
    assert 'Epoch(val)' not in out


def test_resume_from_a_checkpoint_that_is_gone(args, tmp_path, fails):
    assert launch.latest_checkpoint(str(tmp_path)) is None
    work_dir = tmp_path / 'work dir'
    work_dir.mkdir()
    (work_dir / 'last_checkpoint').write_text('/old/epoch_7.pth')
    assert '/old/epoch_7.pth' in fails(launch.train, [*args, '--resume'])
    line = fails(launch.train, [*args, '--resume', '/gone.pth'])
    assert '--resume: checkpoint /gone.pth does not exist' in line


def test_a_damaged_checkpoint_is_one_line(args, tmp_path, fails):
    path = tmp_path / 'cut.pth'
    torch.save(dict(state_dict=dict(w=torch.zeros(1000))), path)
    path.write_bytes(path.read_bytes()[:300])
    line = fails(launch.test, [args[0], str(path), *args[1:]])
    assert str(path) in line


@no_cuda
def test_amp_becomes_plain_on_the_cpu(args, tmp_path):
    assert launch.train([*args, '--amp', '--no-validate']) == 0
    assert _dumped(tmp_path / 'work dir').optim_wrapper.type == 'OptimWrapper'


def test_amp_needs_a_plain_wrapper(args, fails):
    line = fails(launch.train, [
        *args, '--amp', '--cfg-options', 'optim_wrapper.type=ApexOptimWrapper'
    ])
    assert 'ApexOptimWrapper' in line and 'expected OptimWrapper' in line


def test_auto_scale_lr(args, tmp_path, tiny_config, fails, monkeypatch):
    rates, scale = [], Runner.scale_lr

    def recorded(self, optim_wrapper, auto_scale_lr=None):
        scale(self, optim_wrapper, auto_scale_lr)
        rates.append(optim_wrapper.optimizer.param_groups[0]['lr'])

    monkeypatch.setattr(Runner, 'scale_lr', recorded)
    assert launch.train([*args, '--auto-scale-lr', '--no-validate']) == 0
    # Batches of 4 for a rate of 0.01 that belongs to 16.
    assert rates == [pytest.approx(0.0025)]
    bare = tmp_path / 'bare.py'
    bare.write_text(f'{tiny_config.read_text()}\ndel auto_scale_lr\n')
    line = fails(launch.train, [str(bare), *args[1:], '--auto-scale-lr'])
    assert 'base_batch_size' in line


def test_data_root_as_a_config_option(args, tmp_path):
    root = args[2]
    options = ['--cfg-options', f'data_root={root}']
    assert launch.train([args[0], *args[3:], *options, '--no-validate']) == 0
    cfg = _dumped(tmp_path / 'work dir')
    assert cfg.data_root == root
    assert cfg.train_dataloader.dataset.dataset.data_root == f'{root}/'


def test_default_work_dir(tiny_config, toy_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = str(toy_data / 'imagenet')
    assert launch.train(
        [str(tiny_config), '--data-root', root, '--no-validate']) == 0
    assert (tmp_path / 'work_dirs/tiny net/epoch_1.pth').is_file()


@pytest.mark.parametrize('change, options, expected', [
    ('', ['--data-root', '/no/where'], 'data root /no/where/ does not exist'),
    ('', ['--launcher', 'pytorch'], 'RANK is not set'),
    ('', ['--cfg-options', 'model.neck.dimm=2'], "argument 'dimm'"),
    ('', ['--cfg-options', 'load_from=/gone.pth'], 'checkpoint /gone.pth'),
    ('', ['--cfg-options', 'model.type=NoSuchNet'], 'NoSuchNet is not in'),
    ('del train_cfg, optim_wrapper', [],
     'has no train_cfg, optim_wrapper, which it needs to train'),
    ('custom_imports = dict(imports=["mmvision_ext"])\n'
     'model["backbone"] = dict(type="mmvision_ext.VHeat", typ="nano")', [],
     "unexpected keyword argument 'typ': check the config"),
    ('default_scope = "mmnowhere"', [], 'mmnowhere is not installed'),
    ('x = 1 +', [], 'cannot be read: SyntaxError'),
    ('_base_ = "gone.py"', [], 'gone.py'),
    ('custom_imports = dict(imports=["no_such_module"])', [],
     'cannot be read: ImportError'),
])
def test_mistakes_end_in_one_line(args, tiny_config, tmp_path, fails,
                                  monkeypatch, change, options, expected):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / 'changed.py'
    config.write_text(f'{tiny_config.read_text()}\n{change}\n')
    line = fails(launch.train, [str(config), *args[1:], *options])
    assert expected in line


def test_missing_files_end_in_one_line(args, tmp_path, fails):
    assert 'config gone.py does not exist' in fails(launch.train,
                                                    ['gone.py'])
    line = fails(launch.test, [args[0], '/gone.pth', *args[1:]])
    assert 'checkpoint /gone.pth does not exist' in line
    (tmp_path / 'w.pth').touch()
    line = fails(launch.test, [
        args[0], str(tmp_path / 'w.pth'), *args[1:], '--out', 'p.txt'
    ])
    assert '--out p.txt' in line
    line = fails(launch.test,
                 [args[0], str(tmp_path / 'w.pth'), *args[1:], '--tta'])
    assert 'no tta_model, no tta_pipeline' in line


def test_a_missing_image_names_it(args, toy_data, tmp_path, fails):
    import shutil
    root = Path(shutil.copytree(toy_data / 'imagenet', tmp_path / 'd'))
    image = next((root / 'val').rglob('*.JPEG'))
    image.unlink()
    line = fails(launch.train, [*args, '--data-root', str(root)])
    assert str(image) in line


def test_classes_that_are_no_categories(toy_data, tmp_path, fails,
                                        repo_root):
    """mmdet then finds no image, and numpy nothing to concatenate."""
    config = repo_root / 'configs/vheat/maskrcnn_vheat_nano_nuclei.py'
    line = fails(launch.train, [
        str(config), '--data-root', str(toy_data / 'coco'), '--work-dir',
        str(tmp_path)
    ])
    assert 'a dataset of the config is empty' in line
    assert 'metainfo.classes' in line


def test_predictions_of_each_package():
    metric = dict(type='IoUMetric')
    cfg = Config(dict(default_scope='mmseg', test_evaluator=metric))
    launch._dump_predictions(cfg, 'folder')
    assert cfg.test_evaluator == [dict(metric, output_dir='folder')]
    cfg = Config(dict(default_scope='mmdet', test_evaluator=[metric]))
    launch._dump_predictions(cfg, 'p.pkl')
    assert cfg.test_evaluator[1] == dict(
        type='DumpDetResults', out_file_path='p.pkl')


def test_errors_of_the_program_keep_their_stack_trace(args, monkeypatch):
    def broken(cfg):
        raise RuntimeError('a bug')

    monkeypatch.setattr(launch, '_build_runner', broken)
    with pytest.raises(RuntimeError, match='a bug'):
        launch.train(args)
