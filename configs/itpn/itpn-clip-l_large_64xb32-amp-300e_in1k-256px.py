"""iTPN-L with its pyramid, pre-trained with CLIP-L/14 at 256 pixels.

"iTPN-L/14" of the paper: the patch is 16, and 256 pixels make as many as
CLIP-L/14 has at 224. As in the original 75 patches are replaced, here of 256.
What differs from the original is listed in the config of the base.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-clip-l_large_64xb32-amp-300e_in1k-256px.py 8
          --cfg-options model.teacher.checkpoint=FILE
          where FILE is CLIP's ViT-L-14.pt; nothing is downloaded
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 88.0 % after fine-tuning (reported by paper), see
          itpn-clip_large_32xb16-ft-50e_in1k-256px.py
Source:   iTPN, arXiv 2211.12735, results table of the original code
Hardware: 64 GPUs x 32 images = 2048, fp16
Status:   not run
"""
_base_ = './itpn-clip-l_large_64xb32-amp-300e_in1k.py'

model = dict(backbone=dict(img_size=256), teacher=dict(img_size=224))

train_pipeline = _base_.train_pipeline
train_pipeline[3].update(size=256, second_size=224)
train_pipeline[4].update(input_size=16)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
