"""The kernels that one routed step spends its time in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def profiled(calls: Mapping[str, Callable[[], Any]], device: torch.device, rows: int = 25) -> str:
    """A table of each call's most expensive operators, on the device, after a call that warms up."""
    cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    by = "self_cuda_time_total" if cuda else "self_cpu_time_total"
    parts = []
    for name, call in calls.items():
        call()
        with profile(activities=activities) as found:
            call()
            if cuda:
                torch.cuda.synchronize(device)
        made = found.key_averages().table(sort_by=by, row_limit=rows, max_name_column_width=60)
        parts.append(f"== {name}\n{made}")
    return "\n".join(parts)
