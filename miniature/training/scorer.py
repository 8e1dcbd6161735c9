"""Training the scorer: `python -m strata.miniature.training.scorer`."""

from __future__ import annotations

import argparse
import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from strata.miniature.training.loop import LearningRate, Trainer, muon, train
from strata.miniature.world.scorer import IGNORED, WEIGHTS, Scorer, ScorerNet
from strata.miniature.world.views import Stock, accuracy

logger = logging.getLogger(__name__)


def _augment(views: Tensor) -> Tensor:
    """Slight noise, blur and colour changes, of another strength for each view; what is known of lattices stays."""
    views, lattices = views.split([3, views.shape[1] - 3], dim=1)
    n = len(views)
    blurred = nn.functional.avg_pool2d(nn.functional.pad(views, (1, 1, 1, 1), mode="replicate"), 3, 1)
    views = views.lerp(blurred, torch.rand(n, 1, 1, 1).square() * 0.8)
    views = views * (1 + 0.06 * torch.randn(n, 1, 1, 1)) + 0.05 * torch.randn(n, 3, 1, 1)
    views = (views + 0.08 * torch.rand(n, 1, 1, 1).square() * torch.randn_like(views)).clamp(-1, 1)
    return torch.cat([views, lattices], dim=1)


def _loss(logits: dict[str, Tensor], labels: Tensor) -> Tensor:
    total = torch.zeros(())
    for column, x in enumerate(logits.values()):
        known = labels[:, column] != IGNORED
        if known.any():
            total = total + nn.functional.cross_entropy(x[known], labels[known, column])
    return total


def train_scorer(
    run: Path,
    *,
    seconds: float | None = None,
    samples: int | None = None,
    seed: int = 0,
    vae: Any = None,
    lr: float = 3e-3,
    start_from: Scorer | None = None,
    device: str | torch.device = "cpu",
) -> Scorer:
    """Train a scorer on scenes rendered on the fly, two thirds of the batches seen through `vae` (if one is given).

    Args:
        run: folder of the checkpoint and the log; an interrupted training goes on from there.
        seconds: how long; give this or `samples`.
        samples: how many views.
        seed: of scenes, weights and noise.
        vae: the autoencoder whose reconstructions are learnt too.
        lr: the largest learning rate.
        start_from: train this scorer further, instead of a new one.
        device: where to train.
    """
    torch.manual_seed(seed)
    net = start_from.net.requires_grad_(True) if start_from else ScorerNet()
    net = net.train().to(device)
    painted, returned = Stock(), Stock(vae)
    trainer = Trainer(
        net,
        lambda named: muon(named, lambda name: "trunk" in name, lr, weight_decay=0.02),
        clip=math.inf,
        memory={"painted": painted, "returned": returned},
        seed=seed,
    )

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        decoded = vae is not None and trainer.step % 3 > 0
        views, labels = (returned if decoded else painted).views(trainer.rng, 24, 3, fresh=3 if decoded else 4)
        views = _augment(views).to(device, memory_format=torch.channels_last)
        with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.device.type == "cuda"):
            logits = net(views)
        loss = _loss({name: x.float() for name, x in logits.items()}, labels.to(device))
        loss.backward()
        return len(views), {"loss": loss.detach()}

    train(trainer, learn, run, "scorer", LearningRate(warm_up=50), samples=samples, seconds=seconds, log_every=100)
    before = start_from.facts.get("taught", []) if start_from else []
    spent = round(trainer.seconds if seconds is None else seconds)
    training = {"views": trainer.samples, "steps": trainer.step, "seconds": spent, "seed": seed, "lr": lr}
    return Scorer(net.cpu(), {"taught": [*before, training]})


def main(argv: list[str] | None = None) -> None:
    """Train the scorer and state its accuracy."""
    from diffusers import AutoencoderKL

    parser = argparse.ArgumentParser(description="Train the scorer of the miniature.")
    parser.add_argument("--vae", type=Path, help="folder of the autoencoder whose reconstructions are judged too")
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--go-on", action="store_true", help="start from the scorer in OUT, with another seed")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--run", type=Path, default=Path("runs/scorer"), help="folder of the checkpoint and the log")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    vae = AutoencoderKL.from_pretrained(args.vae).eval().requires_grad_(False).to(args.device) if args.vae else None
    scorer = train_scorer(
        args.run,
        seconds=args.seconds,
        seed=args.seed,
        vae=vae,
        lr=args.lr,
        start_from=Scorer.load(args.out) if args.go_on else None,
        device=args.device,
    )
    scorer.save(args.out)  # in half precision, as which it is then measured
    (args.run / "scorer.pt").unlink()  # the next training starts anew
    scorer = Scorer.load(args.out)
    scorer.facts["parameters"] = sum(p.numel() for p in scorer.net.parameters())
    scorer.facts["accuracy_on_renders"] = accuracy(scorer)
    if vae is not None:
        scorer.facts["accuracy_on_reconstructions"] = accuracy(scorer, vae)
    scorer.save(args.out)
    logger.info("scorer: %s", json.dumps(scorer.facts))


if __name__ == "__main__":
    main()
