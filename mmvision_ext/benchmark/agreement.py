"""Whether two models that should compute the same do."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .case import Case

#: What a tensor counts at least, as a part of the largest value of all.
_FLOOR = 1e-3


class DisagreementError(RuntimeError):
    """Two models that should compute the same do not."""


def share_weights(models: Mapping[str, nn.Module],
                  reference: str) -> dict[str, str | None]:
    """Give all models the weights of the reference that can take them.

    A model can if its state dict has the same keys and shapes, or if it has
    ``load_from(model)``, which raises a ValueError, KeyError or RuntimeError
    for another network. If the reference itself has it, the first model that
    it can load from is the source.

    Args:
        models (Mapping[str, nn.Module]): By name.
        reference (str): Name of the reference.

    Returns:
        dict[str, str | None]: For each other model None if it has the
        weights of the reference now, else why not.
    """
    sources = [models[reference]]
    others = {name: x for name, x in models.items() if name != reference}
    reasons: dict[str, str | None] = {}
    if hasattr(models[reference], 'load_from'):
        for name, model in others.items():
            if _give(model, models[reference]) is None:
                sources.append(model)
                reasons[name] = None
                break
    for name, model in others.items():
        if name in reasons:
            continue
        found = [_give(source, model) for source in sources]
        reasons[name] = None if None in found else found[0]
    return reasons


def _give(source: nn.Module, target: nn.Module) -> str | None:
    """Copy weights; why not, if it cannot be done."""
    own, given = target.state_dict(), source.state_dict()
    if {k: x.shape for k, x in own.items()} == {
            k: x.shape for k, x in given.items()}:
        target.load_state_dict(given)
        return None
    if not hasattr(target, 'load_from'):
        return 'other keys or shapes'
    try:
        target.load_from(source)
    except (KeyError, RuntimeError, ValueError) as error:
        return f'load_from: {" ".join(str(error).split())}'
    return None


def tolerance(case: Case) -> float:
    """The difference that rounding may explain.

    Args:
        case (Case): Of which the type counts.

    Returns:
        float: 1e-3 in float32. In half precision 0.2: gradients of tables
        are small sums of many roundings, and what is wrong differs by all of
        the largest value.
    """
    return 1e-3 if case.dtype == 'float32' else 0.2


def comparable(outs: Sequence[Tensor | None], model: nn.Module, case: Case,
               reference: nn.Module) -> list[Tensor]:
    """Results of a step in an order that two models share.

    Args:
        outs (Sequence[Tensor | None]): Of the step of ``model``.
        model (nn.Module): The model.
        case (Case): The mode.
        reference (nn.Module): The model to compare with.

    Returns:
        list[Tensor]: Outputs; or the loss and the gradients, sorted by name
        if the parameters have the same names, as they are if they have the
        same shapes, and otherwise the length of the gradient as a whole.
    """
    if case.mode == 'infer':
        return list(outs)
    own, other = ({name: x.shape for name, x in one.named_parameters()
                   if x.requires_grad} for one in (model, reference))
    loss, *grads = outs
    filled = [torch.zeros(()) if x is None else x for x in grads]
    if own == other:
        return [loss, *(x for _, x in sorted(zip(own, filled),
                                             key=lambda pair: pair[0]))]
    if list(own.values()) == list(other.values()):
        return [loss, *filled]
    return [loss, torch.stack([x.float().norm().cpu() for x in filled]).norm()]


def largest_difference(ours: Sequence[Tensor],
                       reference: Sequence[Tensor]) -> float:
    """How far results lie apart.

    Args:
        ours (Sequence[Tensor]): Results of one model.
        reference (Sequence[Tensor]): Those of the other.

    Returns:
        float: Largest absolute difference in a tensor over the largest
        absolute value in it, or over a thousandth of the largest value of
        all tensors if that is more; of the tensors, the worst. NaN if there
        is one.

    Raises:
        DisagreementError: If the numbers or shapes of the tensors differ.
    """
    shapes = [[tuple(x.shape) for x in side] for side in (ours, reference)]
    if shapes[0] != shapes[1]:
        raise DisagreementError(f'it returns tensors of the shapes '
                                f'{shapes[0]}, the reference {shapes[1]}')
    tops = [b.float().abs().max().item() if b.numel() else 0.
            for b in reference]
    worst = 0.
    for a, b, top in zip(ours, reference, tops):
        error = (a.float() - b.float()).abs().max().item() if a.numel() \
            else 0.
        scale = max(top, _FLOOR * max(tops))
        relative = error / scale if scale else error
        # max() would pass over a NaN on the right
        worst = relative if relative != relative else max(worst, relative)
        if worst != worst:
            break
    return worst


def check_difference(difference: float, case: Case) -> None:
    """Check that rounding explains a difference.

    Args:
        difference (float): From :func:`largest_difference`.
        case (Case): The type.

    Raises:
        DisagreementError: If it does not.
    """
    if not difference <= tolerance(case):
        raise DisagreementError(
            f'with the same weights it differs from the reference by '
            f'{difference:.2e} of the largest value; expected at most '
            f'{tolerance(case):.0e}, so one of them is wrong')
