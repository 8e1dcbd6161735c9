"""Which jobs may be drawn with one loaded model, which in one call of the pipeline, and how many at a time."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from strata.hierarchy.errors import InputError, SettingError
from strata.job import Job

MOST = 8
"""Pictures of one call, where nothing else is said."""
TOKENS = 4096
"""Image tokens of one call, where nothing else is said: a FLUX.1 picture of 1024×1024, which fills an accelerator."""
T = TypeVar("T")


def check_one_model(jobs: Iterable[tuple[str, Job]]) -> None:
    """Raises `SettingError` where jobs, by the names that messages have them by, are for several models."""
    first: tuple[str, Job] | None = None
    for name, job in jobs:
        first = first or (name, job)
        here, there = ((each.model.name, each.device, each.dtype) for each in (job, first[1]))
        if here != there:
            one, other = (f"model {model} on {device} in {dtype}" for model, device, dtype in (here, there))
            raise SettingError(
                f"{name}: is for {one}, but {first[0]} for {other}; name one <model>, <device> and <dtype> for all, or"
                " draw them one after the other"
            )


def shared(job: Job) -> Hashable:
    """What jobs of one call have in common; None for one that is drawn alone: with LoRAs, input or control pictures,
    repainted, with texts that change at a step, or by the stock pipeline."""
    if job.plain or job.swaps or job.repaints or job.lora_hashes or job.image is not None or job.controls:
        return None
    plan, settings, (routing, method) = job.plan, job.settings, job.drawn_as
    sampled = job.steps, settings.guidance, settings.true_cfg, plan.negative_prompt is None, job.threads
    return plan.width, plan.height, *sampled, routing.to_yaml(), method


def check_together(jobs: Sequence[Job]) -> None:
    """Raises `InputError` for jobs that cannot be drawn in one call."""
    first = shared(jobs[0])
    for job in jobs:
        if len(jobs) > 1 and (first is None or shared(job) != first):
            raise InputError(f"job {job.name}: cannot be drawn together with {jobs[0].name}")


def most_together(job: Job) -> int:
    """How many jobs like this one are drawn in one call, where nothing else is said.

    One on a CPU, so that a picture is the same bit for bit however it is drawn; else as many as have `TOKENS` image
    tokens, at most `MOST`.
    """
    if job.device == "cpu":
        return 1
    side = job.model.facts_or_flux.token_size
    return max(1, min(MOST, TOKENS // ((job.plan.width // side) * (job.plan.height // side) or 1)))


def grouped(items: Iterable[tuple[T, Job]], together: int | None = None) -> list[list[tuple[T, Job]]]:
    """Items in the calls that draw them: those with the same in common, `together` at most (None: `most_together`).

    Calls are in the order of their first items.
    """
    groups: list[list[tuple[T, Job]]] = []
    filling: dict[Hashable, list[tuple[T, Job]]] = {}
    for item in items:
        job = item[1]
        key, most = shared(job), together or most_together(job)
        group = filling.get(key)
        if key is None or group is None or len(group) >= most:
            groups.append(group := [])
            filling[key] = group
        group.append(item)
    return groups
