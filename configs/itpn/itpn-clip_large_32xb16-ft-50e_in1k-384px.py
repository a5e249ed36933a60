"""iTPN-L (CLIP) fine-tuned as a classifier, ImageNet-1k at 384.

The original could not fine-tune at this size: its scripts never passed it to
the network, and left the tables as they were. The recipe is that of 224.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-clip_large_32xb16-ft-50e_in1k-384px.py 8
          (four nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 (no published figure of this form); 89.2 % (reported by paper)
          with a stage of supervised training on ImageNet-21k between
Source:   iTPN, arXiv 2211.12735, results table of the original code (the table
          of the paper says 512 pixels)
Hardware: 32 GPUs x 16 images = 512, fp16
Status:   not run
Weights:  as for the config it inherits; tables and positions are resized
"""
_base_ = './itpn-clip_large_32xb16-ft-50e_in1k.py'

img_size = 384
model = dict(backbone=dict(img_size=img_size))

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=img_size)
# The whole image.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='Resize',
        scale=(img_size, img_size),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='PackInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
