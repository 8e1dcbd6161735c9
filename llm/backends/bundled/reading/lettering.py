"""Words that are to be written in the picture: nothing can write them, so they are refused by what they say."""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.phrases import Refused

_WRITES = (
    r"(?:(?:with |has |have |and |of |in )*(?:the |a |some |my |your |our |her |his )?(?:words?|letters?|lettering"
    r"|text|caption|captions|inscription|slogan|message"
    r"|title|heading|headline|label|labels|name|names|initials|monogram|number|numbers|digits?|phrase|sentence"
    r"|signature|speech bubble|typography|font|writing|handwriting|logo text|wordmark|alphabet"
    r"|watermark|quote|greeting|hashtag)"
    r"|write|writes|writing|written|wrote|says?|saying|said|reads|reading|spells?|spelling|spelt|spelled|captioned"
    r"|labell?ed|titled|called|named|inscribed|engraved|printed|typed|signed)"
)
_QUOTED = r"(?:\"([^\"]+)\"|“([^”]+)”|(?<!\w)'([^']+)'(?!\w)|«([^»]+)»)"
_ALWAYS = re.compile(
    r"\b(?:(?:with|has|have|having|and|of|in|add|set|place|put|include|draw|show|write|the|some|a)\s+)(?:the |some |my"
    r" |your |our |a )?"
    r"(letters?|lettering|text|caption|inscription|slogan|wordmark|initials|monogram|speech bubble|typography"
    r"|handwriting|digits?|alphabet|watermark|hashtag|headline|tagline|subtitle|strapline)\b[^.;!?\n]*",
    re.IGNORECASE,
)
_WRITE = re.compile(
    r"(?:\b(?:my|our|his|her|the|your|their) (?:full |first )?(?:name|names|address"
    r"|title)\b[^.;!?\n]{0,40}?)?\b(?:write|writing|written|inscribed|engraved|captioned|labell?ed|spelling|spell"
    r"|spells|spelt)\b(?! "
    r"(?:down|up|about|out)\b)([^.;!?\n]*)",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"\b{_WRITES}\s*(?:is|are|:|=|,|of|that says|saying|reading|like|in big letters)*\s*{_QUOTED}", re.IGNORECASE
)
_CODE = re.compile(
    r"\b(?:text|caption|label|title|string|font|lettering)\s*[\"']?\s*[:=]\s*[\"']?([^\"';,)}\]\n]+)", re.IGNORECASE
)
_SHOUTED = re.compile(
    r"\b(?:words?|letters?|text|name|title|slogan|caption|says?|reads|saying|reading|labell?ed|titled|spells?)\s+"
    r"([A-Z][A-Z\d!&'-]+(?:\s+[A-Z][A-Z\d!&'-]+)*)"
)
_SIGN = re.compile(
    r"\b(?:the )?words? (?!of\b|is\b|for\b|on\b|to\b|list\b|problem\b|bank\b|page\b)([a-z]+(?: [a-z]+){0,3})"
    r"(?= (?:on|in|under|below|beneath|above|over|across|at|set|written|next)\b|[.,!?]|$)",
    re.IGNORECASE,
)
_TAUGHT = re.compile(
    r"(?:\b(?:for|to (?:teach|show|learn|practi[sc]e|explain)|about|(?:our|my|the|today's|new) (?:[\w ]+ )?"
    r"(?:word|topic|theme|lesson)(?: of the day)?(?: is)?|card for|sheet for|page for|word)\s*)"
    rf"{_QUOTED}|{_QUOTED}\s+is (?:our|the|my)\b",
    re.IGNORECASE,
)


def refuse_lettering(prompt: str) -> None:
    """Raises `Refused` where a prompt asks for words in the picture; names them."""
    rest = _TAUGHT.sub(" ", prompt)
    for pattern in (_NAMED, _CODE, _SHOUTED):
        if match := pattern.search(rest):
            raise _refused(match[0], next(group for group in match.groups() if group))
    quoted = re.search(_QUOTED, rest)
    if quoted and not re.search(r"[{}\[\]=]", rest) and re.search(rf"\b{_WRITES}\b", rest, re.IGNORECASE):
        raise _refused(quoted[0], quoted[0])
    for pattern in (_ALWAYS, _WRITE, _SIGN):
        if match := pattern.search(rest):
            raise _refused(match[0], match[1])
    for match in re.finditer(_QUOTED, rest):
        said = next(group for group in match.groups() if group)
        before = rest[: match.start()].rstrip()
        if not re.search(r"[{:=,(\[]$", before) and not re.search(r"[}\]=(]", rest):
            raise _refused(said, said)


def _refused(whole: str, words: str) -> Refused:
    told = " ".join(whole.replace('"', "").split())
    said = " ".join(words.replace('"', "").split())
    shown = told if said in told else f"{told}: {said}"
    return Refused(f'the bundled planner cannot write text in a picture, "{shown}"; nearest: a picture without text')
