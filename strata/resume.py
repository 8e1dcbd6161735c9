"""Whether a folder holds a run already that would come out the same: what `--resume` leaves as it is."""

import json
from pathlib import Path
from typing import Any

from strata.engine import IMAGE_STRENGTH
from strata.job import Job
from strata.record import Record, RunSettings


def is_drawn(folder: Path, job: Job, count: int) -> bool:
    """Whether the folder holds all `count` pictures of a job, of the same plan, routing, files and settings.

    A seed that is left to chance may be any. Versions of libraries are not compared.
    """
    try:
        data: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        images = data.pop("images")
        data.pop("rules")
        record = Record.model_validate(data)
        seeds = [image["seed"] for image in images]
        return (
            seeds == [record.settings.seed + index for index in range(count)]
            and all((folder / image["file"]).is_file() for image in images)
            and (folder / "plan.yaml").read_text(encoding="utf-8") == job.kept_plan.to_yaml()
            and (folder / "routing.yaml").read_text(encoding="utf-8") == job.routing.to_yaml()
            and all((folder / name).read_bytes() == content for name, content in job.files.items())
            and (record.image, record.mask_image, record.swaps) == (job.image, job.mask_image, job.swaps)
            and _same_settings(record.settings, job)
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no run, or none of ours
        return False


def _same_settings(then: RunSettings, job: Job) -> bool:
    asked, facts = job.settings, job.model.facts
    guidance = asked.guidance
    if guidance is None:  # of a model that is not at hand, what it was is taken for the default
        guidance = then.guidance if facts is None else facts.guidance
    strength = asked.image_strength
    if strength is None and then.image_strength is not None:
        strength = IMAGE_STRENGTH
    return then == RunSettings(
        model=job.model.name,
        seed=then.seed if asked.seed is None else asked.seed,
        steps=job.steps,
        guidance=guidance,
        true_cfg=asked.true_cfg if job.plan.negative_prompt is not None else None,
        image_strength=strength,
        method=asked.method,
        device=job.device,
        dtype=job.dtype,
        threads=then.threads,
    )
