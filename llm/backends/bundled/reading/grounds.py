"""Backgrounds as they are said: settings ("out on the open sea") and patterns with tones ("on plain white")."""

from __future__ import annotations

import re

from strata.llm.backends.bundled.world import COLOURS

_SETTING_ADJECTIVE = (
    r"(?:(?:completely|totally|very|really|quite|wide|open|calm|blue|deep|wide|rough|stormy|green|grassy|lush"
    r"|sunny|hot|dry|sandy|dark|clear|starry|quiet|empty"
    r"|vast|big|large|endless|black|flowery|peaceful|yellow|golden|summer|tall|choppy|wavy|beautiful|barren|still) )*"
)
_SETTING_NOUN = (
    r"(?:(?P<meadow>meadows?|fields?|grass|pastures?|grasslands?|lawns?)|(?P<sea>seas?|oceans?|water|waters|waves)"
    r"|(?P<night>night ?sky|night ?time|nights?|midnight|starry sky|starlit sky|moonlight)|(?P<desert>deserts?|sands?"
    r"|(?:sand )?dunes?))"
)
SETTING = re.compile(
    rf"\b(?:(?:all |both )?(?:set |somewhere )?(?:out |up )?(?:on|in|at|by|near|over|above|under|underneath|beneath"
    rf"|below|across|against|along|among|through|upon|into|onto|next to|beside|with|during|amid|off|of"
    rf"|in the middle of|in front of|from|around|for|to) )?(?:an? |the "
    rf"|its )?{_SETTING_ADJECTIVE}{_SETTING_NOUN}(?: (?:background|backdrop|scene|setting|landscape"
    rf"|scenery))?(?: (?:behind (?:it|them|everything)|in the background|as (?:the |a )?(?:background|backdrop)))?\b"
)
SETTING_IS = re.compile(
    rf"\b(?:the |with |its )*(?:background|backdrop|setting|scenery)(?: (?:is|:|should be|shows|of|being))?(?= (?:an? "
    rf"|the )?{_SETTING_ADJECTIVE}{_SETTING_NOUN}\b)"
)
_GROUND_WORD = "(?:plain|gradient|checkered|striped|white|grey|black|solid|simple|light|dark|pale|fading|shaded|smooth)"
_ANY_LOOK = "|".join((*COLOURS, "dotted", "outlined"))
_GROUND_NOUN = r"(?:background|canvas|paper|ground|surface|page|sheet|screen|wall)"
GROUNDS = (
    re.compile(
        rf"\b(?:all |both )?(?:set )?(?:(?:in the (?:middle|center) of|on|against|with|over|in front of|upon|before|in"
        rf"|onto|of|and) )?(?:an? |the |its |only )?(?P<look>(?:(?:(?<= a ){_GROUND_WORD} , |(?:{_GROUND_WORD}"
        rf"|{_ANY_LOOK})(?: (?:and|to|pattern))? ))*(?:{_GROUND_WORD}|{_ANY_LOOK}))(?: (?:coloured|colored|pattern"
        rf"|patterned))? {_GROUND_NOUN}\b(?! (?:is|:|should|must) )"
    ),
    re.compile(
        rf"\b(?:and )?(?:with |on |against )?(?:the |its |an? )?background(?: (?:is|:|should be|must be|in|of|being"
        rf"|made|with|to be|shall be|colou?r|pattern))*(?: an?)? (?P<look>(?:(?:{_GROUND_WORD}|{_ANY_LOOK}|and|,"
        rf"|to) )*(?:{_GROUND_WORD}|{_ANY_LOOK}))(?: (?:one|pattern|colou?r))?(?= (?:[.,:]|and |with |in |as |drawn "
        rf"|painted |$))"
    ),
    re.compile(
        r"\b(?:all |both )?(?:on|against) (?:an? |the )?(?P<look>(?:plain |light |dark )?(?:white|grey"
        r"|black))(?= (?:[.,:]|and |with |$))"
    ),
)
"""A background said outright: its words are group 1."""
EMPTY_GROUND = re.compile(
    r"\b(?:on|against|with|over|in front of) (?:an? |the |no |its )background\b|\bno background\b|\bnothing (?:else"
    r"|more)\b|\bno (?:text|words?|letters|people|other objects|other (?:things|stuff|shapes|items)|frame|border)\b"
)
