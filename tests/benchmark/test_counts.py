"""Operations, traffic and memory, to the byte."""
import pytest
import torch
from torch import Tensor, nn

from mmvision_ext.benchmark.aliases import ALIASES
from mmvision_ext.benchmark.case import Case
from mmvision_ext.benchmark.flops import count_flops, count_params
from mmvision_ext.benchmark.memory import free_memory, peak_memory
from mmvision_ext.benchmark.models import Program, build_program
from mmvision_ext.benchmark.names import parse_name
from mmvision_ext.benchmark.resident import (
    ChildError,
    measure_resident,
    watch_resident,
)
from mmvision_ext.benchmark.traffic import count_traffic
from mmvision_ext.engine.complexity import count_complexity
from mmvision_ext.vheat.network import VHeatNetwork

CPU = torch.device('cpu')
MIB = 1 << 20


def test_peak_is_the_worst_moment_exactly() -> None:
    x = torch.randn(1000)

    def step() -> list[Tensor]:
        a = x + 1
        b = torch.cat((a, a, a))
        del a
        return [b[:10].clone()]

    # a and b together; x was there before
    assert peak_memory(step, CPU) == 4000 + 12000
    assert peak_memory(step, CPU) == 4000 + 12000


def test_peak_is_not_the_sum() -> None:
    x = torch.zeros(1000)

    def step() -> list[Tensor]:
        for _ in range(5):
            y = x.clone()
            del y
        return []

    assert peak_memory(step, CPU) == 4000


def test_free_memory() -> None:
    free = free_memory(CPU)
    assert free is None or 1 << 20 < free < 1 << 50


def _traffic(act: object, *sizes: int) -> int:
    tensors = [torch.ones(size) for size in sizes]
    return count_traffic(lambda: [act(*tensors)])


@pytest.mark.parametrize('act, elements', [
    (lambda x: x + x, 100 + 100),  # one argument twice is one tensor
    (lambda x: x + 1, 200),
    (lambda x: x.add_(1), 200),
    (lambda x: x.view(10, 10).t()[2:], 0),
    (lambda x: x.view(10, 10).t().contiguous(), 200),
    (lambda x: x.expand(7, 100), 0),
    (lambda x: x.expand(7, 100) + 1, 100 + 700),
    (lambda x: x.zero_(), 100),
    (lambda x: torch.empty(1000), 0),
    (lambda x: torch.zeros(1000), 1000),
    (lambda x: torch.empty(100).copy_(x), 200),
    (lambda x: torch.mm(x.view(4, 25), x.view(25, 4)), 200 + 16),
    (lambda x: torch.mm(x.view(4, 25), x.view(25, 4),
                        out=torch.empty(4, 4)), 200 + 16),
])
def test_traffic_of_operations(act: object, elements: int) -> None:
    assert _traffic(act, 100) == 4 * elements


def test_traffic_counts_bytes_of_the_type() -> None:
    assert _traffic(lambda x: x.to(torch.bfloat16), 100) == 400 + 200


def test_traffic_of_a_module() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.ones(5, 8)
    first = 5 * 8 + 8 * 16 + 16 + 5 * 16
    last = 5 * 16 + 16 * 4 + 4 + 5 * 4
    with torch.no_grad():
        assert count_traffic(lambda: [model(x)]) == 4 * (
            first + 2 * 5 * 16 + last)


def test_traffic_of_a_backward_pass() -> None:
    weight = torch.ones(8, 16, requires_grad=True)
    x = torch.ones(5, 8)

    def step() -> list[Tensor]:
        return list(torch.autograd.grad((x @ weight).sum(), [weight]))

    product = 5 * 8 + 8 * 16 + 5 * 16
    # the sum; a gradient of one, expanded; a product of x and it
    rest = 5 * 16 + 1 + 1 + 5 * 8 + 1 + 8 * 16
    assert count_traffic(step) == 4 * (product + rest)


def test_fused_attention_reads_and_writes_its_tensors() -> None:
    q = torch.ones(1, 2, 300, 16)
    found = count_traffic(
        lambda: [nn.functional.scaled_dot_product_attention(q, q, q)])
    # the argument, the result, and a float of each query for the backward
    assert found == 4 * (2 * q.numel() + 2 * 300)


@pytest.mark.parametrize('batch', [1, 3])
def test_flops_are_those_of_the_one_counter(batch: int) -> None:
    case = Case(64, 96, batch)
    program = build_program(parse_name('vheat-nano', tuple(ALIASES)), case)
    counted = count_complexity(VHeatNetwork('nano'), (64, 96))
    assert counted.inference_macs < counted.macs
    found = count_flops(program, case)
    # a part of the counter's work on the second image is done once a batch
    assert found == 2 * batch * counted.inference_macs
    assert count_params(program.module) == counted.params


def test_flops_of_training_are_counted_product_by_product() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    program = Program(model, (torch.ones(5, 8), ))
    forward = 2 * 5 * (8 * 16 + 16 * 4)
    assert count_flops(program, Case(1, 1, 5)) == forward
    # no gradient of the input
    assert count_flops(program, Case(1, 1, 5, 'train')) == \
        3 * forward - 2 * 5 * 8 * 16
    assert all(x.grad is None for x in model.parameters())


def test_recomputed_blocks_are_no_work_of_the_model() -> None:
    name = parse_name('itpn-nano(depths=(1, 1, 1))', tuple(ALIASES))
    plain, recomputed = (
        count_flops(build_program(name, case), case) for case in (
            Case(32, 32, 1, 'train'), Case(32, 32, 1, 'train', with_cp=True)))
    assert plain == recomputed


def test_plain_and_fused_attention_are_the_same_work() -> None:
    found = {
        count_flops(build_program(parse_name(name, tuple(ALIASES)), case),
                    case)
        for case in [Case(64, 64)]
        for name in ('itpn-nano-attention', 'itpn-nano-attention-plain')
    }
    # 16 tokens: four products with weights, two of all pairs
    assert found == {2 * (16 * 192 * 192 * 4 + 2 * 16 * 16 * 192)}


def test_resident_memory_of_a_step() -> None:
    def step() -> list[Tensor]:
        return [torch.ones(64 * MIB // 4) + 1]

    found = watch_resident(step)
    assert abs(found.step - 128 * MIB) < 8 * MIB
    assert found.peak == found.before + found.step
    # the mark of the step before is forgotten
    again = watch_resident(lambda: [torch.ones(16 * MIB // 4)])
    assert abs(again.step - 16 * MIB) < 8 * MIB


def test_resident_memory_of_a_process(toys: str) -> None:
    case = Case(1024, 1024, 4)
    found = measure_resident(f'{toys}:Wide()', case, 1)
    # Eight channels in float32 are 128 MiB; a machine short of memory may
    # have taken some of the pages back by then.
    assert 64 * MIB < found.step < 400 * MIB
    assert found.before > 64 * MIB
    with pytest.raises(ChildError, match='^RuntimeError: no such kernel$'):
        measure_resident(f'{toys}:Broken', case, 1)
