"""Training the miniature's FLUX: rectified flow on autoencoder latents, then guidance distillation as in FLUX.1-dev.

Nothing inside the transformer is supervised, but in control runs: losses act on its output, the velocity and the clean
latents that follow from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import _get_qkv_projections
from torch import Tensor, nn

from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.model.transformer import new_transformer
from strata.miniature.training.data import Data
from strata.miniature.training.loop import LearningRate, Score, Trainer, muon, train
from strata.miniature.training.reader import disagreement, train_reader
from strata.miniature.world.labels import CLASSES


class ExplicitAttention:
    """FLUX's joint attention written out: at 64 tokens it trains much faster on a CPU than the fused kernel."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        """Takes and returns what diffusers' `FluxAttnProcessor` does; `attention_mask` is added to the logits."""
        q, k, v, eq, ek, ev = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        q, k, v = (x.unflatten(-1, (attn.heads, -1)) for x in (q, k, v))
        q, k = attn.norm_q(q), attn.norm_k(k)
        if attn.added_kv_proj_dim is not None:
            eq, ek, ev = (x.unflatten(-1, (attn.heads, -1)) for x in (eq, ek, ev))
            q = torch.cat([attn.norm_added_q(eq), q], dim=1)
            k = torch.cat([attn.norm_added_k(ek), k], dim=1)
            v = torch.cat([ev, v], dim=1)
        q = apply_rotary_emb(q, image_rotary_emb, sequence_dim=1)
        k = apply_rotary_emb(k, image_rotary_emb, sequence_dim=1)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        logits = (q @ k.transpose(-1, -2)).float() * (q.shape[-1] ** -0.5)
        if attention_mask is not None:
            logits = logits + attention_mask
        out = (logits.softmax(-1).to(v.dtype) @ v).transpose(1, 2).flatten(2)
        if encoder_hidden_states is None:
            return out
        text = encoder_hidden_states.shape[1]
        return attn.to_out[1](attn.to_out[0](out[:, text:])), attn.to_add_out(out[:, :text])


def flow_trainer(
    model: FluxTransformer2DModel,
    device: torch.device,
    lr: float = 3e-3,
    ema: float = 0.9995,
    auxiliary: nn.Module | None = None,
) -> Trainer:
    """Muon for the blocks' matrices, AdamW for the rest; computes in bfloat16 on a GPU, where that is faster."""
    trainer = Trainer(
        model,
        lambda named: muon(named, lambda name: "blocks." in name and ".norm" not in name, lr),
        half=device.type == "cuda",
        ema=ema,
        auxiliary=auxiliary,
    )
    model.set_attn_processor(ExplicitAttention())
    return trainer


def compile_blocks(model: FluxTransformer2DModel) -> None:
    """Compile the blocks' forwards (hooks stay outside), one graph for all blocks of a kind and shape."""
    torch._dynamo.config.recompile_limit = 64
    for block in [*model.transformer_blocks, *model.single_transformer_blocks]:
        block.forward = torch.compile(block.forward, dynamic=False)


def velocity(
    model: FluxTransformer2DModel, batch: dict[str, Tensor], noisy: Tensor, times: Tensor, guidance: Tensor, **more: Any
) -> Tensor:
    """The model's velocity for a batch with its latents replaced by `noisy`, float32 [B, N, 64]; `more` of its call."""
    dtype = model.dtype
    found: Tensor = model(
        hidden_states=noisy.to(dtype),
        encoder_hidden_states=batch["embeds"].to(dtype),
        pooled_projections=batch["pooled"].to(dtype),
        timestep=times.to(dtype),
        img_ids=batch["img_ids"],
        txt_ids=batch["txt_ids"],
        guidance=guidance.to(dtype),
        joint_attention_kwargs={"attention_mask": batch["bias"]},
        return_dict=False,
        **more,
    )[0]
    return found.float()


def sample_times(n: int) -> Tensor:
    """Noise levels in (0, 1), one from each n-th of their distribution, in random order.

    It is logit-normal, leaning to the high noise where shapes are decided, and uniform in 15 %.
    """
    even = ((torch.randperm(n) + torch.rand(n)) / n).clamp(1e-6, 1 - 1e-6)
    t = torch.sigmoid(0.6 + 1.1 * torch.special.ndtri(even))
    return torch.where(torch.rand(n) < 0.15, torch.rand(n), t).clamp(1e-3, 1 - 1e-3)


