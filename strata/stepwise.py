"""A pipeline's call, step by step: it runs in a thread that waits after each denoising step for the caller."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from strata.pipelines import stepping, threads

if TYPE_CHECKING:
    from torch import Tensor

    from strata.injection.calling import PipelineCall
    from strata.record import RunSettings

T = TypeVar("T")


class _Cancelled(Exception):
    """Ends the run of a pipeline from within."""


def stepwise(
    call: PipelineCall,
    draw: Callable[..., Any],
    settings: RunSettings,
    cancel: threading.Event,
    after: Callable[[int, int, Tensor], tuple[T, Tensor | None]],
    noise: Callable[[Tensor], None] | None = None,
) -> Generator[T, None, list[Any]]:
    """Calls a pipeline; yields what `after` makes of each step, and returns the pictures: none where cancelled.

    The pipeline runs only while the caller waits for the next step. A caller that stops iterating ends it.

    Args:
        call: of the pipeline.
        draw: runs it, with the options that it is given.
        settings: of the run.
        cancel: ends the run after the step at which it is set.
        after: gets a step's number from 0, the steps of all and the latents; returns what is yielded, and the latents
            to go on with, or None for the same.
        noise: gets the latents before the first step.
    """
    steps: queue.SimpleQueue[T | None] = queue.SimpleQueue()
    go_on, ended = threading.Semaphore(0), threading.Event()
    images: list[Any] = []
    errors: list[BaseException] = []

    def after_step(pipe: Any, number: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        step, latents = after(number, int(pipe.num_timesteps), tensors["latents"])
        steps.put(step)
        go_on.acquire()
        if ended.is_set() or cancel.is_set():
            raise _Cancelled
        return {} if latents is None else {"latents": latents}

    def run() -> None:
        release = call.release
        try:
            with threads(settings), stepping(call, after_step, noise) as options:
                images.extend(draw(**options).images)
        except BaseException as error:  # every error is the caller's, who waits in another thread
            errors.append(error)
            release()  # as the pipeline does at its end
        finally:
            steps.put(None)

    thread = threading.Thread(None, contextvars.copy_context().run, "strata-engine", (run,), daemon=True)
    thread.start()
    try:
        while (step := steps.get()) is not None:
            yield step
            go_on.release()
    finally:
        ended.set()
        go_on.release()
        thread.join()
    if errors and not isinstance(errors[0], _Cancelled):
        raise errors[0]
    return [] if cancel.is_set() else images
