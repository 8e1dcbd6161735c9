"""A prompt in the planner's own words: what the model is given in place of what a user wrote.

Spelling, synonyms, numbers, contractions and fixed phrases ("in the upper left-hand corner of the picture") become
words of one small vocabulary; background and style of the picture, where they are said outright, move to the end. How
the words belong together is left to the model. Words that name what cannot be drawn are refused, words that carry
nothing passed over.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from strata.llm.backends.bundled.reading.absent import without_absent
from strata.llm.backends.bundled.reading.corrections import corrected_words
from strata.llm.backends.bundled.reading.designing import DESIGNING
from strata.llm.backends.bundled.reading.dropping import without_asides
from strata.llm.backends.bundled.reading.everyday import SPELLED, UNNAMED
from strata.llm.backends.bundled.reading.grounds import EMPTY_GROUND, GROUNDS, SETTING, SETTING_IS
from strata.llm.backends.bundled.reading.lettering import refuse_lettering
from strata.llm.backends.bundled.reading.lexicon import EMPTY, NEAREST, SILENT, TELLING, nearest
from strata.llm.backends.bundled.reading.losses import refuse_losses
from strata.llm.backends.bundled.reading.notation import as_prose
from strata.llm.backends.bundled.reading.phrases import (
    BY_TIMES,
    NOT,
    OUTRIGHT,
    PHRASES,
    PICTURE,
    STRIPES,
    STYLE,
    STYLE_PHRASES,
    TOO_MANY,
    VAGUE,
    Refused,
    in_one_tone,
)
from strata.llm.backends.bundled.reading.slips import corrected, familiar, phrase_words
from strata.llm.backends.bundled.reading.spoken import MARKS, written_out
from strata.llm.backends.bundled.reading.tidying import tidied
from strata.llm.backends.bundled.reading.verbs import VERBS
from strata.llm.backends.bundled.reading.vocabulary import (
    CONTENT,
    MOST_THINGS,
    NAMES,
    NOUNS,
    NUMBERS,
    SIDES,
    SINGULAR,
    VOCABULARY,
)
from strata.llm.backends.bundled.world import COLOURS, KINDS, PATTERNS, SETTINGS, SIZES, STYLES, SURFACES, TONES


@dataclass(frozen=True)
class Reading:
    """A prompt in the planner's words, or why it is refused."""

    text: str
    """Words of `VOCABULARY`, with spaces between them."""
    ignored: tuple[str, ...] = ()
    """Words of the prompt that were passed over and may have meant something."""
    refusal: str | None = None
    """Why the planner cannot draw it, in words."""

    @property
    def tokens(self) -> list[str]:
        """The words one by one."""
        return self.text.split()

    @property
    def content(self) -> str:
        """Those that describe what is seen."""
        return " ".join(w for w in self.tokens if w in CONTENT or SINGULAR.get(w) in KINDS)


@lru_cache(maxsize=512)
def read(prompt: str) -> Reading:
    """A prompt in the planner's words."""
    try:
        return _Reader().read(prompt)
    except Refused as refused:
        return Reading("", (), str(refused))


