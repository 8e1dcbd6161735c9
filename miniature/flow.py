"""Training the miniature's FLUX: rectified flow on autoencoder latents, then guidance distillation as in FLUX.1-dev."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import _get_qkv_projections
from torch import Tensor, nn

from strata.hierarchy.files import write_atomic
from strata.miniature.autoencoder import to_tensor
from strata.miniature.language import caption_segments, join
from strata.miniature.scenes import Scene, random_scene, token_labels
from strata.miniature.text import CLIP_WIDTH, MAX_LENGTH, T5_WIDTH

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """One kind of training picture.

    Canvas in pixels, numbers of objects, text tokens kept, share of the steps before and after `WIDER`, batch size,
    scenes drawn.
    """

    width: int
    height: int
    things: tuple[int, ...]
    length: int
    early: float
    late: float
    batch: int
    scenes: int


WIDER = 0.55
"""Share of the samples after which the larger canvases join: they cost more a picture, and what the small ones teach
carries over."""
POOLS = (
    Pool(64, 64, (1,), 16, 0.34, 0.22, 96, 18_000),
    Pool(32, 64, (1,), 16, 0.11, 0.06, 128, 5_000),
    Pool(64, 32, (1,), 16, 0.11, 0.06, 128, 5_000),
    Pool(32, 32, (1,), 16, 0.09, 0.05, 160, 5_000),
    Pool(64, 64, (2,), 26, 0.25, 0.16, 80, 12_000),
    Pool(64, 64, (3, 4), 48, 0.10, 0.12, 64, 5_000),
    Pool(96, 64, (1, 2, 3, 4), 48, 0.0, 0.075, 48, 2_500),
    Pool(64, 96, (1, 2, 3, 4), 48, 0.0, 0.075, 48, 2_500),
    Pool(128, 64, (1, 2, 3, 4), 48, 0.0, 0.065, 40, 2_500),
    Pool(64, 128, (1, 2, 3, 4), 48, 0.0, 0.065, 40, 2_500),
    Pool(128, 128, (1, 2, 3, 4), 48, 0.0, 0.05, 20, 1_500),
)
SAVE_EVERY = 240.0
"""Seconds of training between checkpoints."""
LONG = POOLS[5]
"""Its shape is used for one object's captions padded to full length too: one graph less to compile."""


def new_transformer() -> FluxTransformer2DModel:
    """An untrained FLUX: 4 double and 8 single blocks, 4 heads × 48, guidance embedding; gates opened a little."""
    model = FluxTransformer2DModel(
        patch_size=1,
        in_channels=32,
        num_layers=4,
        num_single_layers=8,
        attention_head_dim=48,
        num_attention_heads=4,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=CLIP_WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(8, 20, 20),
    )
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.Linear) and (".norm" in name and name.endswith("linear")):
            nn.init.normal_(module.weight, std=0.02)
            gates = module.bias.view(-1, model.inner_dim)
            with torch.no_grad():
                gates[2::3] += 0.3  # shift, scale, gate (, shift, scale, gate)
    nn.init.zeros_(model.proj_out.weight)
    return model


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


