"""The commands that need no model, the help, and the program as a process of its own."""

import json
import os
import subprocess
import sys
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import strata as package
from strata.layers.routing import DEFAULT_ROUTING, presets
from tests.cli.conftest import Run
from tests.rarely import rarely

CONFIGS = Path(__file__).parents[2] / "configs"


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "strata", *arguments], capture_output=True, text=True, check=False)


def test_layout(strata: Run, here: Path) -> None:
    done = strata("layout", "plan.yaml")
    assert (done.code, done.out, done.err) == (0, "layout.png\n", "")
    Image.new("RGB", (32, 48), "red").save("drawn.png")
    assert strata("layout", "plan.yaml", "--image", "drawn.png", "-o", "new/over.png").out == "new/over.png\n"
    with Image.open("layout.png") as plain, Image.open("new/over.png") as over:
        assert plain.size == over.size
        assert plain.tobytes() != over.tobytes()


def test_routing_list_names_every_preset(strata: Run) -> None:
    done = strata("routing", "list")
    assert done.code == 0
    for name in presets():
        assert f"\n{name} " in "\n" + done.out


@pytest.mark.parametrize("name", presets())
def test_routing_show(name: str, strata: Run, tmp_path: Path) -> None:
    picture = tmp_path / "schedule.png"
    done = strata("routing", "show", name, "--model-blocks", "4+8", "--steps", 20, "-o", picture)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{name}: 4 double + 8 single blocks, 20 steps")
    assert " of 20, strength " in done.out
    with Image.open(picture) as image:
        assert image.width > 400


