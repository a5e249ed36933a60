"""MA2ML on ImageNet-1k under 800 million multiply-adds, three agents.

All but the limit is that of the search under 600 million.

Command:  python tools/ma2ml_search.py configs/ma2ml/imagenet_800m.py
          --data-root DIR
Metric:   top-1 80.5 % under 800M (reported by paper, of the authors' own
          search; models published before it reach as much under 600M)
Source:   MA2ML, arXiv 2210.09084; spaces of FBNetV3, arXiv 2006.02049, and
          AutoAugment, arXiv 1805.09501; budget of our own
Hardware: 8 GPUs, a trial each
Status:   not run
"""
_base_ = 'imagenet_600m.py'
search = dict(flops_limit=800e6)
