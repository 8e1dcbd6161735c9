"""`strata plan` and `strata generate PROMPT` with a scripted language model: files, resuming, failures, refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import strata.engine as strata_engine
from strata.cli import main
from strata.contents import run_files
from strata.hierarchy.plan import ScenePlan
from strata.llm.errors import LlmError
from strata.llm.protocol import Question
from strata.plan_table import plan_lines
from strata.planning import is_file, slug
from tests.cli.conftest import Run
from tests.cli.test_errors import refused
from tests.llm.scripted import ScriptedBackend, prompt_of, sensible

PROMPT = "a boat and a white cloud"
LIST = "# three prompts\n\na boat and a cloud\n  a castle and a tree\r\na mill and a horse\n"
NAMES = ["0001-a-boat-and-a-cloud.yaml", "0002-a-castle-and-a-tree.yaml", "0003-a-mill-and-a-horse.yaml"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a list of prompts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text(LIST, encoding="utf-8")
    return tmp_path


def write_rows(*rows: object) -> None:
    Path("rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def plans(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).glob("*.yaml"))


def dies_after(answers: int) -> Callable[[Question], str]:
    """A server that answers so many questions and is gone then."""
    left = [answers]

    def answer(question: Question) -> str:
        left[0] -= 1
        if left[0] < 0:
            raise LlmError("http://gone:8000/v1: connection refused", again=True)
        return sensible(question)

    return answer


# One prompt -----------------------------------------------------------------------------------------------------------


def test_one_prompt_is_shown_and_written(strata: Run, llm: ScriptedBackend) -> None:
    done = strata("plan", PROMPT)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "128x128 pixels, 2 regions, planned by script-1",
        "",
        "region       place  box                 high           low",
        "boat         left   [0, 13, 64, 115]    a boat",
        "white cloud  right  [64, 13, 128, 115]  a white cloud",
        "",
        f"base prompt: {PROMPT}",
        "",
        "out/plans/a-boat-and-a-white-cloud.yaml",
    ]
    plan = ScenePlan.load("out/plans/a-boat-and-a-white-cloud.yaml")
    assert plan.provenance is not None
    assert plan.provenance["planner"]["prompt"] == PROMPT  # type: ignore[index,call-overload]
    assert llm.closed

    again = strata("plan", PROMPT)
    assert again.out.splitlines()[-1] == "out/plans/a-boat-and-a-white-cloud-2.yaml"
    assert len(llm.asked) == 2, "the second plan came from the cache"
    assert strata("plan", PROMPT, "--no-cache", "--force").code == 0
    assert len(llm.asked) == 4
    assert len(plans("out/plans")) == 2


def test_where_one_plan_goes(strata: Run, llm: ScriptedBackend) -> None:
    assert strata("plan", PROMPT, "-o", "new/folder").out.endswith("new/folder/a-boat-and-a-white-cloud.yaml\n")
    assert strata("plan", PROMPT, "-o", "new/x.yaml/").out.endswith("new/x.yaml/a-boat-and-a-white-cloud.yaml\n")
    assert strata("plan", PROMPT, "-o", "new/own.json").out.endswith("new/own.json\n")
    assert ScenePlan.load("new/own.json") == ScenePlan.load("new/folder/a-boat-and-a-white-cloud.yaml")
    refused(strata("plan", PROMPT, "-o", "new/own.json"), "new/own.json", "--resume", "--force")
    assert strata("plan", PROMPT, "-o", "new/own.json", "--resume", "--no-cache").code == 0
    assert len(llm.asked) == 2


def test_options_reach_the_planner(strata: Run, llm: ScriptedBackend) -> None:
    Path("draft.yaml").write_text("regions:\n  - {name: mine, box: [0, 0, 100, 100]}\nbackground: {high: the sea}\n")
    options = ("--width", 200, "--height", 100, "--regions", 3, "--style", "ink", "--draft", "draft.yaml", "--one-call")
    done = strata("plan", "a boat", *options, "-o", "plan.yaml")
    assert done.code == 0, done.err
    plan = ScenePlan.load("plan.yaml")
    assert (plan.width, plan.height, plan.low) == (200, 100, "ink")
    assert [region.name for region in plan.regions] == ["mine", "boat", "boat 2"]
    assert plan.regions[0].box == (0, 0, 100, 100)
    assert len(llm.asked) == 1

    assert strata("plan", "a boat", "--llm", "http://localhost:1/v1", "-o", "large.yaml").code == 0
    assert ScenePlan.load("large.yaml").width == 1024
    llm.answer = lambda question: "nonsense"
    llm.asked.clear()
    refused(strata("plan", "a tree", "--attempts", "2"), 'prompt "a tree"', "2 attempts")
    assert len(llm.asked) == 2
    assert not Path("out/plans").exists()


def test_the_draft_settles_the_canvas(strata: Run, llm: ScriptedBackend) -> None:
    Path("draft.yaml").write_text("width: 120\nheight: 80\nregions: [{box: [0, 0, 60, 80]}]\n")
    assert strata("plan", "a boat", "--draft", "draft.yaml", "-o", "plan.yaml").code == 0
    plan = ScenePlan.load("plan.yaml")
    assert (plan.width, plan.height, plan.regions[0].box) == (120, 80, (0, 0, 60, 80))


def test_notes_tell_what_is_off(strata: Run, llm: ScriptedBackend) -> None:
    def answer(question: Question) -> str:
        data = json.loads(sensible(question))
        if question.task == "layout":
            data["objects"][0] |= {"content": "a purple boat", "box": [500, 100, 20, 900]}
        return json.dumps(data)

    llm.answer = answer
    lines = strata("plan", "a boat and a cloud").out.splitlines()
    assert any(line.startswith("repaired: ") for line in lines)
    assert any(line.startswith("not in the prompt: purple (purple boat)") for line in lines)


def test_the_table_fits_the_terminal() -> None:
    words = "a very long description of something with many words "
    plan = ScenePlan.model_validate(
        {
            "width": 1024,
            "height": 1024,
            "prompt": words * 5,
            "low": words,
            "regions": [
                {"name": "a", "box": [0, 0, 512, 1024], "high": words * 3, "low": words * 2},
                {"name": "b" * 60, "polygon": [[600, 10], [1000, 20], [700, 300]], "full": words},
            ],
            "background": {"high": "the sea"},
        }
    )
    for width in (100, 160):
        lines = plan_lines(plan, width)
        assert max(map(len, lines)) <= width
        text = " ".join(" ".join(lines).split())
        for part in ("place", "full", "polygon, 3 corners", "top right", "(background)", "(whole image)"):
            assert part in text


# A file of prompts ----------------------------------------------------------------------------------------------------


def test_a_text_file(strata: Run, llm: ScriptedBackend) -> None:
    done = strata("plan", "prompts.txt")
    assert (done.code, done.err) == (0, "")
    assert done.out == "out/plans/prompts: 3 plans\n"
    assert plans("out/plans/prompts") == NAMES
    assert ScenePlan.load(f"out/plans/prompts/{NAMES[1]}").prompt == "a castle and a tree"
    assert strata("plan", "prompts.txt", "-o", "b").out == "b: 3 plans (3 from the cache)\n"
    assert len(llm.asked) == 6


def test_rows_of_json(strata: Run, llm: ScriptedBackend) -> None:
    write_rows(
        {"prompt": PROMPT, "name": "Größe.2", "width": 32, "height": 16, "regions": 1, "style": "ink"},
        {"prompt": "a tree"},
    )
    assert strata("plan", "rows.jsonl", "-o", "a", "--width", 192, "--style", "oil").code == 0
    assert plans("a") == ["0002-a-tree.yaml", "Größe.2.yaml"]
    first, second = ScenePlan.load("a/Größe.2.yaml"), ScenePlan.load("a/0002-a-tree.yaml")
    assert (first.width, first.height, first.low, len(first.regions)) == (32, 16, "ink", 1)
    assert (second.width, second.height, second.low) == (192, 128, "oil")


def test_a_failed_prompt_does_not_stop_the_rest(strata: Run, llm: ScriptedBackend) -> None:
    llm.answer = lambda question: "{" if "castle" in prompt_of(question) else sensible(question)
    done = strata("plan", "prompts.txt", "-o", "a")
    assert done.code == 2
    assert done.out == "a: 2 plans\n"
    failure, count = done.err.splitlines()
    assert failure.startswith('strata: error: prompts.txt:4: prompt "a castle and a tree": ')
    assert count == "strata: error: 1 of 3 prompts failed; a/failed.jsonl lists them"
    (row,) = map(json.loads, Path("a/failed.jsonl").read_text().splitlines())
    assert row["prompt"] == "a castle and a tree"
    assert row["error"] in failure
    assert row["plan"] == NAMES[1]
    assert plans("a") == [NAMES[0], NAMES[2]]

    llm.answer = sensible
    llm.asked.clear()
    again = strata("plan", "prompts.txt", "-o", "a", "--resume")
    assert (again.code, again.err) == (0, "")
    assert again.out == "a: 3 plans (2 there before)\n"
    assert set(llm.asked) == {"a castle and a tree"}
    assert not Path("a/failed.jsonl").exists()


def test_plans_that_are_there(strata: Run, llm: ScriptedBackend) -> None:
    assert strata("plan", "prompts.txt", "-o", "a").code == 0
    llm.asked.clear()
    before = {name: (Path("a") / name).read_bytes() for name in NAMES}
    refused(strata("plan", "prompts.txt", "-o", "a", "--no-cache"), f"a/{NAMES[0]}", "--resume", "--force")
    assert not llm.asked

    same = strata("plan", "prompts.txt", "-o", "a", "--resume", "--no-cache")
    assert same.out == "a: 3 plans (3 there before)\n"
    assert not llm.asked
    other = strata("plan", "prompts.txt", "-o", "a", "--resume", "--style", "ink")
    assert other.out == "a: 3 plans\n"
    assert ScenePlan.load(f"a/{NAMES[0]}").low == "ink", "planned otherwise, it is planned anew"
    assert strata("plan", "prompts.txt", "-o", "a", "--force").code == 0
    assert {name: (Path("a") / name).read_bytes() for name in NAMES} == before

    own = "width: 8\nheight: 8\nprompt: my own\n"
    (Path("a") / NAMES[2]).write_text(own)
    refused(strata("plan", "prompts.txt", "-o", "a", "--resume"), NAMES[2], "not written by a planner", "--force")
    assert (Path("a") / NAMES[2]).read_text() == own


def test_a_server_that_was_never_there(strata: Run, llm: ScriptedBackend, folder: Path) -> None:
    llm.answer = dies_after(0)
    refused(strata("plan", "prompts.txt", "-o", "a"), "http://gone:8000/v1: connection refused")
    assert not (folder / "a").exists()
    refused(strata("plan", PROMPT), "http://gone:8000/v1: connection refused")


def test_a_server_that_dies_in_the_middle(strata: Run, llm: ScriptedBackend) -> None:
    Path("many.txt").write_text("".join(f"a boat number {i} and a cloud\n" for i in range(50)))
    llm.answer = dies_after(31)
    done = strata("plan", "many.txt", "-o", "a")
    there = plans("a")
    assert 10 <= len(there) <= 15
    refused(done, "connection refused", f"{len(there)} of 50 plans are in a", "--resume")
    assert not Path("a/failed.jsonl").exists()

    llm.answer = sensible
    llm.asked.clear()
    again = strata("plan", "many.txt", "-o", "a", "--resume", "--no-cache")
    assert again.out == f"a: 50 plans ({len(there)} there before)\n"
    assert len(llm.asked) == 2 * (50 - len(there))


def test_ctrl_c_keeps_what_arrived(strata: Run, llm: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    save = ScenePlan.save

    def interrupt(plan: ScenePlan, path: Path) -> None:
        save(plan, path)
        if path.parent.name == "a" and len(plans("a")) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ScenePlan, "save", interrupt)
    done = strata("plan", "prompts.txt", "-o", "a")
    assert done.code == 130
    note, last = done.err.splitlines()
    assert note.startswith("strata: note: ")
    assert "of 3 plans are in a; --resume plans the rest" in note
    assert last == "strata: interrupted"
    assert len(plans("a")) == 2
    assert llm.closed


def test_a_light_start() -> None:
    """The planning of prompts by a server needs neither torch nor diffusers."""
    import subprocess
    import sys

    code = "import sys, strata.commands.plan, strata.llm.many; print({'torch', 'diffusers', 'vllm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


# What cannot be planned -----------------------------------------------------------------------------------------------

ROWS: list[tuple[str, tuple[str, ...]]] = [
    (
        '{"prompt": "a"}\n{"promt": "b"}',
        ("rows.jsonl:2: promt: unknown key", "did you mean 'prompt'", "regions, style"),
    ),
    ('{"width": 64}', ("rows.jsonl:1: prompt: missing",)),
    ('\n\n{"prompt": ""}', ("rows.jsonl:3: prompt: ''", "must not be empty")),
    ('{"prompt": 7}', ("rows.jsonl:1: prompt: 7", "string")),
    ('{"prompt": "a\\u0000b"}', ("rows.jsonl:1: prompt", "U+0000")),
    ('{"prompt": "a", "width": 0}', ("rows.jsonl:1: width: 0",)),
    ('{"prompt": "a", "width": "64"}', ("rows.jsonl:1: width: '64'", "number")),
    ('{"prompt": "a", "height": 10000}', ("rows.jsonl:1: height: 10000", "8192")),
    ('{"prompt": "a", "regions": 17}', ("rows.jsonl:1: regions: 17", "16")),
    ('{"prompt": "a", "regions": 1.5}', ("rows.jsonl:1: regions: 1.5",)),
    ('{"prompt": "a", "style": null, "name": "../b"}', ("rows.jsonl:1: name: '../b'", "letters, digits")),
    ('{"prompt": "a", "name": ".b"}', ("rows.jsonl:1: name: '.b'",)),
    ('{"prompt": "a", "name": "x"}\n{"prompt": "b", "name": "X"}', ("rows.jsonl:2: name: 'X'", "line 1")),
    ('{"prompt": "a", "prompt": "b"}', ("rows.jsonl:1: key 'prompt'", "already given")),
    ('{"prompt": "a"}\n{"prompt": "b"', ("rows.jsonl:2: not valid JSON",)),
    ('{"prompt": "a"}\n{"prompt": NaN}', ("rows.jsonl:2: not valid JSON", "NaN")),
    ('"a boat"', ("rows.jsonl:1: must be a JSON mapping", "a boat")),
    ("[" * 100_000, ("rows.jsonl:1: nested more than 64 levels deep",)),
    ("\n\n", ("rows.jsonl: holds no prompt",)),
]


@pytest.mark.parametrize(("text", "parts"), ROWS, ids=lambda value: str(value)[:40])
def test_bad_rows(text: str, parts: tuple[str, ...], strata: Run, llm: ScriptedBackend, folder: Path) -> None:
    Path("rows.jsonl").write_text(text, encoding="utf-8")
    before = set(folder.rglob("*"))
    refused(strata("plan", "rows.jsonl"), *parts)
    assert not llm.asked
    assert set(folder.rglob("*")) == before


PLAN_CASES: list[tuple[list[str], tuple[str, ...]]] = [
    (["plan"], ("required: PROMPT", "strata plan --help")),
    (["plan", ""], ("prompt is empty",)),
    (["plan", " \n"], ("prompt is empty",)),
    (["plan", "missing.txt"], ("missing.txt", "No such file")),
    (["plan", "no/such"], ("no/such", "No such file")),
    (["plan", "plan.yaml"], ("plan.yaml", "'.yaml'", ".txt or .jsonl")),
    (["plan", "typo.yml"], ("typo.yml", "No such file")),
    (["plan", "."], (".: is a folder", ".txt")),
    (["plan", "latin.txt"], ("latin.txt", "UTF-8")),
    (["plan", "empty.txt"], ("empty.txt: holds no prompt",)),
    (["plan", "prompts.txt", "-o", "x.yaml"], ("-o x.yaml", "must be a folder")),
    (["plan", "prompts.txt", "-o", "plan.yaml/x"], ("-o plan.yaml/x", "cannot be written")),
    (["plan", "prompts.txt", "--regions", "40"], ("prompts.txt:3: regions: 40", "16")),
    (["plan", PROMPT, "--regions", "0"], ("--regions", "'0'")),
    (["plan", PROMPT, "--regions", "17"], ("regions: 17", "16")),
    (["plan", PROMPT, "--width", "9000"], ("width: 9000", "8192")),
    (["plan", PROMPT, "--draft", "missing.yaml"], ("missing.yaml", "No such file")),
    (["plan", PROMPT, "--draft", "plan.yaml"], ("plan.yaml:3: prompt", "unknown key")),
    (["plan", PROMPT, "--draft", "draft.yaml", "--regions", "1"], ("regions: 1", "2")),
    (["plan", PROMPT, "--draft", "draft.yaml", "--style", "ink"], ("style", "draft")),
    (["plan", PROMPT, "--instructions", "nowhere"], ("nowhere", "layout.md")),
    (["plan", PROMPT, "--attempts", "0"], ("--attempts", "'0'")),
    (["plan", PROMPT, "--llm-timeout", "0"], ("--llm-timeout", "'0'", "above 0")),
    (["plan", PROMPT, "--llm", "http://localhost:1/v1", "--concurrency", "3"], ("--concurrency 3", "files of prompts")),
    (["plan", "prompts.txt", "--concurrency", "3"], ("--concurrency 3", "servers", "miniature")),
    (["plan", "prompts.txt", "--llm-timeout", "3"], ("--llm-timeout 3", "servers", "miniature")),
    (["plan", PROMPT, "--resume", "--force"], ("--force", "--resume")),
    (["plan", PROMPT, "--style", "ink", "extra"], ("extra",)),
]


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "plan.yaml").write_text("width: 32\nheight: 32\nprompt: a ring\n")
    (folder / "draft.yaml").write_text("style: oil\nregions: [{high: a boat}, {high: a tree}]\n")
    (folder / "latin.txt").write_bytes("ein Gemälde".encode("latin-1"))
    (folder / "empty.txt").write_text("# nothing yet\n\n")
    return folder


@pytest.mark.parametrize(("arguments", "parts"), PLAN_CASES, ids=lambda value: " ".join(value)[:60])
def test_bad_input(
    arguments: list[str], parts: tuple[str, ...], strata: Run, llm: ScriptedBackend, files: Path
) -> None:
    before = set(files.rglob("*"))
    refused(strata(*arguments), *parts)
    assert not llm.asked
    assert set(files.rglob("*")) == before


@pytest.mark.parametrize("command", ["plan", "generate"])
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--llm", "gpt"], ("'gpt'", "miniature", "http", "vllm:")),
        (["--llm", "localhost:8000"], ("'localhost:8000'", "http://")),
        (["--llm-model", "qwen"], ("qwen", "miniature")),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_what_is_no_llm(command: str, options: list[str], parts: tuple[str, ...], strata: Run, folder: Path) -> None:
    before = set(folder.rglob("*"))
    refused(strata(command, PROMPT, *options), *parts)
    assert set(folder.rglob("*")) - before <= {folder / "out"}


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("plan.yaml", True),
        ("out/plan/image.png", True),
        ("prompts.txt", True),
        ("plan.jsn", True),
        ("plans\\mine", True),
        ("nul\0.yaml", True),
        (".", True),
        ("lighthouse", False),
        ("my plan.yaml", True),
        ("a logo for strata.yaml in blue", False),
        ("灯台", False),
        ("x" * 5000, False),
        ("", False),
    ],
)
def test_files_and_prompts_are_told_apart(source: str, file: bool, folder: Path) -> None:
    assert is_file(source) is file


@pytest.mark.parametrize(
    ("prompt", "short"),
    [
        ("A red striped circle", "a-red-striped-circle"),
        ("Crème brûlée, 2 × über/../etc", "creme-brulee-2-uber-etc"),
        ("灯台", "prompt"),
        ("a red striped circle on the left and a blue square", "a-red-striped-circle-on-the-left-and-a"),
        ("x" * 99, "x" * 40),
    ],
)
def test_slugs(prompt: str, short: str) -> None:
    assert slug(prompt) == short


# strata generate "a prompt" -------------------------------------------------------------------------------------------


def test_draws_a_prompt(
    strata: Run, llm: ScriptedBackend, folder: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = strata_engine.load_pipeline

    def load_after_the_llm(*arguments: object) -> object:
        assert llm.closed, "one GPU serves both"
        return load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(strata_engine, "load_pipeline", load_after_the_llm)
    options = ("--model", tiny_folder, "--steps", 1, "--seed", 3, "--width", 32, "--height", 48)
    done = strata("generate", PROMPT, *options, "--style", "ink")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "32x48 pixels, 2 regions, planned by script-1"
    assert "boat           left   [0, 5, 16, 43]   a boat" in lines
    out = folder / "out" / "a-boat-and-a-white-cloud"
    assert f"{out.relative_to(folder)}/image.png  seed 3" in done.out
    plan = ScenePlan.load(out / "plan.yaml")
    assert plan.provenance is not None
    assert plan.provenance["planner"]["prompt"] == PROMPT  # type: ignore[index,call-overload]
    assert plan.low == "ink"
    with Image.open(out / "image.png") as image:
        assert image.size == (32, 48)

    assert strata("generate", out / "image.png", "--model", tiny_folder, "-o", "again").code == 0
    assert ScenePlan.load("again/plan.yaml") == plan
    assert len(llm.asked) == 2


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--routing", "nope"], ("'nope'", "uniform")),
        (["--routing", "deep.yaml"], ("deep.yaml:3: rules[0].single", "3 single")),
        (["--image", "gone.png"], ("gone.png", "No such file")),
        (["--mask-image", "gone.png"], ("gone.png",)),
        (["--true-cfg", "4"], ("--true-cfg 4", "negative_prompt")),
        (["--draft", "negative.yaml"], ("negative_prompt", "--true-cfg")),
        (["--device", "cuda"], ("'cuda'", "not available")),
        (["--offload"], ("--offload", "CPU")),
        (["--width", "30"], ("--width 30", "multiple of 4")),
        (["--out", "taken"], ("--out taken", "layout.png", "--force")),
        (["--regions", "17"], ("regions: 17", "16")),
        (["--model", "./nothing"], ("'./nothing'", "no such folder")),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_everything_is_checked_before_the_llm_is_asked(
    options: list[str], parts: tuple[str, ...], strata: Run, llm: ScriptedBackend, folder: Path, tiny_folder: Path
) -> None:
    import torch

    if torch.cuda.is_available() and {"cuda", "--offload"} & set(options):
        pytest.skip("needs a machine without CUDA")
    Path("deep.yaml").write_text("name: deep\nrules:\n  - {level: high, single: 0-37}\n")
    Path("negative.yaml").write_text("negative_prompt: blurry\n")
    Path("taken").mkdir()
    Path("taken/layout.png").write_bytes(b"")
    before = set(folder.rglob("*"))
    model = [] if "--model" in options else ["--model", str(tiny_folder)]
    refused(strata("generate", PROMPT, *model, *options), *parts)
    assert not llm.asked
    assert set(folder.rglob("*")) == before


def test_planner_options_are_for_prompts(strata: Run, llm: ScriptedBackend, files: Path) -> None:
    done = strata("generate", "plan.yaml", "--style", "ink", "--one-call", "--llm", "miniature")
    refused(done, "--llm, --style, --one-call", "plan.yaml")


def test_nothing_is_left_of_a_run_without_a_picture(
    strata: Run, llm: ScriptedBackend, folder: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the first picture is drawn: the same command works again."""
    from strata.injection.pipeline import RegionalPipeline

    command = ["generate", PROMPT, "--model", str(tiny_folder), "--width", "32", "--height", "32", "--steps", "1"]
    with monkeypatch.context() as patch:

        def interrupt(*arguments: object, **options: object) -> object:
            raise KeyboardInterrupt

        patch.setattr(RegionalPipeline, "__call__", interrupt)
        assert main([*command, "-o", "run"]) == 130
    assert not (folder / "run").exists()
    assert main([*command, "-o", "run"]) == 0
    assert len(llm.asked) == 2, "the plan was kept in the cache"

    llm.answer = lambda question: "nonsense"
    refused(strata("generate", "a tree", *command[2:], "-o", "other"), 'prompt "a tree"')
    assert not (folder / "other").exists()


