"""Where in the blocks of a `ModularPipeline` texts are encoded, steps are run, and choices are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diffusers.modular_pipelines import ConditionalPipelineBlocks, LoopSequentialPipelineBlocks

from strata.hierarchy.errors import InputError

PROMPT, EMBEDDING = "prompt", "prompt_embeds"
TEXTS = "regional_texts"
"""What a text step of ours makes beside the embedding."""
Path = tuple[str, ...]


def at_path(blocks: Any, path: Path) -> Any:
    """The block of a path of names."""
    for name in path:
        blocks = blocks.sub_blocks[name]
    return blocks


def put(blocks: Any, path: Path, block: Any) -> None:
    """Put another block where one is."""
    at_path(blocks, path[:-1]).sub_blocks[path[-1]] = block


def loops(blocks: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all denoising loops."""
    if isinstance(blocks, LoopSequentialPipelineBlocks):
        yield path
        return
    for name, block in blocks.sub_blocks.items():
        yield from loops(block, (*path, name))


def text_steps(blocks: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of the smallest blocks that make a prompt's embedding of the prompt; alternatives are one block."""
    names, made = blocks.input_names, blocks.intermediate_output_names
    if PROMPT not in names or EMBEDDING not in made:
        return
    found: list[Path] = []
    if not isinstance(blocks, ConditionalPipelineBlocks | LoopSequentialPipelineBlocks):
        for name, block in blocks.sub_blocks.items():
            found += text_steps(block, (*path, name))
    yield from found or [path]


def only_text_step(blocks: Any, kind: str) -> Path:
    """The path of the text step. Raises `InputError` where there is none, more than one, or one of ours."""
    if TEXTS in blocks.intermediate_output_names:
        raise InputError(f"pipe: {kind}: its blocks have regional attention already; call it with plan=…")
    found = list(text_steps(blocks))
    if len(found) == 1 and found[0]:
        return found[0]
    which = "several of its blocks make" if len(found) > 1 else "none of its blocks makes"
    raise InputError(f"pipe: {kind}: {which} {EMBEDDING!r} of {PROMPT!r}; regions need the one text step of a pipeline")


def without_rewriters(blocks: Any, text: Path) -> Any:
    """These blocks without those that make another prompt for the text step: a plan's prompt is drawn as it is."""
    names = list(blocks.sub_blocks)
    for name in names[: names.index(text[0])]:
        if PROMPT in blocks.sub_blocks[name].intermediate_output_names:
            del blocks.sub_blocks[name]
    return blocks


def triggers(blocks: Any) -> Iterator[str]:
    """The names of all inputs that decide which blocks run."""
    if isinstance(blocks, ConditionalPipelineBlocks):
        yield from filter(None, blocks.block_trigger_inputs)
    for block in blocks.sub_blocks.values():
        yield from triggers(block)
