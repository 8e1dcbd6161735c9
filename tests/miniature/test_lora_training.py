"""The training of a style LoRA: a file that diffusers loads, of layers that can be confined, gone on with."""

from pathlib import Path
from typing import Any

import pytest
import torch

from strata.hierarchy.plan import ScenePlan
from strata.injection.families import family_of
from strata.injection.lora_files import read_lora
from strata.injection.pipeline import RegionalPipeline
from strata.miniature import lora_report
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.training import data, lora
from strata.miniature.training.data import Pool
from strata.miniature.training.lora import add_lora, images_alone, save_lora, share_in_style, train_lora


def test_texts_go_without_it() -> None:
    model = load_pipeline().transformer
    torch.manual_seed(0)
    for name, weight in add_lora(model, 2).items():
        torch.nn.init.normal_(weight) if ".lora_B." in name else None
    double, single = model.transformer_blocks[0], model.single_transformer_blocks[0]
    x = torch.randn(1, 7, double.attn.to_q.in_features)

    def deltas() -> list[torch.Tensor]:
        layers = (double.attn.to_q, double.attn.add_k_proj, double.ff_context.net[2], single.attn.to_v, single.proj_mlp)
        inputs = (x, x, torch.randn(1, 7, double.ff_context.net[2].in_features), x, x)
        return [
            (layer(each) - layer.base_layer(each)).abs().amax(-1)[0] for layer, each in zip(layers, inputs, strict=True)
        ]

    with images_alone(model, 3):
        image, key, feed, value, mlp = deltas()
    assert image.min() > 0
    assert not key.any()
    assert not feed.any()
    for joined in (value, mlp):
        assert not joined[:3].any()
        assert joined[3:].min() > 0
    assert all(delta.min() > 0 for delta in deltas())


@pytest.mark.slow
def test_trained_saved_confined_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(lora, "POOLS", (Pool(128, 128, (1,), 24, (1.0, 1.0, 1.0), 2, 4, 8),))
    monkeypatch.setattr(data, "CHUNK", 2)
    monkeypatch.setattr(lora, "SCORED", 1)
    whole = train_lora(load_pipeline(), "rose", tmp_path / "whole", 8, score_every=4)
    assert "in style" in (tmp_path / "whole" / "log.csv").read_text()
    train_lora(load_pipeline(), "rose", tmp_path / "parts", 4)
    resumed = train_lora(load_pipeline(), "rose", tmp_path / "parts", 8)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(weight, resumed[name]) for name, weight in whole.items())
    ups = [weight for name, weight in whole.items() if "lora_B" in name]
    assert all(weight.abs().max() > 0 for weight in ups)

    path = tmp_path / "rose.safetensors"
    save_lora(whole, path)
    assert path.stat().st_size < 2e6
    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    file = read_lora(path, type(pipe))
    file.check(pipe.transformer)
    file.check_confined(pipe.transformer, family_of(pipe.transformer))
    plan = ScenePlan.from_yaml(
        """
width: 128
height: 128
prompt: a red circle on the left and a blue square on the right, plain grey background
regions:
  - {name: left, box: [0, 0, 64, 128], full: a red circle, loras: [{file: rose.safetensors, scale: 5}]}
  - {name: right, box: [64, 0, 128, 128], full: a blue square}
""",
        root=tmp_path,
    )
    regional, options = RegionalPipeline(pipe), {"seed": 0, "num_inference_steps": 2, "output_type": "pt"}
    without = plan.with_loras(str).model_copy(
        update={"regions": tuple(region.model_copy(update={"loras": ()}) for region in plan.regions)}
    )
    assert not torch.equal(regional(plan, **options).images, regional(without, **options).images)
    assert share_in_style(pipe, "rose", 1) == 0

    lora_report.main(["--loras", str(tmp_path), "--plans", "1"])
    assert "rose       in the region's style" in capsys.readouterr().out
