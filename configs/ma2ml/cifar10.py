"""MA2ML on CIFAR-10 in half an hour of two CPU cores, three agents.

AUG chooses a RandAugment, NAS a small mobile network of up to 8 million
multiply-adds, HPO the recipe. A candidate is trained for a quarter of the
epochs of the base config, about a minute on one core; hopeless ones are
stopped after the first validation. All of it is ours: MA2ML's own searches on
CIFAR took a cell space on GPUs (cifar100.py has that form).

Command:  python tools/ma2ml_search.py configs/ma2ml/cifar10.py
          --data-root DIR
Metric:   top-1 (no published figure)
Source:   search of our own
Hardware: 2 CPU cores, no GPU, a trial each
Status:   measured here: top-1 66.0 of the found pipeline, trained for 12
          epochs, against 60.8 of the default and 63.8 by random search, means
          of three seeds (docs/results.md)
"""
search = dict(
    base_config='_base_/searchable-mobilenet_cifar10.py',
    agents=dict(
        aug=[
            dict(
                type='mmvision_ext.RandAugmentSpace',
                num_ops=(0, 1, 2),
                magnitudes=(3, 6, 9, 12, 15))
        ],
        nas=[
            dict(
                type='mmvision_ext.MobileSpace',
                stages=[
                    dict(
                        widths=[12, 16, 24],
                        depths=[1, 2],
                        first=[1, 2, 3],
                        rest=[2, 3],
                        stride=2),
                    dict(
                        widths=[16, 24, 32],
                        depths=[1, 2, 3],
                        first=[2, 3, 4],
                        rest=[2, 3]),
                    dict(
                        widths=[32, 48, 64],
                        depths=[1, 2, 3],
                        first=[2, 3, 4],
                        rest=[2, 3],
                        stride=2),
                    dict(
                        widths=[64, 96, 128],
                        depths=[1, 2],
                        first=[2, 3, 4],
                        rest=[2, 3],
                        stride=2),
                ],
                stem=[8, 12, 16],
                resolutions=None,
                stem_stride=1,
                head_expansion=3)
        ],
        hpo=[
            dict(
                type='mmvision_ext.RecipeSpace',
                choices=dict(
                    lr=[1e-3, 2e-3, 4e-3, 8e-3],
                    weight_decay=[0.01, 0.05, 0.2],
                    batch_size=[32, 64, 128],
                    drop_path=[0.0, 0.1],
                    label_smoothing=[0.0, 0.1],
                    mixup=[0.0, 0.2]))
        ]),
    metric='accuracy/top1',
    flops_limit=8e6,
    flops_input=(3, 32, 32),
    evaluator=dict(
        type='proxy', epochs=0.25, options={'train_cfg.val_interval': 2}),
    pruner=dict(type='median'),
    # Time ends it, not this.
    trials=200,
    timeout=1800,
    trial_timeout=300,
    workers=2)
