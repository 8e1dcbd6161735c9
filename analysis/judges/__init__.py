"""Judges of pictures: whether each region of a plan is what its texts ask for. One file each, behind one protocol."""

from __future__ import annotations

from pathlib import Path

from strata.analysis.judges.protocol import Judge, JudgedObject, JudgedPicture
from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.hierarchy.extras import needs_extra

JUDGES = ("exact", "clip", "vqa", "detector")
"""`exact` for the bundled miniature; `clip:MODEL`, `detector:MODEL` (each a folder or a hub id) and `vqa:ADDRESS`."""

__all__ = ["JUDGES", "Judge", "JudgedObject", "JudgedPicture", "check_judge", "judge_named"]


def check_judge(text: str) -> tuple[str, str]:
    """A judge's name and its model, without loading it.

    Raises:
        InputError: there is no such judge, or it needs a model that is not named.
    """
    name, _, model = text.partition(":")
    if name not in JUDGES:
        raise InputError(f"judge {quote(text)}: {did_you_mean(name, JUDGES)}must be one of {', '.join(JUDGES)}")
    if name == "exact":
        if model:
            raise InputError(f"judge {quote(text)}: exact is the bundled scorer, and takes no model")
    elif not model:
        needs = "the address of a server" if name == "vqa" else "a folder or a hub id"
        raise InputError(f"judge {quote(text)}: needs {needs} behind a colon: {name}:…")
    if model.startswith(("/", "./", "../", "~")) and not Path(model).expanduser().is_dir():
        raise InputError(f"judge {quote(text)}: there is no such folder")
    return name, model


def judge_named(text: str) -> Judge:
    """A judge, such as `exact`, `clip:openai/clip-vit-base-patch32` or `vqa:http://127.0.0.1:8000/v1`.

    Raises:
        InputError: as `check_judge`, or its model cannot be had.
    """
    name, model = check_judge(text)
    if name == "exact":
        from strata.analysis.judges.exact import ExactJudge

        return ExactJudge()
    if name == "clip":
        from strata.analysis.judges.clip import ClipTextJudge

        return ClipTextJudge(model)
    if name == "detector":
        from strata.analysis.judges.detector import DetectorJudge

        return DetectorJudge(model)
    with needs_extra("llm"):
        from strata.analysis.judges.vqa import VqaJudge
    return VqaJudge(model)