class _Reader:
    """Reads one prompt."""

    def __init__(self) -> None:
        self.ignored: list[str] = []
        self.endings: list[str] = []

    def read(self, prompt: str) -> Reading:
        refuse_lettering(prompt)
        text = without_asides(written_out(as_prose(_plain(prompt))))
        text = without_absent(self._named(_spelled(text)))
        text = self._style(text)
        text = EMPTY_GROUND.sub(" ", text)
        if match := NOT.search(text):
            raise Refused(f'the bundled planner does not understand "{match[0]}"; say what is to be seen')
        if match := BY_TIMES.search(text):
            raise Refused(
                f'the bundled planner does not understand "{match[0].strip()}"; say a number before the object'
            )
        text = STRIPES.sub(in_one_tone, self._background(text))
        said = text
        for pattern, by in PHRASES:
            text = _spaced(pattern.sub(by, text))  # type: ignore[call-overload]
        tokens = _tones_refused(corrected_words(self._words(text.split())))
        _refuse_counts(tokens)
        text = tidied(" ".join([*tokens, *(f". {ending}" for ending in sorted(self.endings))]))
        if not set(MARKS) & set(said.split()):  # else some of it was taken back
            refuse_losses(said, text)
        return Reading(text, tuple(dict.fromkeys(self.ignored)))

    def _named(self, text: str) -> str:
        """Synonyms that do not depend on what stands around them, and slips of the pen."""
        words = []
        for word in text.split():
            known = word if word in familiar() else corrected(word) or word
            if known != word and known in ("stripped",):
                known = word
            name = NAMES.get(known, known)
            if name in (*SURFACES, *TONES, *COLOURS, *SIZES, "background", "stripes", "dots", "checks", "is"):
                known = name
            elif known in ("centre", "middle", "midst", "centres"):
                known = "center"
            elif known in ("hand", "handed", "handside"):
                known = "hand"
            words.append(known)
        text = UNNAMED.sub(r"a \1 object", f" {' '.join(words)} ")
        text = re.sub(r"\brose(?=s? (?:[.,:]|$|on|in|at|is|and|above|below|with))", "rosebush", text)
        return re.sub(r"\b(?:back (?:ground|drop))\b", "background", text)

    def _style(self, text: str) -> str:
        for pattern, by in STYLE_PHRASES:
            text = re.sub(pattern, by, text)
        text = _spaced(text)
        mentioned = re.findall(rf"\b{STYLE}\b", text)
        found: list[str] = []

        def take(match: re.Match[str]) -> str:
            style = next(group for group in match.groups() if group)
            if len(set(mentioned)) > 1 and not re.match(
                rf"(?:make|have|do|everything|all|whole|it |the (?:style|whole|entire|{PICTURE})|style)", match[0]
            ):
                return match[0]
            found.append(style)
            return " , " if match.string[match.end() :].strip() else " "

        text = re.sub(
            r" (?:(?:have|see|get|draw|make|do|want|like|me|us|show|give|create|paint|render|produce|be|i|you|is|need"
            rf"|could|can|would|will|may|might|some) )+(?=(?:an? )?{STYLE} (?:of|showing) )",
            " , ",
            text,
        )
        text = OUTRIGHT.sub(take, text)
        if len(set(found)) > 1:
            raise Refused(f'the picture has one style, not "{found[0]}" and "{found[1]}"')
        if found:
            self.endings.append(f"style {found[0]}")
            text = re.sub(r"(?<=, ) *(?:of|showing|with|that shows)(?= )|^ , (?:of|showing|with) ", " ", text)
        return _spaced(text)

    def _background(self, text: str) -> str:
        looks: list[str] = []

        def take(match: re.Match[str]) -> str:
            words = match["look"].replace(",", " ").split()
            if strange := [w for w in words if w in COLOURS or w in ("dotted", "outlined")]:
                raise Refused(
                    f'the bundled planner cannot draw a "{strange[0]}" background; it draws {", ".join(PATTERNS)}'
                    f" ones in {', '.join(TONES)}"
                )
            swaps = {"solid": "plain", "simple": "plain", "fading": "gradient", "shaded": "gradient"}
            words = [swaps.get(word, word) for word in words]
            if not any(word in TONES for word in words):
                words = [{"dark": "black", "light": "white", "pale": "white"}.get(word, word) for word in words]
            looks.extend(words)
            return " , "

        for pattern in GROUNDS:
            text = _spaced(pattern.sub(take, text))
        settings: list[str] = []

        def settle(match: re.Match[str]) -> str:
            settings.append(str(match.lastgroup))
            self._words_of_setting.append(match[0])
            return " , " if re.match(r" (?:an?|the|two|three|four|five|six)\b", match.string[match.end() :]) else " "

        self._words_of_setting: list[str] = []
        text = SETTING_IS.sub(" ", text)
        text = _spaced(SETTING.sub(settle, text))
        patterns = list(dict.fromkeys(w for w in looks if w in PATTERNS and w != "plain"))
        tones = list(dict.fromkeys(w for w in looks if w in TONES))
        plain = ["plain"] if "plain" in looks and not patterns else []
        if len(patterns) > 1 or len(tones) > 1:
            two = patterns if len(patterns) > 1 else tones
            if set(two) != {"white", "black"}:
                raise Refused(f'the background is of one kind, not "{two[0]}" and "{two[1]}"')
            tones = ["black"]
        by_place = [s for s in dict.fromkeys(settings) if s != "night"]
        if len(by_place) > 1:
            raise Refused(f'the background is one, not "{by_place[0]}" and "{by_place[1]}"')
        if by_place and "night" in settings:
            self.ignored.append("night")
            settings = by_place
        if settings and (patterns or tones or plain):
            raise Refused(f'the background is one, not "{settings[0]}" and "{(patterns + tones + plain)[0]}"')
        if settings:
            self.endings.append(f"background {settings[0]}")
        elif looks:
            self.endings.append(" ".join(["background", *plain, *patterns, *tones]))
        return text

    def _words(self, words: list[str]) -> list[str]:
        """Each word in the planner's own, but for those that carry nothing."""
        kept: list[tuple[str, str]] = []
        plural = False
        """Words and what they are in a sentence: det, look, thing, link, mark; "?" for unknown ones."""
        words = [w for w in words if w not in SILENT or w in VOCABULARY]
        for i, word in enumerate(words):
            name = NAMES.get(word, word)
            after = words[i + 1] if i + 1 < len(words) else ""
            if word.isdigit():
                if word not in "12345678" or len(word) > 1:
                    raise Refused(f'the bundled planner places one to {MOST_THINGS} objects, not "{word}"')
                name = "a" if word == "1" else NUMBERS[int(word) - 2]
            if word in TOO_MANY:
                raise Refused(f'the bundled planner places at most {MOST_THINGS} objects, not "{word}"')
            if VAGUE.fullmatch(word):
                raise Refused(f'does not say how many: "{word}"; say a number')
            if word == "oranges" or (word == "orange" and words[i - 1 : i] == ["an"] and _ends(after)):
                raise Refused(_cannot("thing", word, "circle"))
            if name == "background":
                rest = " ".join(NAMES.get(w, w) for w in words[i + 1 :])
                if any(w in (*TONES, *COLOURS, *SURFACES, *PATTERNS) for w in re.split("[.,:]", rest)[0].split()):
                    raise Refused(f'the bundled planner does not understand "{word}" as it is said here; say it first')
                continue
            if name in MARKS:
                kept.append((name, "mark"))
                continue
            name = "fishes" if name == "fish" and plural else name
            plural = name in NUMBERS or (plural and _part(name) == "look")
            if name in VOCABULARY:
                kept.append((name, _part(name)))
            elif word in EMPTY or (word in VERBS and not nearest(word)):
                self.ignored.append(word)
                if [part for _, part in kept[-2:]] == ["look", "mark"] and _is_kind(NAMES.get(after, after)):
                    kept.pop()  # "a small, sleeping boat"
            elif found := nearest(word):
                raise Refused(_cannot(found[0], _compound(words, i), found[1]))
            elif word in TELLING:
                raise Refused(
                    f'the bundled planner does not understand "{word}" as it is said here; say it another way'
                )
            elif word in phrase_words():
                continue
            else:
                kept.append((word, "?"))
        return self._without_unknown(kept)

    def _without_unknown(self, kept: list[tuple[str, str]]) -> list[str]:
        """Passes over what no list has, unless its place in the sentence says that it names a thing."""
        out: list[str] = []
        for i, (word, part) in enumerate(kept):
            if part != "?":
                out.append(word)
                continue
            before = next((p for _, p in reversed(kept[:i]) if p != "?"), "mark") if i else "mark"
            direct = kept[i - 1][1] if i else "mark"
            after, beyond = ([part for _, part in kept[i + 1 : i + 3]] + ["mark", "mark"])[:2]
            is_manner = word.endswith(("ly", "ing", "ed")) and before != "det"
            names = before in ("det", "look") and direct in ("det", "look", "?") and after not in ("thing", "look", "?")
            names |= direct == "link" and after in ("mark", "link") and not is_manner
            names |= direct == "?" and before == "mark" and after == "link"
            names |= len(word) > 1 and direct == "mark" and after in ("mark", "link") and not is_manner
            joined = direct == "det" or (i > 0 and kept[i - 1][0] == "and")
            names |= joined and after == "look" and beyond in ("mark", "link")  # "and a thingy red"
            if not any(c.isascii() and c.isalnum() for c in word) or re.search(r"[^\x00-\x7f]", word):
                raise Refused(f'the bundled planner does not know "{word}"')
            if names and not word.endswith("ly"):
                raise Refused(f'the bundled planner does not know "{word}"; it draws {", ".join(KINDS)}')
            self.ignored.append(word)
        return out


