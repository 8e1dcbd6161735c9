"""ControlNets, loaded for an engine beside its model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strata.controls import Control, ControlSource, check_controls
from strata.hierarchy.errors import InputError, SettingError, first_line
from strata.imports import uncollected
from strata.injection.families import Family
from strata.loading import hub_reason


class ControlNets:
    """The ControlNets of a drawing, kept for the next one that uses them too.

    Args:
        family: of the model that draws.
        dtype: of their weights.
        device: where they are.
    """

    def __init__(self, family: Family, dtype: str, device: str) -> None:
        self._family, self._dtype, self._device = family, dtype, device
        self._loaded: dict[ControlSource, tuple[Mapping[str, Any], Any]] = {}
        self._joined: tuple[tuple[ControlSource, ...], dict[str, Any]] = ((), {})

    def components(self, controls: Sequence[Control], pipeline: str, transformer: Any) -> dict[str, Any]:
        """What a pipeline has beside its other parts for a drawing with these: the same object for the same models.

        Args:
            controls: of the drawing; none: nothing.
            pipeline: the class of the pipeline that was loaded.
            transformer: that draws.

        Raises:
            SettingError: as of `check_controls`; a model cannot be had or read.
        """
        sources = tuple(control.model for control in controls)
        folders = {source: _folder(source) for source in dict.fromkeys(sources) if source not in self._loaded}
        configs = {source: source.config_in(folder) for source, folder in folders.items()}
        configs |= {source: config for source, (config, _) in self._loaded.items()}
        if controls:
            found = [configs[source] for source in sources]
            check_controls(controls, found, self._family, pipeline, transformer.config)
        if sources == self._joined[0]:
            return self._joined[1]
        self._loaded = {source: self._loaded[source] for source in self._loaded if source in sources}
        for source, folder in folders.items():
            self._loaded[source] = configs[source], self._load(source, folder)
        self._joined = sources, {"controlnet": self._join(sources)} if controls else {}
        return self._joined[1]

    def _load(self, source: ControlSource, folder: Path) -> Any:
        import diffusers
        import torch

        with uncollected():
            from strata.injection.weights import load_model
        kind = getattr(diffusers, self._family.with_control[1])
        try:
            return load_model(folder, kind, getattr(torch, self._dtype)).to(self._device)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except InputError as error:
            raise source.error(str(error)) from error
        except Exception as error:  # what libraries raise for damaged or missing files is of many types
            raise source.error(f"cannot be loaded: {first_line(error)}") from error

    def _join(self, sources: Sequence[ControlSource]) -> Any:
        """One for one picture; else all in one model, where one that serves all pictures stands once."""
        import diffusers

        nets = [self._loaded[source][1] for source in sources]
        if len(nets) == 1:
            return nets[0]
        return getattr(diffusers, self._family.with_control[2])(nets[:1] if len(set(sources)) == 1 else nets)

    def release(self) -> None:
        """Let go of them."""
        self._loaded, self._joined = {}, ((), {})


def _folder(source: ControlSource) -> Path:
    """Where a ControlNet's files are, of the hub in the user's cache."""
    if (folder := source.folder()) is not None:
        return folder
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "*.safetensors", "*.safetensors.index.json"]
    try:
        return Path(snapshot_download(source.name, local_files_only=source.only_here, allow_patterns=wanted))
    except Exception as error:
        message = hub_reason(error).replace("<model>", "<control_model>")
        raise SettingError(f"ControlNet {source.name}: {message}") from error