def test_a_routing_on_a_model_whose_first_blocks_no_routing_counts(strata: Run, tmp_path: Path) -> None:
    files: dict[str, Any] = {
        "modular_model_index": {
            "_class_name": "Flux3ModularPipeline",
            "transformer": ["diffusers", "Flux3Transformer2DModel"],
        },
        "transformer/config": {"num_layers": 5, "num_single_layers": 28},
        "vae/config": {"block_out_channels": [1, 2, 3, 4]},
    }
    for name, content in files.items():
        path = (tmp_path / name).with_suffix(".json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    beside = "not counted: 5 mode blocks before these, in which no image token sees a text"
    shown = strata("routing", "show", "coarse-to-fine", "--model", tmp_path)
    assert shown.out.startswith("coarse-to-fine: 0 double + 28 single blocks"), shown.err
    assert beside in shown.out.splitlines()
    checked = strata("routing", "check", "hard-mid", "--model", tmp_path).out.splitlines()
    assert checked[0] == "hard-mid: ok (routing 'hard-mid' on 0+28 blocks, 28 steps, ranges rescaled)"
    assert checked[-1].strip() == beside
    shown = strata("routing", "show", "uniform", "--model", "miniature").out
    assert shown.startswith("uniform: 4 double + 8 single blocks, 20 steps"), "the model's own"
    for options, message in (
        (("--model-blocks", "0+28"), "--model-blocks 0+28: are the model's; leave one of the two out"),
        ((), "--model 'owner/name': its configuration is not at hand; give --model-blocks"),
    ):
        refused = strata("routing", "show", "uniform", "--model", tmp_path if options else "owner/name", *options)
        assert (refused.code, refused.out) == (2, "")
        assert message in refused.err


def test_routing_check(strata: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: own\nrules:\n  - {level: high, single: 0-7, steps: 0%-50%}\n")
    done = strata("routing", "check", path)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"{path}: ok (routing 'own' on 19+38 blocks, 28 steps)",
        "  high: blocks single 0-7, steps 0-13 of 28, strength 1",
    ]
    anchored = strata("routing", "check", "isolate-first").out
    assert anchored.startswith(
        "isolate-first: ok (routing 'isolate-first' on 19+38 blocks, 28 steps, low texts anchored)"
    )
    assert anchored.count("regions isolated, anchored\n") == 1
    refused = strata("routing", "check", path, "--model-blocks", "4+6")
    assert refused.code == 2
    assert "own.yaml:3: rules[0].single" in refused.err


BALANCED = """\
name: own
rules: [{level: high, steps: 0%-50%}]
balance: [{regions: 1-3, area: 20%-100%, steps: 0%-40%}, {regions: 4+, base_ratio: 0.5}]
evidence: {model: miniature, scenes: 96}
"""


def test_routing_show_balanced(strata: Run, here: Path) -> None:
    Path("own.yaml").write_text(BALANCED)
    written = strata("routing", "show", "own.yaml", "--steps", 20).out
    assert written.endswith(
        "high: blocks double 0-18 and single 0-37, steps 0-9 of 20, strength 1\n"
        "balance, 1-3 regions, 20%-100% of the canvas each: steps 0%-40%\n"
        "balance, 4+ regions: base ratio 0.5\n"
        "\nevidence:\n  model: miniature\n  scenes: 96\n"
    )
    few = strata("routing", "show", "own.yaml", "--steps", 20, "--regions", 3).out
    assert "steps 0-3 of 20" in few
    assert "balance, " not in few
    small = strata("routing", "show", "own.yaml", "--steps", 20, "--regions", 3, "--area", 0.1).out
    assert "steps 0-9 of 20" in small
    assert "base ratio 0.5" in strata("routing", "show", "own.yaml", "--regions", 9).out
    assert "--area 0.1: goes with --regions" in strata("routing", "show", "own.yaml", "--area", 0.1).err
    assert "'uniform' has no balance" in strata("routing", "show", "uniform", "--regions", 2).err
    assert "balance, 4+ regions: base ratio 0.5" in strata("routing", "check", "own.yaml").out
    Path("own.yaml").write_text("name: own\nrules: [{level: high, steps: 5-9}]\n")
    refused = strata("routing", "check", "own.yaml", "--steps", 2)
    assert refused.code == 2
    assert "own.yaml:2: rules[0].steps: '5-9': index 9 is out of range (valid: 0-1) in 2 steps" in refused.err


def test_validate_reports_every_file(strata: Run, here: Path) -> None:
    Path("bad.yaml").write_text("width: 32\nheight: 32\nprompt: x\nregions: 7\n")
    Path("rules.json").write_text('{"name": "r", "rules": [{"level": "high", "depth": "0%-200%"}]}')
    Path("draft.yaml").write_text("width: 32\nheight: 48\nregions: [{mask: masks/half right.png}]\n")
    Path("uneven.yaml").write_text("width: 100\nheight: 120\nprompt: x\n")
    uniform = CONFIGS / "routings" / "uniform.yaml"
    done = strata("validate", "bad.yaml", "plan.yaml", "rules.json", uniform, "draft.yaml", "uneven.yaml")
    assert done.code == 2
    assert done.out.splitlines() == [
        "plan.yaml: ok (plan, 32x48, 2 regions)",
        f"{uniform}: ok (routing 'uniform', 3 rules)",
        "draft.yaml: ok (draft for a prompt, 1 region)",
        "uneven.yaml: ok (plan, 100x120, 0 regions; FLUX needs multiples of 16, not 100 and 120)",
    ]
    first, second = done.err.splitlines()
    assert first.startswith("strata: error: bad.yaml:4: regions")
    assert second.startswith("strata: error: rules.json:1: rules[0].depth")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("mask: none.png", "none.yaml:4: regions[0]: region 'a' is empty: no pixel reaches mask_threshold 0.5"),
        ("box: [9, 9, 15, 31]", "none.yaml:4: regions[0]: region 'a' holds no image token: it spans 6x22 pixels"),
    ],
)
def test_regions_without_a_token_are_no_valid_ones(strata: Run, here: Path, place: str, said: str) -> None:
    Image.new("L", (32, 48)).save("none.png")
    for name, grid, code in (("none", "nearest", 2), ("some", "coverage", 0 if "box" in place else 2)):
        regions = f"regions: [{{name: a, {place}, high: b}}]\n"
        Path(f"{name}.yaml").write_text(f"width: 32\nheight: 48\nprompt: x\n{regions}grid: {grid}\n")
        done = strata("validate", f"{name}.yaml")
        assert done.code == code
        assert (said.replace("none.yaml", f"{name}.yaml") in done.err) == (code == 2)


def test_bundled_files_are_valid(strata: Run) -> None:
    files = sorted(CONFIGS.rglob("*.yaml"))
    done = strata("validate", *files)
    assert (done.code, done.err) == (0, "")
    assert done.out.count(": ok (") == len(files)


