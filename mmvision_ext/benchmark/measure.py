"""All models of one case, side by side."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .agreement import (
    check_difference,
    comparable,
    largest_difference,
    share_weights,
)
from .case import DTYPES, Case
from .ceilings import CeilingProbe
from .flops import count_flops, count_params
from .machine import device_name
from .memory import peak_memory
from .models import Program, build_program
from .names import ModelName
from .resident import Resident, explain, measure_resident
from .steps import make_step
from .traffic import count_traffic
from .turns import Times, Turns

#: A line of the report: settings, then numbers, by name.
Row = dict[str, Any]


@dataclass
class Entry:
    """What is known of one model.

    Args:
        name (ModelName): The model.
        program (Program, optional): None before it is built and after it has
            failed.
        reason (str, optional): Why it failed.
        resident (Resident, optional): Of a process of its own.
        numbers (Row): Counts and peaks.
    """

    name: ModelName
    program: Program | None = None
    reason: str | None = None
    resident: Resident | None = None
    numbers: Row = field(default_factory=dict)


class CaseMeasurement:
    """Measures the models of one case.

    Each model first runs a step in a process of its own (on a CPU), which
    tells what the process needs and whether the model runs at all. Then all
    are built here, models of the same weights get those of the reference,
    and each runs three times: for its results, which must agree, for the
    allocator's peak, and for the traffic. Then they take turns with the
    ceilings of the machine. A model that fails takes no further part.

    Args:
        names (Sequence[ModelName]): The models.
        case (Case): The setting.
        reference (str): Text of the model that others are compared with.
        rounds (int): Turns of each.
        say (Callable[[str], None]): Told of the progress.
    """

    def __init__(self, names: Sequence[ModelName], case: Case,
                 reference: str, rounds: int,
                 say: Callable[[str], None]) -> None:
        self.case = case
        self.entries = {name.text: Entry(name) for name in names}
        self._reference = reference
        self._rounds = rounds
        self._say = say
        self._outs: list[Tensor | None] | None = None
        self._shared: dict[str, str | None] = {}
        self._probe: CeilingProbe | None = None
        self._times: dict[str, Times] = {}

    def run(self) -> None:
        """Measure; see :meth:`rows`, also after an interruption."""
        if self.case.device == 'cpu':
            self._each('process of its own', self._watch)
        self._each('build', self._build)
        alive = self._alive()
        if self._reference in alive:
            self._shared = share_weights(
                {text: x.program.module for text, x in alive.items()},
                self._reference)
        # the reference first: others are compared with what it returns
        order = sorted(alive, key=lambda text: text != self._reference)
        self._each('warm-up, agreement, counts', self._prepare, order)
        self._outs = None
        self._take_turns()

    def _alive(self) -> dict[str, Entry]:
        return {text: x for text, x in self.entries.items()
                if x.reason is None}

    def _each(self, what: str, act: Callable[[Entry], None],
              order: Sequence[str] | None = None) -> None:
        for text in list(self._alive()) if order is None else order:
            self._say(f'{self.case}: {text}: {what}')
            try:
                act(self.entries[text])
            except Exception as error:  # any code may run here
                self._fail(text, error)

    def _fail(self, text: str, error: Exception) -> None:
        entry = self.entries[text]
        entry.reason, entry.program = explain(error), None
        self._say(f'{self.case}: {text} failed: {entry.reason}')
        del error
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _watch(self, entry: Entry) -> None:
        entry.resident = measure_resident(
            entry.name.text, self.case, torch.get_num_threads())

    def _build(self, entry: Entry) -> None:
        entry.program = build_program(entry.name, self.case)

    def _prepare(self, entry: Entry) -> None:
        case, program = self.case, entry.program
        step = make_step(program, case)
        torch.manual_seed(0)
        outs = step()
        entry.numbers['params'] = count_params(program.module)
        entry.numbers['flops'] = count_flops(program, case)
        self._compare(entry, outs)
        del outs
        entry.numbers['peak_bytes'] = peak_memory(step, case.torch_device)
        # traffic is that of the operations as they are written
        written = program.with_module(program.module)
        entry.numbers['traffic_bytes'] = count_traffic(
            make_step(written, case))

    def _compare(self, entry: Entry, outs: Sequence[Tensor | None]) -> None:
        text, case = entry.name.text, self.case
        if text == self._reference:
            self._outs = list(outs)
            return
        reason = 'the reference failed' if self._outs is None \
            else self._shared[text]
        entry.numbers['not_compared'] = reason
        if reason is not None:
            return
        reference = self.entries[self._reference]
        # what an implementation saves is no less work of the model
        entry.numbers['flops'] = reference.numbers['flops']
        pair = (entry.program.module, reference.program.module)
        difference = largest_difference(
            comparable(outs, pair[0], case, pair[1]),
            comparable(self._outs, pair[1], case, pair[0]))
        entry.numbers['difference'] = difference
        check_difference(difference, case)

    def _take_turns(self) -> None:
        case = self.case
        steps = {text: make_step(x.program, case)
                 for text, x in self._alive().items()}
        if not steps:
            return
        self._probe = CeilingProbe(case.torch_device, DTYPES[case.dtype])
        for step in self._probe.steps.values():
            step()
        # no model's name can be equal to that of a ceiling, which has a space
        turns = Turns({**steps, **self._probe.steps}, case.torch_device)
        self._times = turns.times
        turns.run(self._rounds, lambda done: self._say(
            f'{case}: turn {done} of {self._rounds}'))
        for name, error in turns.failures.items():
            if name not in self.entries:
                raise error
            self._fail(name, error)

    def rows(self) -> list[Row]:
        """What is known by now.

        Returns:
            list[Row]: Models that had a turn, and those that failed.
        """
        reference = self.entries[self._reference]
        rows = []
        for text, entry in self.entries.items():
            row = self._settings(text)
            times = self._times.get(text, Times())
            if entry.reason is not None:
                row.update(status='failed', reason=entry.reason)
            elif times.seconds:
                row.update(status='ok', reason=None)
                row.update(self._rates(entry, times))
                row.update(self._ratios(entry, times, reference))
            else:
                continue
            rows.append(row)
        return rows

    def _settings(self, text: str) -> Row:
        case = self.case
        return dict(
            model=text, height=case.height, width=case.width,
            batch=case.batch, mode=case.mode, device=case.device,
            dtype=case.dtype, compile=case.compile, with_cp=case.with_cp,
            device_name=device_name(case.torch_device),
            threads=torch.get_num_threads(), trials=None)

    def _rates(self, entry: Entry, times: Times) -> Row:
        median = times.median
        row = dict(
            seconds=median, seconds_min=min(times.seconds),
            seconds_max=max(times.seconds), turns=len(times.seconds),
            cpu_seconds=times.cpu_median,
            cpu_seconds_min=min(times.cpu_seconds),
            cpu_seconds_max=max(times.cpu_seconds),
            images_per_second=self.case.batch / median, **entry.numbers)
        row['flops_per_second'] = row['flops'] / median
        row['bytes_per_second'] = row['traffic_bytes'] / median
        names = self._probe.steps
        if all(self._times[name].seconds for name in names):
            best = self._probe.rates(self._times)
            row.update(product_flops_per_second=best.flops,
                       copy_bytes_per_second=best.bytes,
                       part_of_product=row['flops_per_second'] / best.flops,
                       part_of_copy=row['bytes_per_second'] / best.bytes)
        if entry.resident is not None:
            row.update(resident_before_bytes=entry.resident.before,
                       resident_peak_bytes=entry.resident.peak,
                       resident_step_bytes=entry.resident.step)
        return row

    def _ratios(self, entry: Entry, times: Times, reference: Entry) -> Row:
        row: Row = dict(reference=self._reference)
        theirs = self._times.get(self._reference, Times())
        if reference.reason is None and theirs.seconds:
            row.update(
                speed_ratio=theirs.median / times.median,
                cpu_ratio=(theirs.cpu_median / times.cpu_median
                           if times.cpu_median else None),
                memory_ratio=(reference.numbers['peak_bytes'] /
                              entry.numbers['peak_bytes']))
        return row