def add_noise(clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noise levels [B], noise and noisy latents [B, N, 64]; drawn on the CPU, so that all devices see the same."""
    times, noise = sample_times(len(clean)).to(clean.device), torch.randn(clean.shape).to(clean.device)
    t = times[:, None, None]
    return times, noise, (1 - t) * clean + t * noise


READ = 0.05
"""Weight of the reader's disagreement with the predicted clean latents; falls to zero at 70 % of the run."""
READER_STEPS = 700
OBJECTS = 3.0
"""Weight of the velocity's error on and around objects, of which backgrounds have 1. It moves no optimum: the error is
least at the mean velocity of each token, whatever the weights."""


def grid_of(ids: Tensor) -> tuple[int, int]:
    """Rows and columns of image tokens, from their position ids [N, 3]."""
    rows, columns = (int(n) for n in (ids.amax(0) - ids.amin(0) + 1)[1:])
    return rows, columns


def object_weights(labels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Weights [N, tokens] with mean 1, from labels [N, tokens, 4] on a grid (rows, columns)."""
    near = nn.functional.max_pool2d((labels[..., 0] > 0).float().unflatten(1, grid)[:, None], 3, 1, 1).flatten(1)
    weights = 1 + (OBJECTS - 1) * near
    return weights / weights.mean()


def train_flow(
    data: Data,
    out: Path,
    samples: int,
    score: Score | None = None,
    score_every: int = 40_000,
    compiled: bool = True,
    head: str | None = None,
) -> dict[str, Tensor]:
    """Train the flow until it has seen `samples` pictures, counting earlier runs in `out`; returns the EMA weights.

    `head` is for control runs alone: the block ("double 3", "single 1") after which an auxiliary head, whose weight
    falls to zero before the end, tells the object at every image token. Goes on from `flow.pt`. Losses every 50 steps
    and, every `score_every` samples, what `score` says of the EMA weights go to `log.csv`.
    """
    torch.manual_seed(0)
    model = new_transformer().to(data.device)
    teller = None
    tapped: list[Tensor] = []
    if head:
        teller = nn.Sequential(nn.LayerNorm(model.inner_dim), nn.Linear(model.inner_dim, sum(CLASSES))).to(data.device)
        which, number = head.split()
        blocks = {"double": model.transformer_blocks, "single": model.single_transformer_blocks}[which]
        blocks[int(number)].register_forward_hook(lambda _module, _args, output: tapped.append(output[1]))
    trainer = flow_trainer(model, data.device, auxiliary=teller)
    if compiled:
        compile_blocks(model)

    reader = train_reader(data, out, READER_STEPS)

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        batch = data.batch(progress, trainer.samples, trainer.rng)
        clean, labels, grid = batch["latents"], batch["labels"], grid_of(batch["img_ids"])
        times, noise, noisy = add_noise(clean)
        found = velocity(model, batch, noisy, times, torch.ones_like(times))
        each = (found - (noise - clean)).square().mean(-1)
        weights = object_weights(labels, grid)
        loss = (each * weights).mean()
        values = {"loss": each.detach().mean()}
        if (left := max(0.0, 1 - progress / 0.7)) > 0:
            predicted = noisy - times[:, None, None] * found
            read = disagreement(reader(predicted, grid), labels)
            values["read"] = read.detach()
            loss = loss + READ * left * read
        if teller:
            told = disagreement(teller(tapped.pop().float()).split(CLASSES, dim=-1), labels)
            values["auxiliary loss"] = told.detach()
            loss = loss + 0.15 * left * told
        loss.backward()
        return len(clean), values

    schedule = LearningRate(warm_up=150, decay=0.3)
    train(trainer, learn, out, "flow", schedule, samples=samples, score=score, score_every=score_every)
    return trainer.weights


def distil_guidance(
    data: Data, teacher: dict[str, Tensor], out: Path, samples: int, seen: int = 0, compiled: bool = True
) -> dict[str, Tensor]:
    """Train the guidance embedding to compute in one pass what classifier-free guidance at scales 1 to 6 does in two.

    Starts from the teacher's weights (Meng et al., arXiv 2210.03142), goes on from `guidance.pt` in `out` and ends
    after `samples` pictures; returns the EMA weights. Losses go to `log.csv`. `seen` is how many pictures the teacher
    saw: its scenes are drawn on from the start.
    """
    torch.manual_seed(1)
    model, guide = new_transformer().to(data.device), new_transformer().to(data.device)
    trainer = flow_trainer(model, data.device, lr=1e-3, ema=0.99)
    trainer.set_weights(teacher)
    guide.load_state_dict(teacher)
    guide.to(model.dtype).requires_grad_(False).set_attn_processor(ExplicitAttention())
    if compiled:
        compile_blocks(model)
        compile_blocks(guide)
    with torch.no_grad():
        tokens = data.t5_tokenizer([""], padding="max_length", max_length=MAX_LENGTH, return_tensors="pt")
        nothing = data.t5(input_ids=tokens.input_ids.to(data.device)).last_hidden_state

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        batch = data.batch(1.0, seen + trainer.samples, trainer.rng)
        clean = batch["latents"]
        n, length = len(clean), batch["embeds"].shape[1]
        times, _, noisy = add_noise(clean)
        scale = torch.where(torch.rand(n) < 0.1, 1.0, 1 + 5 * torch.rand(n)).to(data.device)
        empty = dict(batch, embeds=nothing[:, :length].expand(n, -1, -1), pooled=data.no_pooled.expand(n, -1))
        empty["bias"] = batch["bias"].clone()
        if torch.isinf(batch["bias"]).any():
            empty["bias"][..., 1:length] = float("-inf")
        with torch.no_grad():
            one = torch.ones_like(times)
            with_text, without = (velocity(guide, b, noisy, times, one) for b in (batch, empty))
            target = without + scale[:, None, None] * (with_text - without)
        loss = (velocity(model, batch, noisy, times, scale) - target).square().mean()
        loss.backward()
        return n, {"loss": loss.detach()}

    train(trainer, learn, out, "guidance", LearningRate(warm_up=20, decay=0.35), samples=samples)
    return trainer.weights