# Out of the box -------------------------------------------------------------------------------------------------------

SENTENCE = "a red striped circle on the left and a blue dotted square on the right"


def test_a_sentence_is_drawn_out_of_the_box(strata: Run, folder: Path) -> None:
    """The bundled planner and the bundled image model, nothing else."""
    done = strata("generate", SENTENCE, "--seed", 1)
    assert (done.code, done.err) == (0, "")
    out = folder / "out" / "a-red-striped-circle-on-the-left-and-a"
    names = {path.name for path in out.iterdir()}
    assert names == set(run_files(1, previews=True))
    plan = ScenePlan.load(out / "plan.yaml")
    assert (plan.width, plan.height) == (128, 128)
    assert [(region.high, region.low) for region in plan.regions] == [
        ("a circle", "red, striped"),
        ("a square", "blue, dotted"),
    ]
    rows = [line.split() for line in done.out.splitlines() if line.startswith(("circle", "square"))]
    assert [row[:2] for row in rows] == [["circle", "left"], ["square", "right"]]


def test_a_list_out_of_the_box(strata: Run, folder: Path) -> None:
    """What the bundled planner does not understand is refused, with what it does and what to do, and the rest drawn."""
    Path("prompts.txt").write_text(f"{SENTENCE}\na lighthouse at dusk\na green star in the center\n")
    done = strata("plan", "prompts.txt", "-o", "a")
    assert done.code == 2
    assert plans("a") == ["0001-a-red-striped-circle-on-the-left-and-a.yaml", "0003-a-green-star-in-the-center.yaml"]
    assert 'prompts.txt:2: prompt "a lighthouse at dusk"' in done.err
    assert "strata serve-llm" in done.err


def test_prompts_outside_the_bundled_language_are_refused(strata: Run, folder: Path) -> None:
    """For every image model, and with nothing left behind."""
    for command in (["plan"], ["generate"]):
        done = strata(*command, "a lighthouse at dusk")
        refused(done, '"lighthouse"', "circle, square", "--llm http://", "strata serve-llm")
    assert not list((folder / "out").rglob("*.*"))