def _tones_refused(words: list[str]) -> list[str]:
    """The words without what is said of backgrounds only, which things cannot be."""
    for i, word in enumerate(words):
        if word in TONES or word in ("plain", "gradient"):
            if word == "plain":
                continue
            if word in ("white", "black") and words[i + 1 : i + 2] in (["stripes"], ["dots"], ["checks"], ["outline"]):
                continue
            hint = NEAREST["colour"].get(word)
            raise Refused(
                f'the bundled planner knows "{word}" of backgrounds only; objects are {", ".join(COLOURS)}'
                + (f" (nearest: {hint})" if hint else "")
            )
    return [word for word in words if word not in ("plain", *TONES)]


_SORTS = {
    "thing": ("", KINDS),
    "colour": (" the colour", COLOURS),
    "surface": (" the surface", SURFACES),
    "style": (" the style", STYLES),
}
_BACKGROUNDS = (" the background", (*(f"{pattern} ones" for pattern in PATTERNS), *SETTINGS))


def _cannot(sort: str, word: str, hint: str) -> str:
    what, valid = _SORTS.get(sort, _BACKGROUNDS)
    return f'the bundled planner cannot draw{what} "{word}"; nearest: {hint}; it draws {", ".join(valid)}'


def _compound(words: list[str], i: int) -> str:
    """A word with the one before it that belongs to its name: "rocking chair"."""
    before = words[i - 1] if i else ""
    own = before.isalpha() and (before.endswith("ing") or before not in familiar()) and before not in VOCABULARY
    return f"{before} {words[i]}" if own else words[i]


