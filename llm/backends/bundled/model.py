"""The bundled planner's tokenizer and network, untrained, and how its questions and answers are written for it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from strata.llm.backends.bundled.asking import answer_text
from strata.llm.backends.bundled.teaching.lessons import Lesson, random_lesson

PIECES = 1280
"""Size of the vocabulary."""
SPECIAL = ("<|pad|>", "<|begin|>", "<|end|>")
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
_PIECE = (
    r" (?:on|at|in) the (?:top |bottom )?(?:left|right|top|bottom|center)(?: corner)?"
    r"| (?:meadow|sea|night sky|desert) background|(?: and|,) an?(?= )"
    r"| ?[a-zA-Z]+| [,.:]|[0-9]+(?:,[0-9]+)*"
    r"""|[\[{",:\]}]+(?:[a-z_]+":[\[{",:\]}]*)*(?:(?<=c":"|t":")an?(?= ))?|\s|."""
)
"""Places and backgrounds; words with the space before them, articles with what joins them to the last; boxes; the keys
and brackets between two values of an answer, with an article that follows; single characters."""


def chats(lessons: Sequence[Lesson]) -> list[list[dict[str, str]]]:
    """Each lesson's question as a chat."""
    return [[{"role": "user", "content": lesson.brief.text()}] for lesson in lessons]


def new_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the planner's questions and answers; any text can be encoded."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    pad, begin, end = SPECIAL

    def wrapped() -> PreTrainedTokenizerFast:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=inner,
            pad_token=pad,
            bos_token=begin,
            eos_token=end,
            clean_up_tokenization_spaces=False,
            model_max_length=1024,
        )
        tokenizer.chat_template = CHAT_TEMPLATE.read_text(encoding="utf-8")
        return tokenizer

    rng = random.Random("tokenizer")
    lessons = [random_lesson(rng) for _ in range(6000)]
    texts = wrapped().apply_chat_template(chats(lessons), tokenize=False)
    texts = [text.removeprefix(begin) for text in texts] + [answer_text(lesson.answer) for lesson in lessons]
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return wrapped()


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained planner."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=64,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def encode(tokenizer: PreTrainedTokenizerFast, lessons: Sequence[Lesson]) -> list[tuple[list[int], int]]:
    """Each lesson's tokens, question and answer, and how many are the question's."""
    asked = tokenizer.apply_chat_template(chats(lessons), tokenize=False)
    questions = tokenizer(asked, add_special_tokens=False).input_ids
    answers = tokenizer([answer_text(lesson.answer) for lesson in lessons], add_special_tokens=False).input_ids
    end = [tokenizer.eos_token_id]
    return [(question + answer + end, len(question)) for question, answer in zip(questions, answers, strict=True)]


def save_planner(weights: dict[str, Tensor], tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The planner in half precision, as transformers and vLLM read it."""
    model = new_model(tokenizer)
    model.load_state_dict({name: x.cpu() for name, x in weights.items()}, strict=False)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that older releases of transformers know too
    path.write_text(json.dumps(settings, indent=2) + "\n")
