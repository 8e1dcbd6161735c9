"""What following loses where texts ride along at every second, fourth or eighth step alone (a routing's `refresh`).

The scenes are those of `strata.analysis.methods`: crowds of one kind and of two whose looks are swapped, with a high
and a low text a region. The same scenes are drawn from the same seeds by the same routing, with another `refresh`.

`python -m benchmarks.refresh --scenes 24` draws, goes on where it was stopped, and prints the table.
"""

from __future__ import annotations

from collections.abc import Sequence

from strata.analysis.crowds import scenes
from strata.analysis.methods import KINDS, as_data, key, result, study, table
from strata.analysis.studies import open_study, study_parser
from strata.analysis.trials import Judge
from strata.injection.pipeline import RegionalPipeline

REFRESHED = (1, 2, 4, 8)
REGIONS = (2, 4, 6, 8)


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the table and writes refresh.json beside the journal."""
    parser = study_parser("What following loses where texts ride along at some steps alone", "refresh", 24)
    with open_study(parser, argv) as opened:
        args = opened.args
        drawn_by = {
            f"refresh {n}": RegionalPipeline(opened.pipe, opened.routing.model_copy(update={"refresh": n}))
            for n in REFRESHED
        }
        todo = {
            (kind, many): scenes(kind, many, args.scenes, args.seed, "counts") for many in REGIONS for kind in KINDS
        }
        keys = [key(*sort, n, name) for n in range(args.scenes) for sort in todo for name in drawn_by]
        opened.draw("refresh", keys, study(drawn_by, todo, args.steps, opened.journal, Judge()))
        found = result(opened.journal, list(drawn_by), REGIONS, args.scenes)
        print(table(found))
        opened.write(refresh=as_data(found))


if __name__ == "__main__":
    main()
