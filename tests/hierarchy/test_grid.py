"""Pixels to image tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from strata.hierarchy.errors import InputError
from strata.hierarchy.grid import TokenGrid, covered_tokens, nearest_tokens, token_grid
from strata.hierarchy.plan import ScenePlan

from .plans import plans

sides = st.integers(1, 12)


def plan_of(*regions: dict[str, Any], **plan: Any) -> ScenePlan:
    named = [{"name": f"r{index}", "full": "x", **region} for index, region in enumerate(regions)]
    return ScenePlan.model_validate({"width": 64, "height": 64, "prompt": "", **plan, "regions": named})


def grid_of(plan: ScenePlan, rows: int, cols: int) -> TokenGrid:
    """The grid; another plan is tried where a region is too small or lost."""
    try:
        return token_grid(plan, rows, cols)
    except InputError:
        reject()


@given(plans(masks=False), sides, sides)
def test_atoms_partition_the_grid(plan: ScenePlan, rows: int, cols: int) -> None:
    grid = grid_of(plan, rows, cols)
    atoms = grid.atoms()
    assert np.sort(np.concatenate([atom.tokens for atom in atoms])).tolist() == list(range(rows * cols))
    assert len({atom.members for atom in atoms}) == len(atoms)
    assert [atom.members for atom in atoms] == sorted(atom.members for atom in atoms)
    for atom in atoms:
        assert len(atom.tokens) > 0
        assert atom.tokens.dtype == np.int64
        assert (np.diff(atom.tokens) > 0).all()
        for index in range(len(plan.regions)):
            assert (grid.masks[index].ravel()[atom.tokens] == (index in atom.members)).all()


@given(plans(masks=False), sides, sides)
def test_background_is_exactly_what_no_region_holds(plan: ScenePlan, rows: int, cols: int) -> None:
    """1 - sum of the masks, as published, goes negative where regions overlap; a count of regions never does."""
    grid = grid_of(plan, rows, cols)
    held = grid.masks.sum(axis=0)
    assert grid.background.dtype == np.bool_
    assert (grid.background == (held == 0)).all()
    assert grid.masks.any(axis=(1, 2)).all()
    for index in range(len(plan.regions)):
        assert grid.region_tokens(index).tolist() == np.flatnonzero(grid.masks[index].ravel()).tolist()
    if plan.overlap == "priority":
        assert held.max(initial=0) <= 1


@given(plans(masks=False), sides, sides)
def test_priority_gives_each_token_to_the_highest_then_latest(plan: ScenePlan, rows: int, cols: int) -> None:
    union = grid_of(plan.model_copy(update={"overlap": "union"}), rows, cols)
    alone = grid_of(plan.model_copy(update={"overlap": "priority"}), rows, cols)
    for row in range(rows):
        for col in range(cols):
            there = np.flatnonzero(union.masks[:, row, col]).tolist()
            winner = max(there, key=lambda index: (plan.regions[index].priority, index), default=None)
            assert np.flatnonzero(alone.masks[:, row, col]).tolist() == ([] if winner is None else [winner])


@given(plans(masks=False), sides, sides)
def test_split_gives_each_token_to_the_nearest_region_and_those_around_it(
    plan: ScenePlan, rows: int, cols: int
) -> None:
    union = grid_of(plan.model_copy(update={"overlap": "union"}), rows, cols).masks
    alone = grid_of(plan.model_copy(update={"overlap": "split"}), rows, cols).masks
    sizes, middles = union.sum((1, 2)), [np.argwhere(mask).mean(0) for mask in union]

    def lies_in(inner: int, outer: int) -> bool:
        return bool(sizes[inner] < sizes[outer] and (union[inner] & union[outer]).sum() >= 0.9 * sizes[inner])

    assert (alone.any(0) == union.any(0)).all()
    assert alone.any((1, 2)).all()
    whole = {n for n in range(len(union)) if (alone[n] == union[n]).all()}
    for row, col in np.ndindex(rows, cols):
        there = np.flatnonzero(union[:, row, col]).tolist()
        innermost = [n for n in there if not any(lies_in(other, n) for other in there)]
        apart = {n: np.linalg.norm(middles[n] - (row, col)) / np.sqrt(sizes[n]) for n in innermost}
        for n in np.flatnonzero(alone[:, row, col]).tolist():
            nearest = n in apart and apart[n] <= min(apart.values()) + 1e-4
            assert nearest or n in whole or any(lies_in(other, n) for other in innermost)


def test_split_boxes_meet_in_the_middle_and_a_nested_one_shares_its_place() -> None:
    left, right, small = ({"box": box} for box in ((0, 0, 40, 64), (24, 0, 64, 64), (0, 0, 16, 16)))
    masks = token_grid(plan_of(left, right, small, overlap="split"), 8, 8).masks
    assert np.flatnonzero(masks[0].all(0)).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(masks[1].all(0)).tolist() == [4, 5, 6, 7]
    assert not (masks[0] & masks[1]).any()
    assert masks[2].sum() == masks[2][:2, :2].sum() == 4
    same = token_grid(plan_of(left, left, right, overlap="split"), 8, 8).masks
    assert same[0].sum() == 32
    assert same[1].sum() == 40, "which has nothing of its own, and keeps all"


def test_without_regions_all_is_background() -> None:
    grid = token_grid(plan_of(), 3, 2)
    assert grid.background.all()
    assert [(atom.members, atom.tokens.tolist()) for atom in grid.atoms()] == [((), [0, 1, 2, 3, 4, 5])]


def test_known_layout() -> None:
    grid = token_grid(plan_of({"box": (0, 0, 32, 64)}, {"box": (16, 32, 48, 64)}), 4, 4)
    assert [(atom.members, atom.tokens.tolist()) for atom in grid.atoms()] == [
        ((), [2, 3, 6, 7, 11, 15]),
        ((0,), [0, 1, 4, 5, 8, 12]),
        ((0, 1), [9, 13]),
        ((1,), [10, 14]),
    ]


@pytest.mark.parametrize(("height", "width", "rows", "cols"), [(64, 64, 8, 8), (968, 1280, 60, 80), (7, 5, 9, 3)])
def test_nearest_is_that_of_torch(height: int, width: int, rows: int, cols: int) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch's own nearest-exact")
    pixels = np.random.default_rng(0).random((height, width)) < 0.5
    given_ = torch.from_numpy(pixels)[None, None].float()
    expected = torch.nn.functional.interpolate(given_, size=(rows, cols), mode="nearest-exact")[0, 0].bool().numpy()
    assert (nearest_tokens(pixels, rows, cols) == expected).all()


@given(st.integers(1, 30), st.integers(1, 30), sides, sides, st.data())
def test_coverage_counts_half_or_more(height: int, width: int, rows: int, cols: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    pixels = np.reshape(bits, (height, width))
    fine = np.kron(pixels, np.ones((rows, cols), dtype=bool))  # one fine pixel never lies in two tokens
    share = fine.reshape(rows, height, cols, width).mean(axis=(1, 3))
    tokens = covered_tokens(pixels, rows, cols)
    if share.max() >= 0.5:
        assert (tokens == (share >= 0.5)).all()
    else:
        sure = (share > share.max() / 2 + 1e-6) & pixels.any()
        never = (share < share.max() / 2 - 1e-6) | (share == 0)
        assert tokens[sure].all()
        assert not tokens[never].any()
    assert tokens.any() == pixels.any()


@pytest.mark.parametrize(
    ("first", "second", "held"),
    [
        (8, 5, [True, True]),
        (8, 4, [True, True]),
        (8, 3, [True, False]),
        (8, 0, [True, False]),
        (10, 9, [True, False]),  # the first holds half
        (10, 10, [True, True]),
    ],
)
def test_below_half_a_token_counts_from_half_of_the_best_covered_one(first: int, second: int, held: list[bool]) -> None:
    pixels = np.zeros((1, 40), dtype=bool)
    pixels[0, :first] = pixels[0, 20 : 20 + second] = True
    assert covered_tokens(pixels, 1, 2)[0].tolist() == held


def test_a_thin_line_survives_by_coverage_only() -> None:
    line = {"polygon": [(2, 2), (4, 2), (62, 60), (60, 60)]}
    with_coverage = token_grid(plan_of(line, grid="coverage"), 8, 8)
    assert (with_coverage.masks[0] == np.eye(8, dtype=bool)).all()
    with pytest.raises(InputError, match="'r0' holds no image token"):
        token_grid(plan_of({"box": (1, 0, 3, 64)}), 8, 8)
    assert token_grid(plan_of({"box": (1, 0, 3, 64)}, grid="coverage"), 8, 8).masks[0, :, 0].all()


def test_a_lost_region_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"regions\[0\]: region 'r0' holds no image token: it spans 3x2 pixels where a token is 8x16"
    ):
        token_grid(plan_of({"box": (0, 0, 3, 2)}), 4, 8)
    shared = {"box": (0, 0, 32, 32)}
    with pytest.raises(InputError, match=r"'r0' loses all its tokens to 'r1' \(overlap: priority\)"):
        token_grid(plan_of(shared, shared, overlap="priority"), 8, 8)
    with pytest.raises(InputError, match="'r1' loses all its tokens to 'r0'"):
        token_grid(plan_of({**shared, "priority": 1}, shared, overlap="priority"), 8, 8)
    elsewhere = {"box": (32, 32, 64, 64), "priority": 2}
    with pytest.raises(InputError, match=r"'r0' loses all its tokens to 'r1' \("):
        token_grid(plan_of(shared, shared, elsewhere, overlap="priority"), 8, 8)
    with pytest.raises(InputError, match="'r0' is empty: it covers no pixel"):
        token_grid(plan_of({"polygon": [(0, 0), (9, 9), (20, 20)]}, grid="coverage"), 8, 8)
    (tmp_path / "plan.yaml").write_text(plan_of({"mask": "none.png"}).to_yaml())
    with pytest.raises(InputError, match=r"plan\.yaml:6: regions\[0\]\.mask: mask file '.*none\.png': not found"):
        token_grid(ScenePlan.load(tmp_path / "plan.yaml"), 8, 8)
    with pytest.raises(InputError, match="at least one row"):
        token_grid(plan_of(), 0, 8)


def test_masks_cannot_be_changed_by_accident() -> None:
    grid = token_grid(plan_of({"box": (0, 0, 32, 64)}), 4, 4)
    with pytest.raises(ValueError, match="read-only"):
        grid.masks[0, 0, 0] = False
    with pytest.raises(ValueError, match="read-only"):
        grid.background[0, 0] = False


@pytest.mark.parametrize("name", ["two", "three", "four"])
def test_example_plans_fit_the_miniature(name: str) -> None:
    plan = ScenePlan.load(Path(__file__).parents[2] / "configs" / "plans" / f"{name}_regions.yaml")
    grid = token_grid(plan, 8, 8)
    assert grid.background.any()
    assert grid.masks.sum(axis=0).max() == 1
    assert grid.masks.sum(axis=(1, 2)).min() >= 12
