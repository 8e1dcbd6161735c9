"""Readers of the field's benchmarks: their files as scenes, and pictures where their own scorers look for them.

A benchmark is a file with a `BENCHMARK`. `read_scenes("geneval:evaluation_metadata.jsonl")` gives it and its scenes;
what was drawn of a scene goes to `Benchmark.save`, and `Benchmark.finish` adds what the scorer wants of all scenes
together. Nothing is downloaded: files are read from where the user has them.
"""

from __future__ import annotations

from importlib import import_module

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.readers.protocol import Benchmark, Scene

BENCHMARKS = {
    "geneval": "strata.readers.geneval",
    "geneval2": "strata.readers.geneval2",
    "t2i-compbench": "strata.readers.t2i_compbench",
    "dpg": "strata.readers.dpg",
    "coco-mig": "strata.readers.coco_mig",
    "layoutsam": "strata.readers.layoutsam",
    "denselayout": "strata.readers.denselayout",
    "overlaybench": "strata.readers.overlaybench",
}
"""Where each benchmark's reader is; imported on first use."""

__all__ = ["BENCHMARKS", "Benchmark", "Scene", "benchmark_named", "read_scenes", "split_spec"]


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of this name. Raises `InputError` where there is none."""
    if name not in BENCHMARKS:
        raise InputError(
            f"format {quote(name)}: {did_you_mean(name, list(BENCHMARKS))}must be one of {', '.join(BENCHMARKS)}"
        )
    benchmark: Benchmark = import_module(BENCHMARKS[name]).BENCHMARK
    return benchmark


def split_spec(spec: str) -> tuple[str, str] | None:
    """`FORMAT:PATH` in its parts; None where the text names no format at all, such as a plain path.

    Raises:
        InputError: a format that there is not, or no path.
    """
    name, colon, path = spec.partition(":")
    if not colon or not name.replace("-", "").isalnum() or len(name) == 1:  # a drive's letter
        return None
    benchmark_named(name)
    if not path:
        raise InputError(f"{quote(spec)}: must be FORMAT:PATH; the path is missing")
    return name, path


def read_scenes(spec: str, token: int = 16) -> tuple[Benchmark, list[Scene]]:
    """The scenes of a benchmark's file.

    Args:
        spec: `FORMAT:PATH`, such as `layoutsam:test.parquet`; the path is a file, or a folder of such files.
        token: sides of plans are rounded to multiples of this, the pixels of a side of an image token.

    Raises:
        InputError: no such format, or the file cannot be read; names file, line, field, value and valid choices.
    """
    parts = split_spec(spec)
    if parts is None:
        raise InputError(f"{quote(spec)}: must be FORMAT:PATH; formats: {', '.join(BENCHMARKS)}")
    benchmark = benchmark_named(parts[0])
    return benchmark, benchmark.read(parts[1], token)