def test_serve_llm_hands_its_options_on(strata: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("strata.llm.serve.serve_llm", lambda **options: seen.append(options))
    assert strata("serve-llm", "qwen", "--port", 8001, "--", "--quantization", "fp8", "--").code == 0
    assert strata("serve-llm", "qwen", "--max-model-len", 4096, "--dtype", "half", "--python", "py").code == 0
    defaults = {"host": "127.0.0.1", "port": 8000, "max_model_len": None, "dtype": "auto", "python": None, "extra": []}
    defaults |= {"model": "qwen", "gpu_memory_utilization": None}
    assert seen == [
        defaults | {"port": 8001, "extra": ["--quantization", "fp8", "--"]},
        defaults | {"max_model_len": 4096, "dtype": "half", "python": "py"},
    ]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    from strata.cli import main

    for arguments in (["--version"], ["--help"], ["generate", "--help"], ["plan", "--help"], ["serve-llm", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"strata {package.__version__}\n")
    assert "validate" in out


def test_light_commands_load_nothing_heavy() -> None:
    code = """
import sys
from strata.cli import main
for arguments in (["routing", "list"], ["routing", "show", "uniform"], ["validate", sys.argv[1]]):
    assert main(arguments) == 0
print("loaded:", *sorted({"torch", "diffusers", "transformers"} & set(sys.modules)))
"""
    plan = str(CONFIGS / "plans" / "two_regions.yaml")
    done = subprocess.run([sys.executable, "-c", code, plan], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


HEAVY = {"torch", "diffusers", "transformers", "matplotlib", "pydantic", "numpy", "PIL", "yaml"}


def test_help_and_version_load_nothing_heavy() -> None:
    for arguments in ("--help", "--version"):
        code = f"""
import sys
from strata.cli import main
try:
    main([{arguments!r}])
except SystemExit:
    print("loaded:", *sorted({HEAVY!r} & set(sys.modules)), *(name for name in sys.modules if ".commands." in name))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "loaded:"


COMMANDS = (
    *("generate", "plan", "restyle", "repaint", "serve-llm", "layout", "export", "import", "routing", "probe"),
    *("roles", "calibrate", "validate", "compare", "sweep", "batch"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own description and options, no wider than the terminal."""
    from strata.cli import main

    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"Usage: strata {command}")
    assert "strata generate plan.yaml --model" not in out, "the examples of the whole program"
    assert max(map(len, out.splitlines())) <= 80
    assert "╭─ " in out
    examples = out.partition("examples:\n")[2].partition("\n\n")[0]
    assert all(line.startswith("  ") for line in examples.splitlines()), "an example that is cut to fit"
    assert ("--routing -r" in out) == (DEFAULT_ROUTING in out), "what is the default is said"


def test_commands_import_nothing_heavy() -> None:
    modules = ", ".join(
        f"strata.commands.{command.replace('-', '_')}{'_' * iskeyword(command)}" for command in COMMANDS
    )
    code = f"import sys, {modules}; print({{'torch', 'diffusers', 'transformers', 'matplotlib'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_options_are_not_abbreviated_nor_given_twice(strata: Run, here: Path) -> None:
    done = strata("layout", "plan.yaml", "--ou", "a.png")
    assert (done.code, done.out) == (2, "")
    assert done.err == ("strata: error: unrecognized arguments: --ou; did you mean --out? (see strata layout --help)\n")
    twice = strata("layout", "plan.yaml", "-o", "a.png", "--out=b.png")
    assert (twice.code, twice.out) == (2, "")
    assert "is given twice: a.png and b.png (see strata layout --help)" in twice.err
    assert strata("--verison").err.endswith(" --verison; did you mean '--version'? (see strata --help)\n")
    assert strata("--nothing").err.endswith(" unrecognized arguments: --nothing (see strata --help)\n")
    assert "required: COMMAND (see strata routing --help)" in strata("routing").err
    assert (
        "COMMAND: invalid choice: 'lst' (did you mean 'list'? choose from 'list', 'show', 'check')"
        in strata("routing", "lst").err
    )
    assert "argument --out/-o: expected one argument (see strata layout --help)" in strata("layout", "x", "-o").err
    assert "the following arguments are required: --out/-o" in strata("calibrate").err


def test_layout_prints_the_program(strata: Run, here: Path) -> None:
    done = strata("layout", "plan.yaml", "--program", "--routing", "uniform", "--steps", 4)
    assert (done.code, done.err) == (0, "")
    assert "routing uniform, method regional, 4 steps, 4 of them routed, base ratio 0.2 in those" in done.out
    row = next(line for line in done.out.splitlines() if line.startswith("left/"))
    assert row.split()[:3] == ["left/high", "3", "3"]
    assert row.endswith("double 0-3, single 0-7  0-3       1")
    assert "cost of the run: " in done.out
    assert strata("layout", "plan.yaml", "--program", "--model", "owner/model").out.endswith("is not at hand\n")
    assert not list(here.glob("*.png"))
    assert "--steps: goes with --program" in strata("layout", "plan.yaml", "--steps", 4).err
    assert "--out: not allowed with --program" in strata("layout", "plan.yaml", "--program", "-o", "x.png").err
    assert "--image: not allowed with --program" in strata("layout", "plan.yaml", "--program", "--image", "x").err


@pytest.mark.parametrize("columns", ["0", *rarely("1", "7")])
def test_a_terminal_of_hardly_any_columns(columns: str) -> None:
    command = [sys.executable, "-m", "strata", "generate", "--help"]
    environment = os.environ | {"COLUMNS": columns}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_exit_codes_of_the_program(tmp_path: Path) -> None:
    assert program("--version").stdout == f"strata {package.__version__}\n"
    done = program("validate", str(tmp_path / "missing.yaml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("strata: error: ")


def test_closed_pipe() -> None:
    """`strata routing list | head -1`, where head is gone before the program writes."""
    with subprocess.Popen(
        [sys.executable, "-m", "strata", "routing", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
