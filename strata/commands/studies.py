"""What the studies `roles` and `calibrate` share: which model draws, how, and who judges."""

from typing import Annotated, Any

from strata.console import note, quiet
from strata.hierarchy.errors import SettingError
from strata.loading import MINIATURE, ModelSource, choose_device, choose_dtype, load_pipeline, locate, slow_dtype
from strata.settings import MODEL, ClipName, Count, ModelSettings, Scale, Steps

SMALLEST = 128
"""Pixels a side of a scene's canvas; others are multiples."""


class StudySettings(ModelSettings):
    """What draws in a study."""

    size: Annotated[Count | None, MODEL] = None
    """pixels a side (default: 1024; 128 for the miniature)"""
    steps: Annotated[Steps | None, MODEL] = None
    """denoising steps (default: 28; 20 for the miniature)"""
    guidance: Annotated[Scale | None, MODEL] = None
    """guidance scale (default: the pipeline's)"""
    images: Annotated[Count, MODEL] = 2
    """pictures a scene (default: 2)"""
    clip: Annotated[ClipName | None, MODEL] = None
    """judge pictures by this CLIP model (folder or hub id), not by the exact scorer"""

    @property
    def name(self) -> str:
        """The model, by the name that was given."""
        return self.model or MINIATURE

    def source(self) -> ModelSource:
        """Where the model is. Raises `InputError`."""
        return locate(self.name)

    def judge(self) -> Any:
        """What judges the pictures: a CLIP model where one is named, the exact scorer, or nothing (None).

        Raises:
            InputError: there is no such CLIP model.
        """
        if self.clip is not None:
            from strata.analysis.clip_judge import ClipJudge

            with quiet():
                return ClipJudge(self.clip)
        if not self.source().is_judged_exactly():
            return None
        from strata.analysis.trials import Judge

        return Judge()

    def scale(self) -> int:
        """Canvas size over 128 pixels. Raises `SettingError` for sizes that are no multiple."""
        size = self.size or self.source().default_size
        if size % SMALLEST:
            raise SettingError(f"<size> {size}: must be a multiple of {SMALLEST}")
        return size // SMALLEST

    def run_steps(self) -> int:
        """Denoising steps."""
        return self.steps or self.source().default_steps

    def load(self) -> Any:
        """The pipeline."""
        device = choose_device(self.device or "auto")
        dtype = choose_dtype(self.dtype or self.source().default_dtype, device)
        if (slow := slow_dtype(dtype, device)) is not None:
            note(slow)
        return load_pipeline(self.source(), dtype, device, self.offload)

    def facts(self) -> dict[str, Any]:
        """What decides the pictures beside routing and scenes, for journals and evidence."""
        return {
            "model": self.name,
            "size": SMALLEST * self.scale(),
            "steps": self.run_steps(),
            "guidance": self.guidance,
            "images": self.images,
            "clip": self.clip,
        }
