"""Runs of the engine into folders, for the commands that draw: what is written and printed as the events come."""

import sys
from typing import Any

from tqdm import tqdm

from strata.engine import Engine, Picture, Started, Step
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.job import Job
from strata.layers.drawing import draw_schedule
from strata.record import picture_bytes, png_bytes
from strata.run_folder import RunFolder, picture_name


class StepBar:
    """A progress bar of denoising steps, on a terminal alone."""

    def __init__(self) -> None:
        self._bar = tqdm(leave=False, disable=not sys.stderr.isatty(), unit="step")

    def show(self, step: Step) -> None:
        """One more step."""
        self._bar.total, self._bar.n = step.total, step.number
        self._bar.refresh()

    def clear(self) -> None:
        """Takes the bar away until the next step."""
        self._bar.clear()

    def close(self) -> None:
        """Takes the bar away for good."""
        self._bar.close()


def draw_run(engine: Engine, job: Job, folder: RunFolder, count: int) -> None:
    """Draws a job's pictures into a folder, each as soon as it is there, with what explains and repeats the run."""
    images: list[dict[str, Any]] = []
    rules: list[str] = []
    first = None
    bar = StepBar()
    try:
        for event in engine.draw(job, count):
            match event:
                case Started(settings, schedule):
                    assert schedule is not None
                    folder.drop_old_pictures()
                    for name, content in job.files.items():
                        folder.write(name, content)
                    kept = ScenePlan.load(folder.write("plan.yaml", job.kept_plan.to_yaml()))
                    folder.write("routing.yaml", job.routing.to_yaml())
                    folder.write("layout.png", png_bytes(draw_layout(kept)))
                    folder.write("schedule.png", png_bytes(draw_schedule(schedule)))
                    rules, first = schedule.summary(), job.record(settings)
                    folder.write_record(first, images, rules)
                    what = f"{job.plan.width}x{job.plan.height} pixels, routing {job.routing.name}"
                    where = f"{settings.model} on {settings.device} in {settings.dtype}"
                    print(f"{job.name}: {what}, {settings.steps} steps, {where}", flush=True)
                case Step():
                    bar.show(event)
                case Picture(index, image, seed, seconds, record):
                    assert first is not None
                    bar.clear()
                    content = picture_bytes(image, job.kept_plan, job.routing, record, job.files)
                    path = folder.write(picture_name(index), content)
                    images.append({"file": path.name, "seed": seed, "seconds": round(seconds, 2)})
                    folder.write_record(first, images, rules)
                    print(f"{path}  seed {seed}  {seconds:.1f} s", flush=True)
    finally:
        bar.close()
    print(f"beside it: {', '.join(folder.FILES)}")
