"""vHeat-S classifier, ImageNet-1k at 224, 300 epochs from scratch.

Command:  bash tools/dist_train.sh configs/vheat/vheat-small_16xb128_in1k.py 8
          (two nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 83.6 %, of the averaged (EMA) weights (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 16 GPUs x 128 images = 2048, fp16
Status:   not run
Weights:  convert an official file, then evaluate it:
          python tools/convert_weights.py vHeat_small.pth vheat-small.pth
          python tools/test.py configs/vheat/vheat-small_16xb128_in1k.py
          vheat-small.pth
"""
_base_ = './vheat-tiny_16xb128_in1k.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
