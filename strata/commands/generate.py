"""`strata generate`: from a prompt, a plan or a picture with its record to pictures with theirs."""

import shlex
from typing import Annotated

from cyclopts import Parameter

from strata.commands.options import Argv, PicturesOutput
from strata.commands.runs import draw_run
from strata.console import note, quiet
from strata.engine import Engine
from strata.hierarchy.errors import SettingError
from strata.hierarchy.plan import ScenePlan
from strata.job import Job, check_canvas, prepare
from strata.llm.planner import Request
from strata.loading import MINIATURE
from strata.plan_table import announce, print_plan
from strata.planning import PlannerSettings, canvas, check_prompt, is_file, plan_prompt, slug
from strata.run_folder import RunFolder
from strata.settings import DrawSettings
from strata.source import Source, open_source


def generate(
    source: Annotated[
        str,
        Parameter(name="PROMPT|PLAN|IMAGE.png", help="a prompt in quotes, a plan file, or a picture that strata drew"),
    ],
    /,
    *,
    settings: DrawSettings = DrawSettings(),
    planner: PlannerSettings = PlannerSettings(),
    output: PicturesOutput = PicturesOutput(),
    argv: Argv,
) -> None:
    """Draws a plan, or plans a prompt with a language model and draws that.

    Writes a folder that explains and repeats the run:

      image.png     the picture, which holds plan, masks, routing, seed, model
                    and versions
      layout.png    the regions of the plan
      schedule.png  which level acts in which block at which step
      plan.yaml, routing.yaml, run.json

    Given a picture that strata drew, it draws that picture again, bit for bit
    on the same machine; options change what they name and leave the rest as it
    was.
    """
    command = shlex.join(["strata", *argv])
    if not is_file(source):
        _generate_from_prompt(source, settings, planner, output, command)
        return
    if given := planner.given():
        raise SettingError(f"{', '.join(f'<{name}>' for name in given)}: for prompts; {source} is planned already")
    with open_source(source) as opened:
        job = prepare(settings, opened, command=command)
        for text in job.notes:
            note(text)
        with RunFolder.claim(output.out, job.name, output.count, output.force) as folder:
            _draw(job, folder, output)


def _generate_from_prompt(
    prompt: str, settings: DrawSettings, planner: PlannerSettings, output: PicturesOutput, command: str
) -> None:
    """Plans a prompt and draws the plan. All that can be checked without the plan is checked before."""
    check_prompt(prompt)
    name = slug(prompt)
    draft, instructions = planner.read()
    width, height = canvas(settings.model or MINIATURE, draft, settings.width, settings.height)
    request = Request(prompt, width, height, draft, planner.regions, planner.style)
    negative_prompt = draft.negative_prompt if draft is not None else None
    stand_in = ScenePlan(width=width, height=height, prompt="", negative_prompt=negative_prompt)
    check_canvas(prepare(settings, Source(name, stand_in), planned=False).model, stand_in)
    with RunFolder.claim(output.out, name, output.count, output.force) as folder:
        plan = plan_prompt(planner, instructions, request, announce)
        print_plan(plan)
        print()
        _draw(prepare(settings, Source(name, plan), command=command), folder, output)


def _draw(job: Job, folder: RunFolder, output: PicturesOutput) -> None:
    with quiet(), Engine.open(job) as engine:
        draw_run(engine, job, folder, output.count)
