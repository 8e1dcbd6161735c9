"""What the benchmark of speed measures is what it says, and nothing that was measured is lost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import __main__ as command
from benchmarks.speed import timing
from benchmarks.speed.cells import Journal
from benchmarks.speed.counting import RATES, count, counting
from benchmarks.speed.model import Model
from benchmarks.speed.scenes import plan_of
from benchmarks.speed.tables import write_between
from benchmarks.speed.ways import METHODS, ROUTINGS, Steps, Way, ways_of, with_routed
from benchmarks.speed.whole import count_pictures
from strata.hierarchy.grid import token_grid
from strata.layers.routing import Routing

CPU, META = torch.device("cpu"), torch.device("meta")
TINY = [
    "--size",
    "tiny",
    "--pixels",
    "64",
    "--tokens",
    "3",
    "--layouts",
    "boxes",
    "--repeats",
    "1",
    "--base-tokens",
    "4",
]
KERNEL = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def flops_of(q_BHLD: torch.Size, k_BHLD: torch.Size, *_: Any, **__: Any) -> int:
    """Of a kernel that PyTorch's counter does not know."""
    return 4 * q_BHLD.numel() * k_BHLD[2]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.made("tiny", CPU)


@pytest.mark.parametrize(("width", "height"), [(768, 1280), (1024, 1024)])
def test_boxes_cover_the_canvas_and_masks_overlap(width: int, height: int) -> None:
    for regions in (1, 2, 8, 16):
        boxes, masks = (
            token_grid(plan_of(layout, regions, width, height), height // 16, width // 16)
            for layout in ("boxes", "masks")
        )
        assert len(boxes.atoms()) == regions
        assert (boxes.masks.sum(0) == 1).all()
        assert len(masks.names) == regions
        assert regions == 1 or masks.masks.sum(0).max() > 1
    assert len(masks.atoms()) in range(45, 65)


@pytest.mark.parametrize(
    ("layout", "routing"), [("boxes", "isolate-first"), ("masks", "coarse-to-fine"), ("masks", "uniform")]
)
def test_the_dense_mask_is_the_same_attention(model: Model, layout: str, routing: str) -> None:
    masked = Way.of_method("dense-mask")._replace(routing=Routing.load(routing))
    plan = plan_of(layout, 4, 128, 128)
    one, other = (Steps(model, plan, way, tokens=3, steps=4) for way in (Way.of_routing(routing), masked))
    other.texts, other.inputs = one.texts, one.inputs
    torch.testing.assert_close(other.step(), one.step(), atol=1e-4, rtol=1e-4)
    plain = Steps(model, plan, None, tokens=3, steps=4)
    plain.inputs = one.inputs
    assert not torch.allclose(plain.step()[0], one.step()[0], atol=1e-3)


@pytest.mark.parametrize("name", [*ROUTINGS, *METHODS])
def test_a_step_of_every_way_calls_the_transformer_as_often_as_its_method_does(model: Model, name: str) -> None:
    way = {way.name: way for way in ways_of(ROUTINGS, METHODS)}[name]
    calls: list[int] = []
    hook = model.transformer.register_forward_pre_hook(lambda module, args: calls.append(1))
    try:
        drawn = Steps(model, plan_of("boxes", 2, 64, 64), way, tokens=3, steps=4)
        drawn.step()
        again = len(calls)
        drawn.step()
    finally:
        hook.remove()
    assert again == (3 if name in ("rpg", "stitch") else 1)
    assert len(calls) == 2 * again
    lengths = {text.shape[1] for text in drawn.texts.values()}
    assert lengths == {16 if way.routing.pad == "full" else 6 if name == "densediffusion" else 3}


def test_a_step_behind_the_first_keeps_what_the_routing_refreshes() -> None:
    meta, (way,) = Model.made("tiny", META), ways_of(["isolate-first-fast"], [])
    first, behind = (count(Steps(meta, plan_of("boxes", 2, 64, 64), way, 3, 24, behind=n).step) for n in (0, 1))
    plain = count(Steps(meta, plan_of("boxes", 2, 64, 64), None, 3, 24).step)
    assert first.parts["linear"].flops > behind.parts["linear"].flops == plain.parts["linear"].flops


@pytest.mark.parametrize(
    "name", ["isolate-first", "coarse-to-fine", "uniform", "regional-prompting-flux", "stitch", "rpg"]
)
def test_a_picture_is_routed_in_as_many_steps_as_asked_for(model: Model, name: str) -> None:
    (way,) = ways_of([name], []) if name in ROUTINGS else ways_of([], [name])
    for routed in (10, 24):
        drawn = Steps(model, plan_of("boxes", 2, 64, 64), way, 3, 24, routed)
        assert drawn.program is not None
        assert [drawn.program.routed(step) for step in range(24)] == [step < routed for step in range(24)]
    isolated = with_routed(Routing.load("isolate-first"), 24, 10, whole=False).resolve(1, 2, 24).isolate
    assert isolated.any(axis=1).nonzero()[0].tolist() == [0, 1]


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor lost, whatever a run that was stopped left behind; other code and other options are others' cells."""
    out, page, figure = tmp_path / "cells.csv", tmp_path / "page.md", tmp_path / "speed.png"
    page.write_text("before\n<!-- begin here -->\nold\n<!-- end here -->\nafter\n")
    asked = [*TINY, "--regions", "1", "2", "--routing", "uniform", "--methods", "dense-mask", "--out", str(out)]
    begun: list[int] = []
    measure_group = command.measure_group
    monkeypatch.setattr(command, "measure_group", lambda *args: begun.append(args[1].regions) or measure_group(*args))
    command.main([*asked, "--write", str(page), "--place", "here", "--plot", str(figure)])
    assert begun == [1, 2]
    told, written = capsys.readouterr().out, page.read_text()
    for part in (told, written):
        assert "| dense-mask" in part
        assert "1 region " in part
    assert written.startswith("before\n<!-- begin here -->\n")
    assert written.endswith("<!-- end here -->\nafter\n")
    assert "old" not in written
    assert np.asarray(Image.open(figure)).std() > 10

    whole = out.read_bytes()
    command.main(asked)
    assert begun == [1, 2]
    assert out.read_bytes() == whole

    out.write_bytes(whole[:-20])
    command.main(asked)
    assert begun == [1, 2, 2], "the last line was not whole"
    command.main([*asked[:-4], "--methods", "--out", str(out)])
    assert begun == [1, 2, 2], "fewer ways than there are"
    monkeypatch.setattr(command, "digest", lambda files: "another")
    command.main([*asked, "--within", "0"])
    assert begun == [1, 2, 2], "no time for it"
    command.main([*asked, "--regions", "1"])
    assert begun == [1, 2, 2, 1]
    assert len({cell.group for cell in Journal(out).cells}) == 3


def test_what_is_measured_where_no_sizes_are_asked_for(model: Model, tmp_path: Path) -> None:
    """All of the first size, but ways of several passes in part; of others the most telling; `--all` is all."""
    found = []
    for asked in ([], ["--all"]):
        args = command.parser().parse_args(asked)
        args.size, args.code, args.in_part = "tiny", "", not args.all
        args.regions, args.pixels = list(command.REGIONS), [command.size_of(size) for size in command.PIXELS]
        ways = ways_of(ROUTINGS, METHODS)
        found.append([(group, len(command.ways_in(group, ways, args))) for group in command.groups(model, args)])
    few, every = found
    assert (len(every), {ways for _, ways in every}) == (3 * 2 * 2 * 5, {8})
    assert len(few) == 2 * 2 * 5 + 2 * 2 * 2
    assert {(group.layout, group.tokens, ways) for group, ways in few if group.width == group.height == 1024} == {
        *{("boxes", 64, 8), ("masks", 64, 6), ("boxes", 24, 6), ("masks", 24, 6)}
    }


def test_memory_and_seconds_are_of_each_call() -> None:
    now = [0.0]

    def took(seconds: float) -> Any:
        return lambda: now.__setitem__(0, now[0] + seconds)

    found = timing.measure({"short": took(1), "long": took(50)}, 6, None, lambda: now[0], most=60)
    assert len(found["short"].seconds) == 6
    assert len(found["long"].seconds) == timing.FEWEST
    assert found["long"].median == 50
    assert found["short"].quartiles == (1, 1)
    held = timing.measure(
        {"small": lambda: None, "large": lambda: torch.ones(2**27)}, 1, CPU
    )  # no free piece of the heap is so large
    if (small := held["small"].peak) is not None:
        large = held["large"].peak
        assert large is not None
        assert large - small > 2**28


@pytest.mark.parametrize("way", [None, "coarse-to-fine"])
def test_counted_flops_are_those_of_a_step_that_is_computed(model: Model, way: str | None) -> None:
    """By PyTorch's own counter, on the CPU, where few tokens are attended to group by group."""
    found = []
    for each in (model, Model.made("tiny", META)):
        known = None if way is None else Way.of_routing(way)
        drawn = Steps(each, plan_of("masks", 2, 128, 128), known, tokens=3, steps=4)
        if each is model:
            drawn.step()
            with FlopCounterMode(display=False, custom_mapping={KERNEL: flops_of}) as counter:
                drawn.step()
            found.append(counter.get_total_flops())
        else:
            counts = count(drawn.step)
            found.append(counts.flops)
            assert counts.parts["attention"].launches >= 3
            assert counts.seconds(RATES["H200"]) > 0
    assert found[0] == found[1] > 0


def test_counts_of_single_kernels() -> None:
    """Bytes as read and written, views as nothing, fused kernels as one, lengths as they are."""
    x = torch.empty(4, 8, device=META)
    q = torch.empty(1, 2, 10, 16, device=META, dtype=torch.bfloat16)
    with counting() as counts:
        y = x + x[:1].expand(4, 8)
        torch.cat([x, y])
        y.copy_(x)
        x.index_select(0, torch.empty(2, dtype=torch.int64, device=META))
        x.t().view(8, 4)
        torch.nn.functional.rms_norm(x, (8,))
        torch.nn.functional.scaled_dot_product_attention(
            q, q, q, attn_mask=torch.empty(10, 10, dtype=torch.bool, device=META)
        )
        torch.ones(3).to(META)
        assert float(x.sum()) == 0.5
    moved = {name: (part.launches, part.bytes) for name, part in counts.parts.items()}
    assert moved["copies"] == (3, 2 * 2 * 128 + 2 * 128 + 2 * 64)
    assert moved["normalisation"] == (1, 256)
    assert moved["elementwise"] == (3, (128 + 32 + 128) + (100 + 200) + (128 + 4))
    assert moved["attention"] == (1, 4 * 640 + 200)
    assert counts.parts["attention"].flops == 4 * 2 * 10 * 10 * 16
    assert (counts.host_copies, counts.waits) == (1, 1)


def test_counts_of_an_attention_over_several_lengths() -> None:
    varlen = pytest.importorskip("torch.nn.attention.varlen", reason="this PyTorch has no such attention")
    q, k = (torch.empty(n, 2, 16, device=META, dtype=torch.bfloat16) for n in (9, 30))
    with counting() as counts:
        starts, keys = (torch.tensor(each, dtype=torch.int32, device=META) for each in ([0, 4, 9], [0, 10, 30]))
        varlen.varlen_attn(q, k, k, starts, keys, 5, 20)
    assert counts.parts["attention"].flops == 4 * 2 * 16 * (4 * 10 + 5 * 20)
    assert counts.launches == 1


@pytest.mark.slow
def test_the_table_of_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = [*TINY, "--regions", "2", "--routing", "uniform", "--methods", "rpg", "--out", str(tmp_path / "none.csv")]
    command.main([*asked, "--count"])
    told = capsys.readouterr().out
    (uniform,) = [line for line in told.splitlines() if "| uniform" in line and "GB" in line]
    assert 1.3 < float(uniform.split("|")[5]) < 1 + 12 / 20, "4 base and 16 image tokens; two texts of 3 a region"
    (rpg,) = [line for line in told.splitlines() if "| rpg" in line and "GB" in line]
    assert rpg.split("|")[5].strip() == "3.00"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uniform", "coarse-to-fine", "isolate-first-fast"])
def test_a_whole_picture_costs_what_its_steps_do(name: str) -> None:
    """Each step counted by itself, in a run that goes through all of them."""
    (way,), steps = ways_of([name], []), 5
    (whole,) = count_pictures("tiny", 4, (64, 64), [3], [2], [way], steps)
    drawn = Steps(Model.made("tiny", META, base=4), plan_of("boxes", 2, 64, 64), way, 3, steps)
    assert drawn.program is not None
    found = []
    for step in range(steps):
        found.append(count(lambda step=step: drawn.at(step)))
    assert whole.routed == sum(drawn.program.routed(step) for step in range(steps))
    assert whole.counts.flops == sum(each.flops for each in found)
    assert whole.counts.launches == sum(each.launches for each in found)
    assert whole.counts.seconds(RATES["H200"]) == pytest.approx(sum(each.seconds(RATES["H200"]) for each in found))
    assert (
        whole.plain.flops == steps * count(Steps(drawn.model, plan_of("boxes", 1, 64, 64), None, 3, steps).step).flops
    )
    assert whole.counts.flops > whole.plain.flops


def test_mistakes_are_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin one -->\n<!-- end one -->\n")
    with pytest.raises(SystemExit, match=r"no place 'two' to write to; there are: one"):
        write_between(page, "two", "x")
    with pytest.raises(SystemExit, match="must be one of"):
        command.main([*TINY, "--methods", "rgp"])
    with pytest.raises(SystemExit, match="need a model of random weights"):
        command.main(["--count", "--size", "miniature"])
    with pytest.raises(SystemExit, match="--whole is of --count"):
        command.main([*TINY, "--whole"])
    for wrong in (["--pixels", "100x64"], ["--run", "10:24"]):
        with pytest.raises(SystemExit):
            command.parser().parse_args(wrong)
    bad = tmp_path / "cells.csv"
    bad.write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="is no file of this benchmark's cells"):
        Journal(bad)
