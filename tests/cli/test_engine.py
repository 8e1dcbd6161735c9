"""The engine by itself: events, previews, cancelling, several engines, and errors that name settings."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.engine import Engine, Picture, Started, Step
from strata.hierarchy.errors import InputError, SettingError
from strata.injection.checks import check_transformer
from strata.injection.families import family_of
from strata.injection.program import compile_program
from strata.injection.streams import TextOverride
from strata.job import Job, notes_of, prepare
from strata.layers.ranges import Percent
from strata.record import TextSwap, picture_bytes
from strata.settings import DrawSettings, read_settings
from strata.source import open_source
from tests.injection.conftest import tiny_transformer


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def pictures(engine: Engine, job: Job, count: int = 1) -> list[np.ndarray]:
    return [pixels(event.image) for event in engine.draw(job, count) if isinstance(event, Picture)]


def check_nothing_is_attached(engine: Engine) -> None:
    transformer = engine.pipe.transformer
    check_transformer(transformer, family_of(transformer))
    assert not transformer._forward_hooks
    assert not transformer._forward_pre_hooks
    assert "encode_prompt" not in vars(engine.pipe)
    assert "strata-engine" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def job(here: Path, tiny_folder: Path) -> Iterator[Job]:
    with open_source("plan.yaml") as source:
        yield prepare(DrawSettings(model=str(tiny_folder), steps=3, seed=5), source)


def test_a_base_prompt_that_is_composed_is_told_where_it_is_heard(here: Path, tiny_folder: Path) -> None:
    with open_source("plan.yaml") as source:
        silent = replace(source, plan=source.plan.model_copy(update={"prompt": "two things"}))
        by_default, plain, published = (
            prepare(DrawSettings(model=str(tiny_folder), seed=5, method=method), silent).composed
            for method in (None, "plain", "regional-prompting-flux")
        )
        told = prepare(DrawSettings(model=str(tiny_folder), seed=5), source).composed
    names = ", ".join(region.name for region in source.plan.regions)
    assert len(by_default) == 1
    assert by_default[0].startswith(f"the base prompt does not name, or puts elsewhere: {names}; heard in its place: ")
    assert "heard in its place: “two things, " in by_default[0]
    assert plain == published == told == ()


def test_of_many_composed_prompts_it_is_told_how_many(here: Path, tiny_folder: Path) -> None:
    def prepared(prompt: str, **more: Any) -> Job:
        with open_source("plan.yaml") as source:
            told = replace(source, plan=source.plan.model_copy(update={"prompt": prompt}))
            return prepare(DrawSettings(model=str(tiny_folder), **more), told)

    with open_source("plan.yaml") as source:
        as_it_is = source.plan.prompt
    one = [prepared("two things", seed=seed) for seed in (1, 2)]
    assert notes_of(one) == one[0].composed, "once"
    several = [*one, prepared("many things"), prepared(as_it_is), prepared("things", method="plain")]
    assert notes_of(several) == (
        "2 of 3 base prompts do not tell of their regions as they are; the record of a picture has what is heard in its"
        " place",
    )
    assert notes_of(several[3:]) == ()


@pytest.mark.parametrize("until", [0, 50])
def test_a_record_keeps_the_base_prompt_that_is_heard(here: Path, tiny_folder: Path, until: int) -> None:
    """With a text that changes during the run, the one with which the picture begins."""
    with open_source("plan.yaml") as source:
        plan = source.plan.model_copy(update={"prompt": "two things"})
        swaps = (TextSwap(area="left", level="low", text="green", steps=Percent(0, until)),) if until else ()
        job = prepare(DrawSettings(model=str(tiny_folder), steps=2, seed=5), replace(source, plan=plan, swaps=swaps))
        with Engine.open(job) as engine:
            drawn = [event for event in engine.draw(job) if isinstance(event, Picture)]
    facts = job.model.facts
    assert facts is not None
    texts = [TextOverride(swap.area, swap.level, swap.text, swap.steps.select(2)[:, None]) for swap in swaps]
    program = compile_program(plan, job.routing, facts, 2, overrides=texts)
    assert [picture.record.base_prompt for picture in drawn] == [program.plan.prompt]
    assert ("a green circle on the left" if until else "a red circle on the left") in program.plan.prompt


def test_events_of_a_run(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    with Engine.open(job) as engine:
        events = list(engine.draw(job, count=2))
    kinds = [type(event) for event in events]
    assert kinds == [Started, Step, Step, Step, Picture, Step, Step, Step, Picture]
    started, *_ = events
    assert isinstance(started, Started)
    assert started.schedule is not None
    assert (started.settings.seed, started.settings.steps, started.settings.guidance) == (5, 3, 3.5)
    steps = [event for event in events if isinstance(event, Step)]
    assert [(step.index, step.number, step.total) for step in steps] == [
        (index, number, 3) for index in (0, 1) for number in (1, 2, 3)
    ]
    drawn = [event for event in events if isinstance(event, Picture)]
    assert [(picture.index, picture.seed, picture.record.settings.seed) for picture in drawn] == [(0, 5, 5), (1, 6, 6)]
    assert not np.array_equal(pixels(drawn[0].image), pixels(drawn[1].image))
    out, err = capsys.readouterr()
    assert out == ""
    assert "strata" not in err


def test_a_record_draws_the_picture_again(job: Job, here: Path) -> None:
    with Engine.open(job) as engine:
        [picture] = [event for event in engine.draw(job) if isinstance(event, Picture)]
    (here / "kept.png").write_bytes(picture_bytes(picture.image, job.kept_plan, job.routing, picture.record, job.files))
    with open_source("kept.png") as source:
        again = prepare(DrawSettings(model=job.model.name), source)
        assert (again.seed, again.steps, again.model) == (5, 3, job.model)
        with Engine.open(again) as engine:
            assert np.array_equal(pictures(engine, again)[0], pixels(picture.image))


def test_previews_are_decoded_on_demand(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine.open(job) as engine:
        decoded: list[Any] = []
        decode = engine.pipe.vae.decode
        monkeypatch.setattr(engine.pipe.vae, "decode", lambda *a, **k: decoded.append(1) or decode(*a, **k))
        [plain] = pictures(engine, job)
        assert len(decoded) == 1, "the picture's own"
        previews = []
        for event in engine.draw(job):
            if isinstance(event, Step):
                previews.append(pixels(event.preview()))
            elif isinstance(event, Picture):
                assert np.array_equal(pixels(event.image), plain), "looking changes nothing"
    assert [preview.shape for preview in previews] == [(48, 32, 3)] * 3
    assert not np.array_equal(previews[0], previews[1])
    assert np.array_equal(previews[-1], plain)


def test_cancel_ends_the_run_after_the_step(job: Job) -> None:
    with Engine.open(job) as engine:
        whole = pictures(engine, job, 2)
        events = []
        for event in engine.draw(job, 2):
            events.append(event)
            if isinstance(event, Step) and event.number == 2:
                threading.Thread(target=engine.cancel).run()
        assert [type(event) for event in events] == [Started, Step, Step]
        check_nothing_is_attached(engine)
        assert np.array_equal(pictures(engine, job, 2), whole)


def test_a_caller_who_stops_listening_ends_the_run(job: Job) -> None:
    with Engine.open(job) as engine:
        for event in engine.draw(job, 2):
            if isinstance(event, Step):
                break
        check_nothing_is_attached(engine)
        run = engine.draw(job)
        assert [type(next(run)) for _ in range(2)] == [Started, Step]
        with pytest.raises(KeyboardInterrupt):
            run.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
        check_nothing_is_attached(engine)
        assert len(pictures(engine, job)) == 1


def test_a_cancel_before_the_first_event_counts(job: Job) -> None:
    with Engine.open(job) as engine:
        run = engine.draw(job)
        engine.cancel()
        assert [type(event) for event in run] == [Started]
        assert len(pictures(engine, job)) == 1


def test_an_engine_draws_one_job_at_a_time_and_none_once_closed(job: Job) -> None:
    with Engine.open(job) as engine:
        run = engine.draw(job)
        next(run)
        with pytest.raises(InputError, match="is drawing another one"):
            engine.draw(job)
        assert isinstance(list(run)[-1], Picture)
        run = engine.draw(job)
        next(run)
    assert list(run) == [], "closing ends what is being drawn"
    with pytest.raises(InputError, match="the engine is closed"):
        list(engine.draw(job))


def test_two_engines_in_turn(job: Job, here: Path, tiny_folder: Path) -> None:
    with open_source("plan.yaml") as source:
        other = prepare(DrawSettings(model=str(tiny_folder), steps=2, seed=9, routing="uniform"), source)
    with Engine.open(job) as one, Engine.open(other) as two:
        alone = [pictures(one, job)[0], pictures(two, other)[0]]
        found = []
        for event in one.draw(job):
            if isinstance(event, Step) and event.number == 2:
                found = pictures(two, other)
            elif isinstance(event, Picture):
                found.insert(0, pixels(event.image))
        assert np.array_equal(found, alone)
        two.cancel()
        assert len(pictures(one, job)) == 1, "cancelling one engine concerns no other"


def test_one_engine_draws_jobs_of_several_kinds(job: Job, here: Path, tiny_folder: Path) -> None:
    Image.fromarray(np.full((48, 32, 3), 128, dtype=np.uint8)).save("grey.png")
    settings = DrawSettings(model=str(tiny_folder), steps=4, seed=5, image="grey.png", image_strength=0.5)
    with open_source("plan.yaml") as source:
        over = prepare(settings, source)
        plain = prepare(job.given, source, plain=True)
    with Engine.open(job) as engine:
        [before] = pictures(engine, job)
        events = list(engine.draw(over))
        assert [(event.number, event.total) for event in events if isinstance(event, Step)] == [(1, 2), (2, 2)]
        [started] = [event for event in engine.draw(plain) if isinstance(event, Started)]
        assert started.schedule is None
        assert np.array_equal(pictures(engine, job), [before])


def test_a_job_of_another_model_is_refused(job: Job, here: Path) -> None:
    with open_source("plan.yaml") as source:
        other = prepare(DrawSettings(model=job.given.model, dtype="bfloat16"), source)
    with Engine.open(job) as engine, pytest.raises(InputError, match="in bfloat16, not for what is loaded"):
        next(iter(engine.draw(other)))


@pytest.mark.parametrize(
    ("settings", "field", "message"),
    [
        ({"mask_image": "plan.yaml"}, "mask_image", "mask_image plan.yaml: needs image too"),
        ({"true_cfg": 4}, "true_cfg", "true_cfg 4: needs a negative_prompt in the plan"),
        ({"offload": True, "device": "cpu"}, "offload", "offload: is for accelerators"),
    ],
)
def test_errors_name_the_setting(
    settings: dict[str, Any], field: str, message: str, here: Path, tiny_folder: Path
) -> None:
    with open_source("plan.yaml") as source, pytest.raises(SettingError) as caught:
        prepare(DrawSettings(model=str(tiny_folder), **settings), source)
    assert caught.value.field == field
    assert message in str(caught.value)
    assert "--" not in str(caught.value)
    assert caught.value.shown(lambda name: f"[{name}]").startswith(f"[{field}]")


def test_errors_of_the_loaded_model_name_the_setting(job: Job, here: Path) -> None:
    with open_source("plan.yaml") as source:
        guided = prepare(DrawSettings(model=job.given.model, guidance=2), source)
        with pytest.raises(SettingError, match=r"image_strength 0\.5: needs <?image>? too"):
            prepare(DrawSettings(model=job.given.model, image_strength=0.5), source)
    with Engine.open(job) as engine:
        engine.pipe.transformer = tiny_transformer()
        engine.pipe.transformer.register_to_config(guidance_embeds=False)
        with pytest.raises(SettingError, match="guidance 2: model") as caught:
            engine.check(guided)
    assert caught.value.field == "guidance"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"steps": 0}, "steps: 0: must be a whole number from 1 to 1000"),
        ({"guidance": "much"}, "guidance: 'much': must be a number from 0 to 1000"),
        ({"image_strength": 2}, "image_strength: 2: must be above 0 and at most 1"),
        ({"device": "tpu"}, "device: invalid choice: 'tpu' (choose from 'auto', 'cpu', 'cuda', 'mps')"),
        ({"colour": "red"}, "colour: no such setting; valid: model, device, dtype, offload, routing, seed, steps"),
    ],
)
def test_settings_that_are_not_valid(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_settings(DrawSettings, data)
    assert message in str(caught.value)
    assert caught.value.field == next(iter(data))


@pytest.mark.parametrize(
    ("has", "told"),
    [
        ({"avx512_bw": False, "avx_ne_convert": False, "amx_bf16": False, "avx512_fp16": False}, True),
        ({"avx512_bw": True, "avx_ne_convert": False, "amx_bf16": False, "avx512_fp16": True}, False),
        ({"sve": True}, False),
    ],
)
def test_a_data_type_that_the_cpu_has_no_instructions_for_is_told(
    has: dict[str, bool], told: bool, here: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: has, raising=False)
    with open_source("plan.yaml") as source:
        for dtype in ("float32", "bfloat16", "float16"):
            notes = prepare(DrawSettings(model=str(tiny_folder), device="cpu", dtype=dtype), source).notes
            assert any(f"no instructions for {dtype}: " in note for note in notes) == (told and dtype != "float32")
