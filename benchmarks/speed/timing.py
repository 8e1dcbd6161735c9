"""Seconds and peak memory of calls that take turns, and the machine in words."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Calls = Mapping[str, Callable[[], Any]]
Clock = Callable[[], float]
CLOCKS: Mapping[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}
"""Seconds that pass, or those of this process on all cores: what runs beside it stretches them less."""
FEWEST = 3
"""Rounds that every call is measured in, however long it takes."""


@dataclass
class Measured:
    """Seconds of every round, and the largest peak of memory in bytes; None where the system does not tell."""

    seconds: list[float] = field(default_factory=list)
    peak: int | None = None

    @property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper, of the seconds."""
        if len(self.seconds) == 1:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high


def measure(
    calls: Calls,
    repeats: int,
    device: torch.device | None = None,
    clock: Clock = time.perf_counter,
    most: float = float("inf"),
    warm_up: Calls | None = None,
) -> dict[str, Measured]:
    """Measure calls in rounds that make each of them once, so that all meet the same weather.

    Args:
        calls: by name.
        repeats: rounds, after one that warms up.
        device: that they run on, and whose memory is measured; None: no memory.
        clock: seconds.
        most: a call that has taken so many seconds in all is left out of rounds to come, after `FEWEST`.
        warm_up: what is called in the first round instead.
    """
    found = {name: Measured() for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            own = found[name]
            if len(own.seconds) >= FEWEST and sum(own.seconds) > most:
                continue
            if device is not None:
                reset_peak(device)
            _synchronise(device)
            begin = clock()
            (call if turn or warm_up is None else warm_up[name])()
            _synchronise(device)
            took = clock() - begin
            if turn:
                own.seconds.append(took)
                peak = None if device is None else peak_bytes(device)
                own.peak = peak if own.peak is None or peak is None else max(own.peak, peak)
    return found


def median_seconds(calls: Calls, repeats: int, clock: Clock = time.perf_counter) -> dict[str, float]:
    """Median seconds of each call, without memory; see `measure`."""
    return {name: each.median for name, each in measure(calls, repeats, clock=clock).items()}


def _synchronise(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak(device: torch.device) -> None:
    """Forget the peak of memory so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # Linux alone
            Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(device: torch.device) -> int | None:
    """The peak since `reset_peak`: of what PyTorch allocated on a GPU, of this process's resident memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def machine(device: torch.device) -> str:
    """The machine in words: device, cores, threads, PyTorch."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = [f"{_processor()}, {cores} cores, {torch.get_num_threads()} threads", f"torch {torch.__version__}"]
    if device.type == "cuda":
        known = torch.cuda.get_device_properties(device)
        words.insert(0, f"{known.name}, {known.total_memory / 2**30:.0f} GiB")
        words.append(f"CUDA {torch.version.cuda}")
    return ", ".join(words)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def show(what: str, unit: str, seconds: Mapping[str, float]) -> None:
    """Print times and their ratios to the first."""
    plain = next(iter(seconds.values()))
    print(f"{what:40} {unit:>16}  × plain")
    for name, each in seconds.items():
        print(f"{name:40} {each:16.3f}  {each / plain:7.2f}")


def busy_cores() -> Sequence[float]:
    """Load averages of the machine, where the system tells."""
    return os.getloadavg() if hasattr(os, "getloadavg") else ()
