"""MA2ML on ImageNet-1k under 600 million multiply-adds, three agents.

AUG chooses five sub-policies of AutoAugment, NAS a mobile network of
FBNetV3's space with its resolution, HPO FBNetV3's recipe. Each candidate is
trained on a tenth of the images for a tenth of the epochs; the three best are
then trained in full. That MA2ML searches these three modules, with 25
sub-policies and kernel, width, depth and resolution, is published; the exact
spaces, the proxy and the number of trials are not: those here are ours.

Command:  python tools/ma2ml_search.py configs/ma2ml/imagenet_600m.py
          --data-root DIR
          (shorter: --trials, --timeout; smaller images or fewer epochs: the
          evaluator below)
Metric:   top-1 79.7 % under 600M (reported by paper, of the authors' own
          search; models published before it reach 80.5 under the same limit)
Source:   MA2ML, arXiv 2210.09084; spaces of FBNetV3, arXiv 2006.02049, and
          AutoAugment, arXiv 1805.09501; budget of our own
Hardware: 8 GPUs, a trial each
Status:   not run
"""
search = dict(
    base_config='_base_/searchable-mobilenet_in1k.py',
    agents=dict(
        aug=[dict(type='mmvision_ext.AutoAugmentSpace', num_policies=5)],
        nas=[dict(type='mmvision_ext.MobileSpace')],
        hpo=[dict(type='mmvision_ext.RecipeSpace', choices='imagenet')]),
    metric='accuracy/top1',
    flops_limit=600e6,
    evaluator=dict(type='proxy', subset=0.1, epochs=0.1),
    pruner=dict(type='asha'),
    trials=400,
    workers=8,
    retrain=dict(top=3, seeds=3))
