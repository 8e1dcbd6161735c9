"""What `--resume` goes on with: a run in a folder that would come out the same, and which of its pictures are whole."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from strata.contents import CONTACT, FILES, is_picture, picture_name
from strata.controls import recorded_controls
from strata.engine import IMAGE_STRENGTH
from strata.hierarchy.errors import SettingError
from strata.hierarchy.errors import count as counted
from strata.job import Job, check_seeds
from strata.obeyed import Until
from strata.record import CHUNK_FILE, CHUNK_PLAN, CHUNK_ROUTING, CHUNK_RUN, Record, RunSettings
from strata.run_folder import Begun

Row = dict[str, Any]
"""What run.json says of one picture."""


def begun_run(folder: Path, job: Job, count: int, out: str, until: Until | None = None) -> Begun | None:
    """The run of a job that a folder holds, with those of its pictures that are whole; None where it holds no run.

    A seed that is left to chance may be any. Versions of libraries are not compared.

    Args:
        count: pictures that are wanted.
        out: what messages call the folder.
        until: when the job's pictures obey; None: they are not judged.

    Raises:
        SettingError: it holds another run, or more pictures.
    """
    read = _read(folder)
    if read is None:
        return None
    record, rules, rows = read
    others = [*_differences(folder, record, job), *_judged_otherwise(record, job, until)]
    if others := others or _heard_otherwise(record, job):
        raise _refused(out, f"holds another run ({', '.join(others)})")
    check_seeds(continued(job, record), count)
    if (there := max(rows, default=-1) + 1) > count:
        raise _refused(out, f"holds {counted(there, 'picture')}, more than <count> {count}")
    listed = {index: row for index, row in rows.items() if _texts(folder / row["file"]) is not None}
    images = listed | {index: row for index, row in _unlisted(folder, record, job, count) if index not in rows}
    for index, row in images.items():
        if "preview" in row and not (folder / row["preview"]).is_file():
            images[index] = {key: value for key, value in row.items() if key != "preview"}
    pictures = {row[kind] for row in [*rows.values(), *images.values()] for kind in ("file", "preview") if kind in row}
    return Begun(record, rules, images, frozenset({*pictures, *FILES, CONTACT, *job.files}), images == rows)


def continued(job: Job, record: Record) -> Job:
    """The job with what the begun run left to chance or took from its machine."""
    return replace(job, seed=record.settings.seed, threads=record.settings.threads)


def drawn_otherwise(path: Path, job: Job) -> list[str] | None:
    """What a picture was drawn with otherwise than a job would draw it, in words: nothing where it would come out the
    same; None where there is no whole picture with a record. Versions of libraries are not compared."""
    texts = _texts(path) or {}
    try:
        record = Record.model_validate_json(texts[CHUNK_RUN])
        plan, routing = texts[CHUNK_PLAN], texts[CHUNK_ROUTING]
    except (LookupError, ValueError):  # a picture of nobody's
        return None
    found = ["of another plan"] if plan != job.kept_plan.to_yaml() else []
    found += ["by another routing"] if not job.unrouted and routing != job.routing.to_yaml() else []
    for name, content in job.files.items():
        if texts.get(CHUNK_FILE + name) != base64.b64encode(content).decode("ascii"):
            found.append(f"another {name}")
    return [*found, *_record_differences(record, job)] or _heard_otherwise(record, job)


def record_of(path: Path) -> Record | None:
    """The record of a whole picture; None where there is none."""
    try:
        return Record.model_validate_json((_texts(path) or {})[CHUNK_RUN])
    except (LookupError, ValueError):
        return None


def _refused(out: str, why: str) -> SettingError:
    return SettingError(
        f"<out> {out}: {why}, and <resume> only adds to the same one; give another folder, or <force> too to replace it"
    )


def _read(folder: Path) -> tuple[Record, list[str], dict[int, Row]] | None:
    """A folder's run.json: the record, the routing in words, and the pictures by number; None where none is usable."""
    try:
        data: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        images, rules = data.pop("images"), [str(rule) for rule in data.pop("rules")]
        record = Record.model_validate(data)
        rows: dict[int, Row] = {int(row.get("first_seed", row["seed"])) - record.settings.seed: row for row in images}
        names = [row[kind] for row in images for kind in ("file", "preview") if kind in row]
        usable = len(rows) == len(images) and min(rows, default=0) >= 0 and all(map(is_picture, names))
        return (record, rules, rows) if usable and all("file" in row for row in images) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no run, or none of ours
        return None


