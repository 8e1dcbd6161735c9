"""A checkpoint that is not its model's is an error when it is loaded."""

import json
import math
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file, save_file

from strata.hierarchy.errors import InputError
from strata.injection.weights import is_finite, load_folder
from tests.injection.conftest import tiny_parts


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    FluxPipeline(**tiny_parts()).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "model")


def configure(part: str, **changes: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def poison(part: str, value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        [path] = (folder / part).glob("*.safetensors")
        tensors = load_file(path)
        name = min(tensors)
        tensors[name].view(-1)[-1] = value
        save_file(tensors, path, {"format": "pt"})

    return change


def remove(part: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / part)


def empty(part: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for path in (folder / part).iterdir():
            path.unlink()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            configure("transformer", num_single_layers=2),
            r"transformer: weights that the model .* not have: single_.* 11",
        ),
        (configure("transformer", num_single_layers=4), "transformer: weights missing .*: single_transformer_blocks.3"),
        (configure("vae", layers_per_block=2), "vae: weights missing"),
        (configure("text_encoder", num_hidden_layers=1), "text_encoder: weights that the model"),
        (configure("text_encoder", num_hidden_layers=3), "text_encoder: weights missing"),
        (configure("text_encoder_2", num_layers=2), "text_encoder_2: weights that the model"),
        (configure("text_encoder_2", num_layers=4), "text_encoder_2: weights missing"),
        (
            configure("transformer", in_channels=12),
            "transformer: .* another shape .*: proj_out.bias, proj_out.weight, x_embedder.weight$",
        ),
        (configure("text_encoder", intermediate_size=16), r"text_encoder: weights of another shape .*: .*layers.0.mlp"),
        (poison("transformer", math.nan), "transformer: weights with NaN or infinities as float32: "),
        (poison("vae", math.inf), "vae: weights with NaN"),
        (poison("text_encoder", -math.inf), "text_encoder: weights with NaN"),
        (poison("text_encoder_2", math.nan), "text_encoder_2: weights with NaN"),
        (remove("tokenizer"), "has no folder tokenizer, of its CLIPTokenizer"),
        (remove("vae"), "has no folder vae, of its AutoencoderKL"),
        (empty("tokenizer"), "tokenizer: holds no vocabulary"),
    ],
)
def test_what_is_wrong(copy: Path, change: Callable[[Path], None], message: str) -> None:
    change(copy)
    with pytest.raises(InputError, match=message):
        load_folder(copy, torch.float32)


def test_a_sharded_model(copy: Path) -> None:
    pipe = load_folder(copy, torch.float32)
    shutil.rmtree(copy / "transformer")
    pipe.transformer.save_pretrained(copy / "transformer", max_shard_size="50KB")
    assert len(list((copy / "transformer").glob("*.safetensors"))) > 1
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        again = load_folder(copy, torch.float32).transformer.state_dict()
    assert not [warning for warning in told if "torch_dtype" in str(warning.message)], "it is ours to say"
    assert all(torch.equal(tensor, again[name]) for name, tensor in pipe.transformer.state_dict().items())
    shard = max((copy / "transformer").glob("*.safetensors"))
    tensors = load_file(shard)
    tensors[max(tensors)].view(-1)[0] = math.nan
    save_file(tensors, shard, {"format": "pt"})
    with pytest.raises(InputError, match="transformer: weights with NaN"):
        load_folder(copy, torch.float32)


def test_loads_what_the_library_loads(saved: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16, None):
        ours, stock = load_folder(saved, dtype), FluxPipeline.from_pretrained(str(saved), torch_dtype=dtype)
        assert type(ours) is type(stock)
        assert ours.config == stock.config
        for name, part in stock.components.items():
            if isinstance(part, torch.nn.Module):
                found = getattr(ours, name)
                assert found.training == part.training
                for key, tensor in part.state_dict().items():
                    assert torch.equal(found.state_dict()[key], tensor)
                    assert found.state_dict()[key].dtype == tensor.dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2])
def test_finite(dtype: torch.dtype) -> None:
    assert is_finite(torch.full((7,), 3e4).to(dtype))
    for value in (math.nan, math.inf, -math.inf):
        assert not is_finite(torch.tensor([1.0, value, 2.0]).to(dtype))
    assert is_finite(torch.arange(3))
    assert is_finite(torch.empty(0, dtype=dtype))
