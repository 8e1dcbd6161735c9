"""The LoRA files of a picture, found again wherever they are now: the one with the recorded hash is the one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from strata.hierarchy.errors import InputError, SettingError, printable
from strata.hierarchy.plan import ScenePlan
from strata.injection.lora_form import sha256_of
from strata.injection.lora_hub import find_lora
from strata.record import Repaint
from strata.settings import DrawSettings
from strata.source import Source, full_path, local_lora


def found_again(source: Source, given: DrawSettings) -> Source:
    """The source with the LoRA files that its record names where they are now.

    That is where they were, else in the folder that is given, else beside the picture; there under any name.

    Args:
        source: a picture; a plan stays as it is.
        given: `lora_dir`; with `lora`, those of the settings are none of the record's.

    Raises:
        SettingError: no file has the recorded hash, or none is recorded; says what is looked for.
    """
    folder, record = given.lora_dir, source.record
    if folder is not None and not Path(folder).expanduser().is_dir():
        raise SettingError(f"<lora_dir> {folder}: no such folder")
    if record is None:
        if folder is not None:
            raise SettingError(f"<lora_dir> {folder}: is for pictures, whose LoRA files were moved; plans name theirs")
        return source
    places = (None if folder is None else Path(folder).expanduser(), source.folder)
    search = _Search(record.lora_hashes, [place for place in places if place is not None], source.plan)
    plan = search.plan()
    repaints = tuple(search.repaint(n, repaint) for n, repaint in enumerate(source.repaints))
    settings = record.settings
    if given.lora is None and settings.lora:
        settings = settings.model_copy(update={"lora": tuple(map(search.setting, settings.lora))})
    changed = record.model_copy(update={"settings": settings, "repaints": repaints[: len(record.repaints)]})
    return replace(source, plan=plan, repaints=repaints, record=changed)


class _Search:
    """For the LoRA files of one picture.

    Args:
        hashes: the SHA-256 of each, by its name in the record.
        folders: where it may be, beside its own place.
        plan: the picture's.
    """

    def __init__(self, hashes: Mapping[str, str], folders: Sequence[Path], plan: ScenePlan) -> None:
        self._hashes, self._folders, self._plan = hashes, folders, plan
        self._found: dict[str, str] = {}

    def plan(self) -> ScenePlan:
        """The plan with its files where they are."""
        for placed in self._plan.placed_loras():
            try:
                self._find(placed.lora.file)
            except SettingError as error:
                raise SettingError(str(self._plan.error(placed.path, error.template))) from error
        return self._plan.with_loras(self._find)

    def repaint(self, number: int, repaint: Repaint) -> Repaint:
        """A repaint with the files of the region before it where they are."""
        if repaint.before is None:
            return repaint
        try:
            loras = tuple(lora.moved(self._find(lora.file)) for lora in repaint.before.loras)
        except SettingError as error:
            raise SettingError(f"repaints[{number}].before.loras: {error.template}") from error
        return repaint.model_copy(update={"before": repaint.before.model_copy(update={"loras": loras})})

    def setting(self, text: str) -> str:
        """FILE:SCALE with the file where it is."""
        file, _, scale = text.rpartition(":")
        try:
            return f"{self._find(file)}:{scale}"
        except SettingError as error:
            raise SettingError(f"{error.template}, or the file with <lora>") from error

    def _find(self, file: str) -> str:
        if file not in self._found:
            self._found[file] = self._searched(file)
        return self._found[file]

    def _searched(self, file: str) -> str:
        digest = self._hashes.get(file)
        if digest is None:
            raise SettingError(
                f"LoRA {printable(file)}: the record has no hash of this file, so nothing tells which it was; draw the"
                " picture's plan (plan.yaml of its folder) with the file that you trust"
            )
        try:
            if sha256_of(find_lora(file, self._plan.root, only_here=True)) == digest:
                return local_lora(file, self._plan.root)
            why = "is not the LoRA file that the picture was drawn with"
        except InputError as error:
            why = str(error)
        for path in self._beside(Path(file).name):
            with suppress(InputError):
                if sha256_of(path) == digest:
                    return full_path(path).as_posix()
        where = " and ".join(str(folder) for folder in self._folders)
        also = f", nor is it in {where}" if where else ""
        raise SettingError(
            f"LoRA {printable(file)}: {why}{also}; looked for is a .safetensors file, of any name, with the SHA-256"
            f" {digest}: give its folder with <lora_dir>"
        )

    def _beside(self, name: str) -> Iterator[Path]:
        """The files that it may be: of its name first."""
        for folder in self._folders:
            for path in sorted(folder.glob("*.safetensors"), key=lambda path: (path.name != name, path.name)):
                if path.is_file():
                    yield path
