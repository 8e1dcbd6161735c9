"""The score report of the bundled planner: how many plans come out exactly right, by kind of prompt, from fixed seeds.

`python -m strata.llm.backends.bundled.report` plans held-out prompts with the bundled planner through the whole planner
(both questions, grammar, checks) and prints for each kind the share that is exactly right, with 95 % Wilson intervals.
With `--sentences FILE.yaml` it plans the ordinary sentences of a file instead (see `sentences.py`), and prints how many
are right, refused, and silently wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from strata.hierarchy.errors import StrataError
from strata.hierarchy.files import dump_json, write_atomic
from strata.llm.backends.bundled import WEIGHTS
from strata.llm.backends.bundled.answers import truth_matches
from strata.llm.backends.bundled.backend import BundledBackend
from strata.llm.backends.bundled.reading.words import read
from strata.llm.backends.bundled.sentences import Sentence, Verdict, judge, load_sentences
from strata.llm.backends.bundled.teaching.lessons import EXERCISES, Exercise, exercises
from strata.llm.backends.bundled.world import Share
from strata.llm.errors import PlanError
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request


def flaws(backend: BundledBackend, todo: Sequence[Exercise], one_call: bool = False) -> list[list[str]]:
    """What is wrong with the plan of each exercise (see `truth_matches`); the error's words where there is none."""
    found: list[list[str]] = [[] for _ in todo]
    requests = [Request(e.prompt, e.width, e.height, e.draft, e.regions, e.style) for e in todo]

    def failed(index: int, error: StrataError) -> None:
        found[index] = [f"no plan: {error}"]

    plan_many(
        Planner(backend, one_call=one_call),
        requests,
        on_plan=lambda index, plan: found.__setitem__(index, truth_matches(plan, todo[index].truth)),
        on_failure=failed,
        give_up_after=len(todo) + 1,
    )
    return found


def judged(backend: BundledBackend, sentences: Sequence[Sentence], one_call: bool = False) -> list[Verdict]:
    """What becomes of each sentence on a canvas of 128 × 128 pixels."""
    found: list[Verdict] = [Verdict("refused")] * len(sentences)
    plan_many(
        Planner(backend, one_call=one_call),
        [Request(sentence.text, 128, 128) for sentence in sentences],
        on_plan=lambda index, plan: found.__setitem__(index, judge(sentences[index], plan)),
        on_failure=lambda index, error: found.__setitem__(index, judge(sentences[index], error)),
        give_up_after=len(sentences) + 1,
    )
    return found


def report_sentences(backend: BundledBackend, path: Path, one_call: bool = False) -> dict[str, Any]:
    """Plans the sentences of a file, prints what becomes of them, and returns the numbers."""
    sentences = load_sentences(path)
    verdicts = judged(backend, sentences, one_call)
    names = {"right": "right", "refused": "refused", "wrong": "silently wrong"}
    report: dict[str, Any] = {}
    for kind, name in names.items():
        share = Share(sum(verdict.kind == kind for verdict in verdicts), len(verdicts))
        low, high = (100 * x for x in share.interval())
        print(f"{name:<16}{share.right:>4}/{share.asked}{100 * share.value:>7.1f} %   [{low:.1f}, {high:.1f}]")
        report[kind] = share.as_data()
    for voice in sorted({sentence.voice for sentence in sentences if sentence.voice}):
        of_voice = [v.kind == "right" for v, s in zip(verdicts, sentences, strict=True) if s.voice == voice]
        print(f"  {voice:<14}{sum(of_voice):>4}/{len(of_voice)} right")
    for kind in ("wrong", "refused"):
        for sentence, verdict in zip(sentences, verdicts, strict=True):
            if verdict.kind == kind:
                print(f"\n{names[kind]}: {sentence.text}\n    as read: {read(sentence.text).text}")
                print(*(f"    {flaw}" for flaw in verdict.flaws), sep="\n")
    report["sentences"] = [
        {"text": sentence.text, "kind": verdict.kind, "flaws": list(verdict.flaws)}
        for sentence, verdict in zip(sentences, verdicts, strict=True)
    ]
    return report


def main(argv: list[str] | None = None) -> None:
    """The command; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m strata.llm.backends.bundled.report", description=__doc__)
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="folder of a planner (default: the bundled one)")
    parser.add_argument("--only", metavar="KIND,...", help=f"of {', '.join(EXERCISES)}")
    parser.add_argument("--n", type=int, default=200, help="prompts of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one-call", action="store_true", help="ask for both levels at once")
    parser.add_argument("--flaws", type=int, default=0, metavar="K", help="print the first K flawed plans of each kind")
    parser.add_argument("--sentences", type=Path, metavar="FILE.yaml", help="plan these ordinary sentences instead")
    parser.add_argument("--json", type=Path, help="write the scores here too")
    args = parser.parse_args(argv)
    kinds = args.only.split(",") if args.only else list(EXERCISES)
    if strange := [kind for kind in kinds if kind not in EXERCISES]:
        parser.error(f"--only: {strange[0]}: no such kind; valid: {', '.join(EXERCISES)}")

    backend = BundledBackend(args.model)
    if args.sentences:
        told = report_sentences(backend, args.sentences, args.one_call)
        if args.json:
            write_atomic(args.json, dump_json(told))
        return
    begin = time.perf_counter()
    backend.load()
    loading = time.perf_counter() - begin
    single = seconds_per_plan(backend)
    print(
        f"{args.model}: seed {args.seed}, {'one call' if args.one_call else 'two calls'} a prompt; loaded in"
        f" {loading:.1f} s, {single:.2f} s a plan, one by one, on {torch.get_num_threads()} threads\n"
    )
    print(f"{'kind':<18}{'exact':>9}{'':>9}   {'95 %':<14} refused")
    report: dict[str, Any] = {
        **{"n": args.n, "seed": args.seed, "one_call": args.one_call, "threads": torch.get_num_threads()},
        **{"seconds_to_load": loading, "seconds_per_plan": single, "kinds": {}},
    }
    for kind in tqdm(kinds, disable=None, leave=False):
        todo = exercises(kind, args.n, args.seed)
        found = flaws(backend, todo, args.one_call)
        score = Share(sum(not wrong for wrong in found), len(found))
        refused = sum(bool(wrong) and wrong[0].startswith("no plan") for wrong in found)
        low, high = (100 * x for x in score.interval())
        counts = f"{score.right}/{score.asked}"
        interval = f"[{low:.1f}, {high:.1f}]"
        share = f"{100 * score.value:.1f} %"
        tqdm.write(f"{kind:<18}{counts:>9}{share:>9}   {interval:<14} {refused:>3}   {EXERCISES[kind][0]}")
        flawed = [(e, wrong) for e, wrong in zip(todo, found, strict=True) if wrong]
        for exercise, wrong in flawed[: args.flaws]:
            tqdm.write(f"    {exercise.prompt} ({exercise.width}x{exercise.height})")
            for line in wrong:
                tqdm.write(f"      {line}")
        report["kinds"][kind] = {"title": EXERCISES[kind][0], **score.as_data(), "refused": refused}
    if args.json:
        write_atomic(args.json, dump_json(report))


def seconds_per_plan(backend: BundledBackend, count: int = 10) -> float:
    """The median time of planning one prompt, both questions."""
    planner, spent = Planner(backend), []
    for exercise in exercises("list", count, seed=2):
        begin = time.perf_counter()
        with suppress(PlanError):
            planner.plan(exercise.prompt, exercise.width, exercise.height)
        spent.append(time.perf_counter() - begin)
    return sorted(spent)[count // 2]


if __name__ == "__main__":
    main()