class Data:
    """Latents of rendered scenes, kept in memory, and fresh captions for every batch."""

    def __init__(
        self, vae: AutoencoderKL, t5: Any, clip: Any, tokenizers: tuple[Any, Any], device: torch.device
    ) -> None:
        self.device = device
        self.t5, self.clip = t5.to(device, torch.bfloat16), clip.to(device, torch.bfloat16)
        self.t5_tokenizer, self.clip_tokenizer = tokenizers
        self.rng = random.Random(0)
        self.scenes: list[list[Scene]] = []
        self.latents: list[Tensor] = []
        encoder = vae.encoder.to(device, torch.bfloat16)
        for pool in POOLS:
            rng = random.Random(f"{pool.width}x{pool.height} {pool.things}")
            scenes = [random_scene(rng, pool.width, pool.height, rng.choice(pool.things)) for _ in range(pool.scenes)]
            parts = []
            for start in range(0, len(scenes), 250):
                images = to_tensor([s.paint() for s in scenes[start : start + 250]])
                with torch.no_grad():
                    mean = encoder(images.to(device, torch.bfloat16, memory_format=torch.channels_last))[:, :8].float()
                mean = (mean - vae.config.shift_factor) * vae.config.scaling_factor
                n, c, h, w = mean.shape
                parts.append(FluxPipeline._pack_latents(mean.contiguous(), n, c, h, w).to("cpu", torch.float16))
            self.scenes.append(scenes)
            self.latents.append(torch.cat(parts))
            logger.info("encoded %d scenes of %d×%d with %s objects", len(scenes), pool.width, pool.height, pool.things)
        vae.encoder.to("cpu", torch.float32)
        with torch.no_grad():
            self.no_pooled = self.pool_texts([""])

    def pool_texts(self, texts: list[str]) -> Tensor:
        """CLIP's pooled vectors [N, 64]."""
        tokens = self.clip_tokenizer(texts, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
        pooled: Tensor = self.clip(input_ids=tokens.input_ids.to(self.device)).pooler_output
        return pooled

    def batch(self, progress: float) -> dict[str, Tensor]:
        """One batch of one pool; latents [B, N, 32], texts [B, L, 128], key bias [B, 1, 1, L+N], labels [B, N, 3].

        `progress` from 0 to 1 says how much of the run is done.
        """
        rng = self.rng
        which = rng.choices(range(len(POOLS)), [p.early if progress < WIDER else p.late for p in POOLS])[0]
        pool = POOLS[which]
        # Three in ten batches hear the padding too, as the stock pipeline feeds it; the others only real tokens.
        hear_padding = rng.random() < 0.3
        long = hear_padding and which == 0 and rng.random() < 0.5
        length, size = (MAX_LENGTH, LONG.batch) if long else (pool.length, pool.batch)
        rows = [rng.randrange(len(self.scenes[which])) for _ in range(size)]
        scenes = [self.scenes[which][i] for i in rows]
        texts = [
            "" if rng.random() < 0.1 else join(caption_segments(tuple(p.thing for p in s.things), s.backdrop, rng))
            for s in scenes
        ]
        tokens = self.t5_tokenizer(
            texts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            embeds = self.t5(input_ids=tokens.input_ids.to(self.device)).last_hidden_state[:, :length]
            pooled = self.pool_texts(texts)
        silent = (torch.rand(len(rows), 1) < 0.5).to(self.device)
        n = self.latents[which].shape[1]
        bias = torch.zeros(len(rows), 1, 1, length + n)
        if not hear_padding:
            bias[:, 0, 0, :length].masked_fill_(tokens.attention_mask[:, :length] == 0, float("-inf"))
        h, w = pool.height // 8, pool.width // 8
        ids = torch.zeros(h, w, 3)
        # A small canvas stands at its own place on a larger one half of the time.
        ids[..., 1] = torch.arange(h)[:, None] + rng.choice((0, 0, max(0, 8 - h)))
        ids[..., 2] = torch.arange(w)[None] + rng.choice((0, 0, max(0, 8 - w)))
        labels = torch.from_numpy(np.stack([token_labels(s) for s in scenes])).flatten(1, 2)
        return {
            "latents": self.latents[which][rows].to(self.device).float(),
            "embeds": embeds,
            "pooled": torch.where(silent, self.no_pooled, pooled),
            "bias": bias.to(self.device),
            "img_ids": ids.flatten(0, 1).to(self.device),
            "txt_ids": torch.zeros(length, 3, device=self.device),
            "labels": labels.to(self.device),
        }


def sample_times(n: int) -> Tensor:
    """Noise levels in (0, 1): logit-normal, leaning to the high noise where shapes are decided, with a uniform part."""
    t = torch.sigmoid(0.6 + 1.1 * torch.randn(n))
    return torch.where(torch.rand(n) < 0.15, torch.rand(n), t).clamp(1e-3, 1 - 1e-3)


class Trainer:
    """bfloat16 compute over float32 master weights; Muon for the blocks' matrices, AdamW for the rest; EMA.

    The whole state is in one checkpoint file, written atomically, and a run goes on from it exactly where it was
    (but for the order of batches).
    """

    def __init__(self, model: FluxTransformer2DModel, lr: float = 3e-3, ema: float = 0.999) -> None:
        self.master = {name: p.detach().clone().float() for name, p in model.named_parameters()}
        self.ema = {name: p.clone() for name, p in self.master.items()}
        self.model = model.to(torch.bfloat16)
        self.model.set_attn_processor(ExplicitAttention())
        self.lr, self.decay = lr, ema
        matrices = [n for n, p in self.master.items() if p.ndim == 2 and "blocks." in n and ".norm" not in n]
        rest = [n for n in self.master if n not in set(matrices)]
        self.optimizers = [
            torch.optim.Muon(
                [self.master[n] for n in matrices], lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW([self.master[n] for n in rest], lr=lr / 2, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        width = model.inner_dim
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 8 + 9 + 6)).to(model.device)
        self.optimizers.append(torch.optim.AdamW(self.head.parameters(), lr=1e-3))
        self.step, self.samples, self.seconds = 0, 0, 0.0
        self._tap: Tensor | None = None

    def compile(self) -> None:
        """Compile the blocks' forwards (hooks stay outside), one graph for all blocks of a kind and shape."""
        torch._dynamo.config.recompile_limit = 64
        for block in [*self.model.transformer_blocks, *self.model.single_transformer_blocks]:
            block.forward = torch.compile(block.forward, dynamic=False)

    def tap(self) -> None:
        """Keep the image tokens that leave the second single block, for the auxiliary loss."""

        def keep(_module: nn.Module, _args: Any, output: tuple[Tensor, Tensor]) -> None:
            self._tap = output[1]

        self.model.single_transformer_blocks[1].register_forward_hook(keep)

    def predict(self, batch: dict[str, Tensor], noisy: Tensor, times: Tensor, guidance: Tensor) -> Tensor:
        """The model's velocity for a batch with its latents replaced by `noisy`, float32 [B, N, 32]."""
        b = torch.bfloat16
        velocity: Tensor = self.model(
            hidden_states=noisy.to(b),
            encoder_hidden_states=batch["embeds"].to(b),
            pooled_projections=batch["pooled"].to(b),
            timestep=times.to(b),
            img_ids=batch["img_ids"],
            txt_ids=batch["txt_ids"],
            guidance=guidance.to(b),
            joint_attention_kwargs={"attention_mask": batch["bias"]},
            return_dict=False,
        )[0]
        return velocity.float()

    def load_into_model(self, weights: dict[str, Tensor]) -> None:
        """Copy weights into the bfloat16 model."""
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(weights[name])

    def update(self, loss: Tensor, rate: float) -> float:
        """Back-propagate and step at `rate` × the base learning rates; returns the gradient's norm."""
        loss.backward()
        grads = []
        for name, p in self.model.named_parameters():
            if p.grad is not None:
                self.master[name].grad = p.grad.float()
                grads.append(self.master[name])
                p.grad = None
        norm = float(nn.utils.clip_grad_norm_(grads, 1.0))
        if math.isfinite(norm):
            for optimizer, base in zip(self.optimizers, (self.lr, self.lr / 2, 1e-3), strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = base * rate
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(self.master[name])
                self.ema[name].lerp_(self.master[name], 1 - decay)
        self.step += 1
        return norm

    def save(self, path: Path) -> None:
        """Write the whole state, atomically."""
        state = {
            "master": self.master,
            "ema": self.ema,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "head": self.head.state_dict(),
            "counts": (self.step, self.samples, self.seconds),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        state = torch.load(path, weights_only=True, map_location=self.model.device)
        for name, p in self.master.items():
            p.copy_(state["master"][name])
            self.ema[name].copy_(state["ema"][name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.head.load_state_dict(state["head"])
        self.step, self.samples, self.seconds = state["counts"]
        self.load_into_model(self.master)


def learning_rate(progress: float, step: int, warm_up: int = 150) -> float:
    """Linear warm-up, then flat, then linear to nearly nothing over the last 35 % of the run."""
    return min(1.0, (step + 1) / warm_up) * min(1.0, max(0.01, (1 - progress) / 0.35))


class Tally(Protocol):
    """How far a training is."""

    step: int
    samples: int
    seconds: float


class Log:
    """Losses and scores against samples seen, as CSV; a resumed run drops what its checkpoint does not know of."""

    def __init__(self, path: Path, stage: str, step: int) -> None:
        self.path, self.stage = path, stage
        head = "stage,step,samples,seconds,what,value\n"
        lines = path.read_text().splitlines(keepends=True)[1:] if path.exists() else []
        kept = [x for x in lines if x.split(",")[0] != stage or int(x.split(",")[1]) <= step]
        write_atomic(path, head + "".join(kept))

    def add(self, trainer: Tally, values: Mapping[str, float]) -> None:
        """One line a value."""
        where = f"{self.stage},{trainer.step},{trainer.samples},{trainer.seconds:.0f}"
        with self.path.open("a") as file:
            file.writelines(f"{where},{what},{value:.5g}\n" for what, value in values.items())
        told = ", ".join(f"{what} {value:.4g}" for what, value in values.items())
        logger.info(
            "%s step %d, %d samples, %.0f s: %s", self.stage, trainer.step, trainer.samples, trainer.seconds, told
        )


Score = Callable[[dict[str, Tensor]], Mapping[str, float]]
"""Weights → shares of what they draw right, by kind."""


def teach_flow(
    data: Data, out: Path, samples: int, score: Score | None = None, score_every: int = 40_000
) -> dict[str, Tensor]:
    """Train the flow until it has seen `samples` pictures, counting earlier runs in `out`; returns the EMA weights.

    Losses every 50 steps and, every `score_every` samples, what `score` says of the EMA weights go to `log.csv`.
    """
    torch.manual_seed(0)
    trainer = Trainer(new_transformer().to(data.device))
    checkpoint = out / "flow.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        data.rng.seed(trainer.step)
        torch.manual_seed(trainer.step)
        logger.info("going on from step %d, %d samples", trainer.step, trainer.samples)
    log = Log(out / "log.csv", "flow", trainer.step)
    trainer.tap()
    trainer.compile()
    last_save = trainer.seconds
    sums, count = np.zeros(3), 0
    while trainer.samples < samples:
        begin = time.monotonic()
        progress = trainer.samples / samples
        batch = data.batch(progress)
        clean = batch["latents"]
        times = sample_times(len(clean)).to(data.device)
        noise = torch.randn(clean.shape).to(data.device)
        t = times[:, None, None]
        out_v = trainer.predict(batch, (1 - t) * clean + t * noise, times, torch.ones_like(times))
        flow = (out_v - (noise - clean)).square().mean()
        weight = 0.15 * max(0.0, 1 - progress / 0.7)
        assert trainer._tap is not None
        logits = trainer.head(trainer._tap.float()).split([8, 9, 6], dim=-1)
        labels = batch["labels"]
        auxiliary = sum(
            nn.functional.cross_entropy(x.flatten(0, 1), labels[..., i].flatten()) for i, x in enumerate(logits)
        )
        norm = trainer.update(flow + weight * auxiliary, learning_rate(progress, trainer.step))
        sums += (float(flow.detach()), float(torch.as_tensor(auxiliary).detach()), norm)
        count += 1
        before, trainer.samples = trainer.samples, trainer.samples + len(clean)
        trainer.seconds += time.monotonic() - begin
        if trainer.step % 50 == 0:
            log.add(trainer, dict(zip(("loss", "auxiliary loss", "gradient"), sums / count, strict=True)))
            sums, count = np.zeros(3), 0
        if score and before // score_every < trainer.samples // score_every:
            trainer.save(checkpoint)
            log.add(trainer, score(trainer.ema))
        if trainer.seconds - last_save > SAVE_EVERY:
            trainer.save(checkpoint)
            last_save = trainer.seconds
    trainer.save(checkpoint)
    return trainer.ema


def distil_guidance(data: Data, teacher: dict[str, Tensor], out: Path, samples: int) -> dict[str, Tensor]:
    """Teach the guidance embedding what classifier-free guidance at scales 1 to 6 computes, in one pass.

    Goes on from `guidance.pt` in `out` and ends after `samples` pictures; losses go to `log.csv`.
    """
    torch.manual_seed(1)
    trainer = Trainer(new_transformer().to(data.device), lr=1e-3, ema=0.99)
    for name, p in trainer.master.items():
        p.copy_(teacher[name])
        trainer.ema[name].copy_(teacher[name])
    checkpoint = out / "guidance.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        data.rng.seed(trainer.step)
        torch.manual_seed(trainer.step)
    log = Log(out / "log.csv", "guidance", trainer.step)
    trainer.load_into_model(trainer.master)
    trainer.compile()
    teach = Trainer(new_transformer().to(data.device))
    teach.load_into_model(teacher)
    teach.compile()
    with torch.no_grad():
        tokens = data.t5_tokenizer([""], padding="max_length", max_length=MAX_LENGTH, return_tensors="pt")
        nothing = data.t5(input_ids=tokens.input_ids.to(data.device)).last_hidden_state
    last_save, total, count = trainer.seconds, 0.0, 0
    while trainer.samples < samples:
        begin = time.monotonic()
        batch = data.batch(progress=1.0)
        clean = batch["latents"]
        n, length = len(clean), batch["embeds"].shape[1]
        times, noise = sample_times(n).to(data.device), torch.randn(clean.shape).to(data.device)
        t = times[:, None, None]
        noisy = (1 - t) * clean + t * noise
        scale = torch.where(torch.rand(n) < 0.1, 1.0, 1 + 5 * torch.rand(n)).to(data.device)
        plain = dict(batch, embeds=nothing[:, :length].expand(n, -1, -1), pooled=data.no_pooled.expand(n, -1))
        plain["bias"] = batch["bias"].clone()
        if torch.isinf(batch["bias"]).any():
            plain["bias"][..., 1:length] = float("-inf")
        with torch.no_grad():
            one = torch.ones_like(times)
            told, untold = teach.predict(batch, noisy, times, one), teach.predict(plain, noisy, times, one)
            target = untold + scale[:, None, None] * (told - untold)
        loss = (trainer.predict(batch, noisy, times, scale) - target).square().mean()
        trainer.update(loss, learning_rate(trainer.samples / samples, trainer.step, warm_up=20))
        trainer.samples += n
        trainer.seconds += time.monotonic() - begin
        total, count = total + float(loss.detach()), count + 1
        if trainer.step % 50 == 0:
            log.add(trainer, {"loss": total / count})
            total, count = 0.0, 0
        if trainer.seconds - last_save > SAVE_EVERY:
            trainer.save(checkpoint)
            last_save = trainer.seconds
    trainer.save(checkpoint)
    return trainer.ema
