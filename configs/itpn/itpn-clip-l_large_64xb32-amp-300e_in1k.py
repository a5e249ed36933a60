"""iTPN-L with its pyramid, pre-trained with CLIP-L/14, 300 epochs.

The teacher sees 196 pixels: as many patches of 14 as the student has of 16.
What differs from the original is listed in the config of the base; besides,
its command leaves out the channels of this teacher and stops with an error.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-clip-l_large_64xb32-amp-300e_in1k.py 8
          --cfg-options model.teacher.checkpoint=FILE
          where FILE is CLIP's ViT-L-14.pt; nothing is downloaded
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 87.8 % after fine-tuning (reported by paper), see
          itpn-clip_large_32xb16-ft-50e_in1k.py
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 64 GPUs x 32 images = 2048, fp16
Status:   not run
"""
_base_ = './itpn-clip_base_64xb32-amp-300e_in1k.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.2),
    neck=dict(in_channels=[192, 384, 768]),
    teacher=dict(checkpoint='data/clip/ViT-L-14.pt', img_size=196),
    teacher_dims=768)

train_pipeline = _base_.train_pipeline
train_pipeline[3].update(second_size=196)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
