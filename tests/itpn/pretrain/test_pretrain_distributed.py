"""Two processes train one model, each on images of its own."""

import subprocess
import sys

SCRIPT = """
import sys

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel

from mmvision_ext.itpn.pretrain import ITPNCLIPPretrain, ITPNPixelPretrain

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    'gloo', init_method=f'file://{store}', rank=rank, world_size=2)
parts = (
    dict(type='mmvision_ext.ITPN', img_size=64,
         arch=dict(embed_dims=32, depths=(1, 1, 4), num_heads=2)),
    dict(type='mmvision_ext.ITPNPyramid', in_channels=(8, 16, 32),
         out_channels=16))
models = [
    ITPNPixelPretrain(
        *parts, decoder=dict(embed_dims=32, depth=1, num_heads=2),
        mfm=dict(momentum=0.5)),
    ITPNCLIPPretrain(
        *parts, teacher_dims=5, mask_stride=4, mfm=dict(momentum=0.5)),
]


class Loss(torch.nn.Module):

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images, **given):
        return sum(self.model.loss(images, **given).values())


for model in models:
    wrapped = MMDistributedDataParallel(Loss(model.train()))
    optimizer = torch.optim.SGD(
        (p for p in model.parameters() if p.requires_grad), 0.1)
    torch.manual_seed(1 + rank)
    for step in range(2):
        # fails in the second step if a parameter got no gradient
        given = {} if isinstance(model, ITPNPixelPretrain) else dict(
            mask=torch.rand(2, 16) < 0.5, target=torch.randn(2, 16, 5))
        wrapped(torch.randn(2, 3, 64, 64), **given).backward()
        optimizer.step()
        optimizer.zero_grad()
        model.momentum_teacher.update(model.backbone, 0.)
    for name, value in model.state_dict().items():
        both = [torch.empty_like(value) for _ in range(2)]
        dist.all_gather(both, value.contiguous())
        assert torch.equal(*both), name
print('equal')
"""


def test_two_processes(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', SCRIPT, str(rank),
             str(tmp_path / 'store')],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in processes:
        out, error = process.communicate(timeout=500)
        assert process.returncode == 0, error
        assert out.split()[-1] == 'equal'
