"""MA2ML on generated images, three agents: the default, for a CPU.

Shows a whole search in a few minutes. The shapes are easy: what it finds says
nothing about other data.

Command:  python tools/make_toy_data.py --out data/toy --train 240 --val 120
          --size 32
          python tools/ma2ml_search.py configs/ma2ml/toy.py
Metric:   top-1 (no published figure)
Source:   search of our own
Hardware: 2 CPU cores, no GPU, a trial each
Status:   measured here: top-1 100.0 for the best of 22 trials, in the search
          itself, on 240 + 120 images; 10 s of one core a trial (torch 2.11.0,
          onedl stack, seed 0)
"""
search = dict(
    base_config='_base_/searchable-mobilenet_toy.py',
    agents=dict(
        aug=[
            dict(
                type='mmvision_ext.RandAugmentSpace',
                num_ops=(0, 1, 2),
                magnitudes=(3, 9, 15))
        ],
        nas=[
            dict(
                type='mmvision_ext.MobileSpace',
                stages=[
                    dict(
                        widths=[8, 12],
                        depths=[1, 2],
                        first=[1, 2],
                        rest=[2],
                        se=[False],
                        stride=2),
                    dict(
                        widths=[12, 16, 24],
                        depths=[1, 2],
                        first=[2, 3],
                        rest=[2],
                        stride=2),
                    dict(
                        widths=[24, 32],
                        depths=[1, 2],
                        first=[2, 3],
                        rest=[2],
                        stride=2),
                ],
                stem=[8],
                resolutions=None,
                stem_stride=1,
                head_expansion=3)
        ],
        hpo=[
            dict(
                type='mmvision_ext.RecipeSpace',
                choices=dict(
                    lr=[1e-3, 4e-3, 1.6e-2],
                    weight_decay=[0.01, 0.1],
                    label_smoothing=[0.0, 0.1]))
        ]),
    metric='accuracy/top1',
    flops_limit=1e6,
    flops_input=(3, 32, 32),
    # A third of the trials fills the space, then the agents propose.
    sampler=dict(name='ma2ml', warmup=8),
    trials=24,
    trial_timeout=120,
    workers=2)
