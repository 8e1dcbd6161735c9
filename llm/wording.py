"""The words of a question: what is known and what is asked, in one user turn of lines that never vary in form.

```
Task: layout
Canvas: 1024x768
Regions: 2
Region 1: left [0, 0, 500, 1000]: a lighthouse
Style: oil painting
Background: a stormy sea
Prompt: "a lighthouse and a ship, oil painting"
```

Every line but the first, the second and the last may be missing. The prompt is JSON, so that nothing in it can pass
for another line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from strata.hierarchy.plan import Box
from strata.llm.answer import Task
from strata.llm.places import place_of


@dataclass(frozen=True)
class Known:
    """What is known of a region before a question: its box on the 0-1000 grid, and its content."""

    box: Box | None = None
    content: str | None = None


@dataclass(frozen=True)
class Brief:
    """What one question asks."""

    task: Task
    prompt: str
    width: int
    height: int
    count: int | None = None
    """Exactly so many objects; None where the model decides."""
    regions: Sequence[Known] = ()
    style: str | None = None
    background: str | None = None

    def text(self) -> str:
        """The user turn."""
        lines = [f"Task: {self.task}", f"Canvas: {self.width}x{self.height}"]
        if self.count is not None:
            lines.append(f"Regions: {self.count}")
        for number, region in enumerate(self.regions, start=1):
            parts = [f"Region {number}"]
            if region.box is not None:
                parts.append(f"{place_of(region.box)} {list(region.box)}")
            if region.content is not None:
                parts.append(_line(region.content))
            lines.append(": ".join(parts))
        if self.style:
            lines.append(f"Style: {_line(self.style)}")
        if self.background:
            lines.append(f"Background: {_line(self.background)}")
        lines.append(f"Prompt: {json.dumps(self.prompt, ensure_ascii=False)}")
        return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())
