"""MA2ML on CIFAR-100 over cells, three agents.

AUG chooses five sub-policies of AutoAugment, NAS a normal and a reduction
cell, HPO the recipe. A candidate is a network of a third of the final depth
and width, trained for a thirtieth of the epochs; the best are then trained at
full length as they are. MA2ML's experiments on CIFAR are published without the
operations, sizes, recipe or budget of the search: those here are ours.

Command:  python tools/ma2ml_search.py configs/ma2ml/cifar100.py
          --data-root DIR
Metric:   top-1 (no published figure is known to us)
Source:   MA2ML, arXiv 2210.09084; cells of the size of DARTS, arXiv
          1806.09055; AutoAugment, arXiv 1805.09501; budget of our own
Hardware: 4 GPUs, a trial each
Status:   not run
"""
search = dict(
    base_config='_base_/searchable-cells_cifar100.py',
    agents=dict(
        aug=[
            dict(
                type='mmvision_ext.AutoAugmentSpace',
                num_policies=5,
                image_size=32)
        ],
        nas=[
            dict(
                type='mmvision_ext.CellSpace', cells=(2, 4, 6),
                widths=(16, 24, 36))
        ],
        hpo=[dict(type='mmvision_ext.RecipeSpace', choices='cifar')]),
    metric='accuracy/top1',
    flops_limit=600e6,
    flops_input=(3, 32, 32),
    evaluator=dict(type='proxy', epochs=1 / 30),
    pruner=dict(type='asha'),
    trials=300,
    workers=4,
    retrain=dict(top=3, seeds=3))
