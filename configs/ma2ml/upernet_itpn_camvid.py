"""MA2ML on a segmenter: UPerNet with iTPN, three agents.

AUG chooses a RandAugment of operations that move no pixel, NAS depth, width
and drop path of iTPN, HPO rate, its decay over the layers and weight decay.
All of it is ours: MA2ML was published for classification.

Command:  python tools/ma2ml_search.py configs/ma2ml/upernet_itpn_camvid.py
          --data-root DIR
Metric:   mIoU over 11 classes (no published figure)
Source:   search of our own
Hardware: 2 CPU cores, no GPU, a trial each
Status:   not run
"""
search = dict(
    base_config='../itpn/upernet_itpn_nano_camvid.py',
    agents=dict(
        aug=[
            dict(
                type='mmvision_ext.RandAugmentSpace',
                num_ops=(0, 1, 2),
                magnitudes=(3, 9, 15, 21))
        ],
        nas=[
            dict(
                type='mmvision_ext.ITPNSpace',
                depths=[(1, ), (1, ), (3, 4, 5)],
                embed_dims=(128, 192, 256),
                mlp_ratios=(3., 4.),
                drop_path=(0.0, 0.05, 0.1))
        ],
        hpo=[
            dict(
                type='mmvision_ext.RecipeSpace',
                choices=dict(
                    lr=[5e-4, 1e-3, 2e-3], weight_decay=[0.01, 0.05, 0.1])),
            dict(
                type='mmvision_ext.KeySpace',
                decisions=[
                    dict(
                        name='layer_decay',
                        choices=[0.8, 0.9, 1.0],
                        ordinal=True,
                        key='optim_wrapper.paramwise_cfg.layer_decay_rate')
                ])
        ]),
    metric='mIoU',
    flops_limit=6e9,
    flops_input=(3, 360, 480),
    trials=30,
    workers=2)
