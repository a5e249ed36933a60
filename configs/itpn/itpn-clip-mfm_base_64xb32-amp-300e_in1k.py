"""iTPN-B, CLIP-B/16 and masked feature modelling, 300 epochs.

Masked feature modelling was never released: this is a reconstruction from the
paper, see docs/itpn.md. Each level of the pyramid predicts the features of
CLIP at its stride, for hidden patches. These are replaced right behind the
patch embedding, so that the finer levels do not see them.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-clip-mfm_base_64xb32-amp-300e_in1k.py 8
          --cfg-options model.teacher.checkpoint=FILE
          where FILE is CLIP's ViT-B-16.pt; nothing is downloaded
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 after fine-tuning (no published figure of this form)
Source:   reconstruction of section 3.3 of iTPN, arXiv 2211.12735, on the
          released recipe
Hardware: 64 GPUs x 32 images = 2048, fp16
Status:   not run
"""
_base_ = './itpn-clip_base_64xb32-amp-300e_in1k.py'

model = dict(mask_stride=4, mfm=dict(teacher='clip', weight=0.3))