def _texts(path: Path) -> dict[str, str] | None:
    """The text chunks of a picture; None where it cannot be read to its end."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            return {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    except Exception:  # decoders of damaged files raise whatever they like
        return None


def _unlisted(folder: Path, record: Record, job: Job, count: int) -> Iterator[tuple[int, Row]]:
    """Pictures of the run that its run.json does not list: written just before the disk was full."""
    for index in range(count):
        name, seed = picture_name(index, count), record.settings.seed + index
        texts = _texts(folder / name) or {}
        with suppress(LookupError, ValueError):  # a picture of nobody's
            found = Record.model_validate_json(texts[CHUNK_RUN])
            drawn, obeyed = found.settings, found.obeyed
            if obeyed is None:
                first = drawn.seed == seed and record.obeyed is None
            else:  # its own seed may be that of another try
                first = obeyed.seed == seed and obeyed.of_one_kind(record.obeyed)
            same = texts[CHUNK_PLAN] == job.kept_plan.to_yaml() and texts[CHUNK_ROUTING] == job.routing.to_yaml()
            if first and same and drawn == record.settings.model_copy(update={"seed": drawn.seed}):
                yield index, {"file": name, "seed": drawn.seed} | ({} if obeyed is None else obeyed.as_row())


def _differences(folder: Path, record: Record, job: Job) -> Iterator[str]:
    """What a run that is there has otherwise than a job, in words."""
    if not _holds(folder / "plan.yaml", job.kept_plan.to_yaml().encode()):
        yield "of another plan"
    if not _holds(folder / "routing.yaml", job.routing.to_yaml().encode()):
        yield "by another routing"
    for name, content in job.files.items():
        if not _holds(folder / name, content):
            yield f"another {name}"
    yield from _record_differences(record, job)


def _heard_otherwise(record: Record, job: Job) -> list[str]:
    """What plan and routing alone do not tell: they are read by words, in which versions may differ."""
    return [] if record.base_prompt == job.base_prompt else ["another base prompt heard"]


def _judged_otherwise(record: Record, job: Job, until: Until | None) -> Iterator[str]:
    """In words, what was judged otherwise than a job's pictures are."""
    there, asked = record.obeyed, None if until is None else until.record(job.seed)
    if there is None and asked is None:
        return
    if there is None or asked is None:
        yield "not judged" if there is None else "drawn until it obeyed"
        return
    for field, name in {"most": "until_obeyed", "judge": "judge", "judge_settings": "judge", "mend": "mend"}.items():
        old, new = getattr(there, field), getattr(asked, field)
        if old != new:
            yield f"<{name}> {old}, not {new}"
            return


def _record_differences(record: Record, job: Job) -> Iterator[str]:
    words = {"image": "another image", "mask_image": "another mask image", "swaps": "other texts from a step on"}
    words |= {"control": "other control pictures", "repaints": "repainted otherwise", "lora_hashes": "other LoRA files"}
    for kind, said in words.items():
        if getattr(record, kind) != getattr(job, kind):
            yield said
    there, asked = record.settings, _settings(record.settings, job)
    for kind, value in there:
        if value != getattr(asked, kind):
            yield f"<{kind}> {_said(value)}, not {_said(getattr(asked, kind))}"


def _said(value: object) -> str:
    """A setting as it is given on a command line; several with "and" between them."""
    if value is None or value == ():
        return "unset"
    return " and ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _settings(then: RunSettings, job: Job) -> RunSettings:
    """The settings that a job has where nothing else is asked than what was."""
    asked, facts = job.settings, job.model.facts
    guidance = asked.guidance
    if guidance is None:  # of a model that is not at hand, what it was is taken for the default
        guidance = then.guidance if facts is None else facts.guidance
    strength = asked.image_strength
    if strength is None and then.image_strength is not None:
        strength = IMAGE_STRENGTH
    return RunSettings(
        model=job.model.name,
        seed=then.seed if asked.seed is None else asked.seed,
        steps=job.steps,
        guidance=guidance,
        true_cfg=asked.true_cfg if job.plan.negative_prompt is not None else None,
        image_strength=strength,
        method=asked.method,
        lora=asked.lora or (),
        **recorded_controls(job.controls),
        device=job.device,
        dtype=job.dtype,
        threads=then.threads,
    )
