"""vHeat-B (as released) classifier, ImageNet-1k at 224, 300 epochs.

The second version of the paper lists another base (68M, 11.2 GFLOPs,
84.0 %), of which neither settings nor weights were released. This one is the
released network (87M, 14.9 GFLOPs).

Command:  bash tools/dist_train.sh configs/vheat/vheat-base_16xb128_in1k.py 8
          (two nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 83.9 %, of the averaged (EMA) weights (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 16 GPUs x 128 images = 2048, fp16
Status:   not run
Weights:  convert an official file, then evaluate it:
          python tools/convert_weights.py vHeat_base.pth vheat-base.pth
          python tools/test.py configs/vheat/vheat-base_16xb128_in1k.py
          vheat-base.pth
"""
_base_ = './vheat-tiny_16xb128_in1k.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    head=dict(in_channels=1024))
