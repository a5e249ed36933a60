"""Small trainings of each task and method, to be killed."""

from dataclasses import dataclass
from pathlib import Path

from ..datasets import make_toy_data
from ..engine.shipped import shipped_root

#: Steps of a whole training, and from one checkpoint to the next.
STEPS, INTERVAL, VAL_INTERVAL = 8, 2, 4

_COMMON = f"""
max_iters = {STEPS}
train_cfg = dict(max_iters=max_iters, val_interval={VAL_INTERVAL})
randomness = dict(seed={{seed}}, deterministic=True)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval={INTERVAL}, max_keep_ckpts=2,
                    save_best='auto'))
custom_hooks = [{{hooks}}]
train_dataloader = dict(batch_size=2, num_workers={{workers}})
"""
_NO_VALIDATION = f"""
train_cfg = dict(max_iters={STEPS})
default_hooks = dict(checkpoint=dict(save_best=None))
"""
_EPOCHS = f"""
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs={STEPS // 2},
                 val_interval=2)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True,
                        T_max={STEPS // 2}, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(interval=1, by_epoch=True))
log_processor = dict(by_epoch=True)
train_dataloader = dict(
    batch_size=12, sampler=dict(type='DefaultSampler', shuffle=True))
"""
_ITPN = """
model = dict(backbone=dict(_delete_=True, type='mmvision_ext.ITPN',
                           arch='nano', img_size={size}, pos_init='sincos',
                           drop_path_rate=0.1{more}))
"""
_EMA = "dict(type='EMAHook', momentum=0.1)"


@dataclass(frozen=True)
class ResumeCase:
    """A small training.

    Args:
        base (str): Config in ``configs/quickstart``.
        layout (str): Folder of the generated data that it reads.
        change (str): What is changed in the config, as text. Defaults to
            nothing.
        hooks (str): Hooks besides ours, as text. Defaults to none.
        workers (int): Of the loader. Defaults to 0.
        validated (bool): Whether it validates. Defaults to True.
        last (str): Name of its last checkpoint.
    """
    base: str
    layout: str
    change: str = ''
    hooks: str = ''
    workers: int = 0
    validated: bool = True
    last: str = f'iter_{STEPS}.pth'

    def write(self, folder: Path, seed: int) -> Path:
        """Write the config and generate the images.

        Args:
            folder (Path): Where to.
            seed (int): Of images and training.

        Returns:
            Path: The config.
        """
        make_toy_data(folder / 'toy', train=24, val=6, seed=seed, size=64)
        base = shipped_root() / 'configs' / 'quickstart' / self.base
        text = _COMMON.format(
            seed=seed, workers=self.workers, hooks=self.hooks)
        # Later dicts of one name would replace the earlier ones: each
        # change is a config of its own, on top of the one before.
        for number, part in enumerate(
                [text, *([] if self.validated else [_NO_VALIDATION]),
                 *([self.change] if self.change else [])]):
            path = folder / f'config{number}.py'
            path.write_text(f'_base_ = {str(base)!r}\n{part}')
            base = path
        return base


CASES: dict[str, ResumeCase] = {
    'vheat-classification': ResumeCase(
        'vheat-nano_toy_cls.py', 'imagenet', _EPOCHS, _EMA,
        last=f'epoch_{STEPS // 2}.pth'),
    'vheat-detection': ResumeCase(
        'maskrcnn_vheat_nano_toy_det.py', 'coco'),
    'vheat-segmentation': ResumeCase(
        'upernet_vheat_nano_toy_seg.py', 'ade20k', workers=2),
    'itpn-pretraining': ResumeCase(
        'itpn-nano_toy_pretrain.py', 'coco', workers=1, validated=False),
    'itpn-classification': ResumeCase(
        'vheat-nano_toy_cls.py', 'imagenet',
        _ITPN.format(size=64, more=", out_type='avg_featmap'") +
        'model.update(neck=None)\n', workers=1),
    'itpn-detection': ResumeCase(
        'maskrcnn_itpn_nano_toy_det.py', 'coco', workers=1),
    'itpn-segmentation': ResumeCase(
        'upernet_vheat_nano_toy_seg.py', 'ade20k',
        _ITPN.format(size=192, more='') + """
model.update(
    neck=dict(type='mmvision_ext.ITPNPyramid',
              in_channels=[48, 96, 192], out_channels=64, depth=1,
              num_outs=4, pool='max', concat=True),
    decode_head=dict(in_channels=[112, 160, 256, 256]))
"""),
}
