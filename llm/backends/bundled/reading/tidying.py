"""The planner's words of a prompt without what others left behind."""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.vocabulary import ARRANGED, PLACE_TOKENS, RELATIONS


def tidied(text: str) -> str:
    """Without small words that lost what they belonged to, and with one mark at a time."""
    relation = "|".join((*RELATIONS, *PLACE_TOKENS, *ARRANGED))
    text = f" {' '.join(text.split())} "
    for _ in range(3):
        for pattern, by in (
            (r"\bis (?=is\b|a\b|an\b|one\b|the\b|two\b|three\b|four\b|five\b|six\b|seven\b|eight\b)", ""),
            (rf"\b(?:that )?is (?=(?:{relation})\b)", ""),
            (rf"\bthat (?=(?:with|in|on|{relation})\b)", ""),
            (r" (?:with|and|in|on|at|a|the|is|that|but)(?= (?:[.,:]|$))", ""),
            (r" (?:in|on|at) (?=with |in |on |at |and |is )", " "),
            (rf" (?:in|on|at|with|a|the) (?=(?:{'|'.join(PLACE_TOKENS)}|incorners|inrow|incolumn|ltr|ttb)\b)", " "),
            (r" and , ", " , "),
            (r"\battop (?=above\b)", ""),
            (r"(?: [.,:])* \.(?: [.,:])*", " ."),
            (r"(?: ,)* :(?: [,:])*", " :"),
            (r"(?: ,)+", " ,"),
            (r"^(?: (?:[.,:]|and|with|that|but|is|it))+(?= )", ""),
            (r"\bwith and\b|\band with (?=and\b)", "and"),
            (r"\band(?: and)+\b", "and"),
            (r"\b(a|the|with|is|in) \1\b", r"\1"),
            (r"\ba the\b", "the"),
        ):
            text = f" {' '.join(re.sub(pattern, by, text).split())} "
    return re.sub(r"(?: [.,:])+$", "", text.rstrip()).strip()
