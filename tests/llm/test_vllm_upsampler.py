"""A real vLLM with a tiny random model of the class of FLUX.3's prompt upsampler, and the planner that asks it.

The upsampler is a Qwen3.5 (`Qwen3_5ForConditionalGeneration`). vLLM's own file for it imports torchvision, whose usual
builds do not load beside the torch of vLLM on CPUs, and its other way, transformers' classes, computes full attention
alone. So what is served is the text part, `Qwen3_5ForCausalLM`, with layers of full attention.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2Tokenizer, Qwen3_5ForCausalLM, Qwen3_5TextConfig

from strata.hierarchy.plan import ScenePlan
from strata.llm.draft import Draft
from strata.llm.errors import LlmError, PlanError
from strata.llm.planner import Planner
from strata.llm.protocol import Message, Question
from strata.llm.upsampling import MOST_TOKENS, system_text
from tests.llm.hostile import free_port
from tests.llm.test_vllm import PYTHON, Listening, Server, serving

CONTEXT = 8192
END = 3.0
"""How much longer than the others the output vector of the chat's end is."""
CHAT = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DRAFT = """
regions:
  - {name: boat, full: a blue boat, box: [0, 0, 64, 64]}
  - {name: sun, high: a sun, box: [64, 0, 128, 32]}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason=f"{PYTHON} is missing; `make vllm` installs vLLM for CPUs there"),
]


def save_upsampler(folder: Path) -> None:
    """A model with random weights, some longer so that answers end, and a tokenizer of bytes, as transformers does."""
    words = Qwen2Tokenizer(vocab={byte: n for n, byte in enumerate(sorted(ByteLevel.alphabet()))}, merges=[])
    words.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    words.chat_template, words.eos_token, words.model_max_length = CHAT, "<|im_end|>", CONTEXT
    torch.manual_seed(0)
    config = Qwen3_5TextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        layer_types=["full_attention"] * 2,
        max_position_embeddings=CONTEXT,
        eos_token_id=words.convert_tokens_to_ids("<|im_end|>"),
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25},
    )
    model = Qwen3_5ForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[config.eos_token_id] *= END
    model.save_pretrained(folder)
    words.save_pretrained(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("upsampler")
    save_upsampler(folder / "model")
    with serving(folder, free_port(), str(folder / "model"), ["--model-impl", "transformers"]) as running:
        yield running


@pytest.fixture
def backend(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    monkeypatch.setenv("STRATA_CACHE", str(tmp_path / "cache"))
    for name in ("STRATA_LLM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    listening = Listening(server.address)
    yield listening
    listening.close()


def plan_or_error(backend: Listening, form: str | None, draft: Draft | None) -> ScenePlan | str:
    """What comes of one attempt; anything but a plan and the planner's own errors is raised."""
    try:
        planner = Planner(backend, attempts=1) if form is None else Planner(backend, form=form, attempts=1)
        return planner.plan("a red circle, a blue boat and a sun", 128, 128, draft=draft)
    except (PlanError, LlmError) as error:
        return str(error)


@pytest.mark.parametrize("form", ["flux3", None])
@pytest.mark.parametrize("draft", [None, Draft.from_yaml(DRAFT)], ids=["free", "draft"])
def test_what_a_random_upsampler_says_is_a_plan_or_an_error_of_the_planners(
    backend: Listening, form: str | None, draft: Draft | None
) -> None:
    found = plan_or_error(backend, form, draft)
    print(f"{form or 'own form'}, {'a draft' if draft else 'no draft'}: {found!r:.300}")
    if isinstance(found, ScenePlan):
        assert ScenePlan.from_yaml(found.to_yaml()) == found
        for asked, region in zip(draft.regions if draft else (), found.regions, strict=False):
            assert (region.name, region.box) == (asked.name, asked.box)
    else:
        assert found
    for question, _ in backend.heard:
        if form == "flux3":
            assert (question.schema, question.max_tokens) == (None, MOST_TOKENS)
            assert question.messages[0].content == system_text()
            assert ("LOCKED BOUNDING-BOX" in question.messages[1].content) == (draft is not None)
        else:
            assert question.schema is not None


def test_it_is_held_to_a_schema(backend: Listening) -> None:
    schema = {
        "type": "object",
        "properties": {"zebras": {"enum": [5, 6]}, "box": {"enum": ["left", "right"]}},
        "required": ["zebras", "box"],
        "additionalProperties": False,
    }
    answer = backend.ask(Question("layout", (Message("user", "a red circle"),), schema, max_tokens=64))
    assert answer.replace(" ", "") in {f'{{"zebras":{n},"box":"{side}"}}' for n in (5, 6) for side in ("left", "right")}
