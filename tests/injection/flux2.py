"""Tiny FLUX.2 pipelines of the stock classes, with random weights, and tokenizers made here."""

import json
from functools import cache
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinInpaintPipeline,
    Flux2KleinKVPipeline,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from strata.miniature.world.words import WORDS
from tests.injection.tiny import AUTOENCODER

LENGTH = 64
"""Tokens of a text; dev's system message takes half of them."""
WIDTH = 16
QWEN_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
MISTRAL_CHAT = (
    "<s>{% for m in messages %}{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content[0].text }}[/SYSTEM_PROMPT]"
    "{% else %}[INST]{{ m.content[0].text }}[/INST]{% endif %}{% endfor %}"
)
LM: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "initializer_range": 0.4,
}


def byte_pairs(special: tuple[str, ...]) -> Tokenizer:
    """Byte-level BPE that spells the words of the scene language in one piece; the same every time."""
    return Tokenizer.from_str(_byte_pairs(special))


@cache
def _byte_pairs(special: tuple[str, ...], *more: str) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(["a", *WORDS]), SYSTEM_MESSAGE, "user\nassistant\n", *more], trainer)
    text: str = tokenizer.to_str()
    return text


def qwen_tokenizer(*more: str) -> Qwen2Tokenizer:
    """`more`: texts whose words it spells in one piece, too."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
    model = json.loads(_byte_pairs(special, *more))["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    found = Qwen2Tokenizer(vocab=model["vocab"], merges=merges, model_max_length=LENGTH)
    found.add_special_tokens({"additional_special_tokens": list(special[1:3])})
    found.add_tokens(list(special[3:]))
    found.chat_template = QWEN_CHAT
    return found


def mistral_tokenizer() -> PreTrainedTokenizerFast:
    """Dev's without the processor around it, which needs torchvision and adds nothing to texts."""
    marks = ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
    found = PreTrainedTokenizerFast(
        tokenizer_object=byte_pairs(("<pad>", "<s>", "</s>", "<unk>", *marks)),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(marks),
        padding_side="left",
        model_max_length=LENGTH,
    )
    found.chat_template = MISTRAL_CHAT
    return found


def mistral(vocabulary: int) -> Mistral3ForConditionalGeneration:
    torch.manual_seed(5)
    text = {"model_type": "mistral", "vocab_size": vocabulary, "num_hidden_layers": 30, **LM}
    vision = {"model_type": "pixtral", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 1, "head_dim": 8, "image_size": 32, "patch_size": 16}
    return Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=vision)).eval()


def qwen(vocabulary: int) -> Qwen3ForCausalLM:
    torch.manual_seed(6)
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=vocabulary, num_hidden_layers=27, **LM)).eval()


def flux2_parts(dev: bool = False) -> dict[str, Any]:
    """Fresh components; the same weights every time. One image token covers 4×4 pixels."""
    torch.manual_seed(4)
    vae = AutoencoderKLFlux2(**AUTOENCODER).eval()
    torch.nn.init.normal_(vae.bn.running_mean, std=0.3)
    torch.nn.init.uniform_(vae.bn.running_var, 0.5, 2)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * WIDTH,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=dev,
    ).eval()
    tokenizer = mistral_tokenizer() if dev else qwen_tokenizer()
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        "vae": vae,
        "text_encoder": (mistral if dev else qwen)(len(tokenizer)),
        "tokenizer": tokenizer,
        "transformer": transformer,
    }


def reference(seed: int = 0, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8))


def _quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_flux2() -> tuple[Any, dict[str, Any]]:
    return _quiet(Flux2Pipeline(**flux2_parts(dev=True))), {"max_sequence_length": LENGTH}


def make_flux2_reference() -> tuple[Any, dict[str, Any]]:
    pipe, options = make_flux2()
    return pipe, {**options, "image": [reference(1), reference(2)]}


def make_klein() -> tuple[Any, dict[str, Any]]:
    return _quiet(Flux2KleinPipeline(**flux2_parts(), is_distilled=True)), {"max_sequence_length": 24}


def make_klein_base() -> tuple[Any, dict[str, Any]]:
    return _quiet(Flux2KleinPipeline(**flux2_parts())), {"image": reference(), "guidance_scale": 3.0}


def make_klein_inpaint() -> tuple[Any, dict[str, Any]]:
    mask = Image.fromarray(np.pad(np.full((16, 24), 255, np.uint8), ((8, 8), (12, 12))))
    pictures = {"image": reference(3, (32, 48)), "image_reference": reference(4), "mask_image": mask}
    pipe = _quiet(Flux2KleinInpaintPipeline(**flux2_parts()))
    return pipe, {**pictures, "strength": 0.75, "guidance_scale": 3.0}


def make_klein_kv() -> tuple[Any, dict[str, Any]]:
    """With a reference, whose keys and values are kept from the first step."""
    return _quiet(Flux2KleinKVPipeline(**flux2_parts())), {"image": reference(1)}
