"""iTPN-L (CLIP-L/14, "iTPN-L/14") fine-tuned, ImageNet-1k at 256, 50 epochs.

The patch is 16, as everywhere: 256 pixels make as many tokens as CLIP-L/14 has
at 224. The model that the original's command names does not exist in its
code; the recipe is that of 224.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-clip_large_32xb16-ft-50e_in1k-256px.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 88.0 % (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 32 GPUs x 16 images = 512, fp16
Status:   not run
Weights:  as for the config it inherits; tables and positions are resized
"""
_base_ = './itpn-clip_large_32xb16-ft-50e_in1k.py'

img_size = 256
model = dict(backbone=dict(img_size=img_size))

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=img_size)
# As at 224, where 224 pixels of 256 are kept.
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=292)
test_pipeline[2].update(crop_size=img_size)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
