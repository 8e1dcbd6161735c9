"""Hypothesis strategies for plans."""

from hypothesis import strategies as st

from strata.hierarchy.plan import RESERVED_NAMES, Region, ScenePlan, Strength, Texts

texts = st.text(min_size=1, max_size=30).map(str.strip).filter(lambda text: text.isprintable() and text != "")
names = texts.filter(lambda name: not set(name) & set("/\\") and name not in RESERVED_NAMES)
fractions = st.floats(0, 1)
levels = st.fixed_dictionaries({}, optional={"high": texts, "low": texts, "full": texts}).filter(bool)


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> tuple[int, int, int, int]:
    """A box inside the canvas."""
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))


@st.composite
def regions(draw: st.DrawFn, name: str, width: int, height: int, masks: bool) -> Region:
    """A region of any kind; mask files are only named, not made."""
    kind = draw(st.sampled_from(["box", "polygon", "mask"] if masks else ["box", "polygon"]))
    values: dict[str, object] = dict(draw(levels))
    if kind == "box":
        values["box"] = draw(boxes(width, height))
    elif kind == "polygon":
        inside = st.tuples(st.floats(0, width, exclude_max=True), st.floats(0, height, exclude_max=True))
        anywhere = st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
        middle = (width / 2, height / 2)
        values["polygon"] = [middle, *draw(st.lists(inside | anywhere, min_size=2, max_size=6))]
    else:
        values |= {"mask": draw(names) + ".png", "mask_threshold": draw(st.floats(0.01, 1))}
    strength = draw(st.builds(Strength, high=fractions, low=fractions, full=fractions) | st.just(Strength()))
    return Region.model_validate({"name": name, "strength": strength, "priority": draw(st.integers(-3, 3)), **values})


@st.composite
def plans(draw: st.DrawFn, masks: bool = True) -> ScenePlan:
    """Any plan on a small canvas."""
    width, height = draw(st.integers(1, 100)), draw(st.integers(1, 100))
    chosen = draw(st.lists(names, max_size=4, unique=True))
    return ScenePlan(
        width=width,
        height=height,
        prompt=draw(texts | st.just("")),
        negative_prompt=draw(st.none() | texts),
        high=draw(st.none() | texts),
        low=draw(st.none() | texts),
        regions=tuple(draw(regions(name, width, height, masks)) for name in chosen),
        background=draw(st.none() | levels.map(Texts.model_validate)),
        overlap=draw(st.sampled_from([None, "union", "priority", "split"])),
        grid=draw(st.sampled_from(["nearest", "coverage"])),
        provenance=draw(st.none() | st.dictionaries(texts, st.integers() | texts | st.lists(fractions))),
    )