def _ends(after: str) -> bool:
    return after in ("", ".", "above", "below", "beside", "inside", "with") or after.startswith("at")


def _part(name: str) -> str:
    if name in (*COLOURS, *SURFACES, *SIZES, *STYLES, *TONES, "smaller", "larger", "plain", "same", *SIDES):
        return "look"
    if (
        name in NOUNS
        or name in SINGULAR
        or name in ("one", "ones", "stripes", "dots", "checks", "outline", "it", "them")
    ):
        return "thing"
    if name in ("a", "the", "its", "each", "both", "all", "another", "other", *NUMBERS):
        return "det"
    if name in (".", ",", ":", "and", "but", "is", "that"):
        return "mark"
    return "link"


def _spaced(text: str) -> str:
    return f" {' '.join(text.split())} "


def _plain(prompt: str) -> str:
    """The prompt in lower case with plain quotes."""
    text = unicodedata.normalize("NFKC", prompt).lower()
    return re.sub("[\u201c\u201d]", '"', re.sub("[\u2018\u2019]", "'", text))


def _spelled(text: str) -> str:
    for pattern, by in (*DESIGNING, *SPELLED):
        text = re.sub(pattern, by, text)
    return re.sub(r"( [.,:])(?: [.,])+(?= )", r"\1", _spaced(text))


def _is_kind(token: str) -> bool:
    return token in NOUNS or token in SINGULAR


def _refuse_counts(tokens: list[str]) -> None:
    flat = f" {' '.join(tokens)} "
    first = next((i for i, token in enumerate(tokens) if _is_kind(token)), None)
    if pronouns := [t for t in tokens[:first] if t in ("it", "its", "them")]:
        raise Refused(f'"{pronouns[0]}" refers to nothing before it; name the object')
    for i, token in enumerate(tokens):
        back = i - 1
        while back >= 0 and _part(tokens[back]) == "look":
            back -= 1
        counts = (*NUMBERS, "the", "all", "both", "each", "other", "them", "rowof", "columnof", "same", "is", "last")
        if (
            token in SINGULAR
            and not {token, SINGULAR[token]} & set(tokens[:i])
            and not (back >= 0 and tokens[back] in counts)
            and not {"incorners", "eitherside"} & set(tokens)
        ):
            raise Refused(f'does not say how many "{token}"; say a number')
    shapes = "circle|square|triangle|star|heart|ring|cross"
    if match := re.search(rf" (?:{'|'.join(SINGULAR)}) in a ({shapes}) ", flat):
        raise Refused(f'the bundled planner does not know whether "in a {match[1]}" is inside of one; say "inside a"')
    if first is None:
        raise Refused(f"names no object that the bundled planner knows; it draws {', '.join(KINDS)}")
    look = "|".join((*COLOURS, *SURFACES))
    if match := re.search(
        rf" (?:a|one) (?:(?:small|large) )?({'|'.join(COLOURS)}) and ({'|'.join(COLOURS)})"
        rf" (?:(?:{look}) )*({'|'.join(KINDS)}) ",
        flat,
    ):
        raise Refused(f'an object has one colour, not "{match[1]}" and "{match[2]}"')
