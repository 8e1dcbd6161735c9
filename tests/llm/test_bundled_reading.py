"""How ordinary sentences are read: what is rewritten, what is resolved, what is refused; each kind with a case."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from strata.hierarchy.errors import InputError
from strata.llm.backends.bundled.answers import Truth, settle
from strata.llm.backends.bundled.checks import fault, refusal, scene_of
from strata.llm.backends.bundled.composing import composed, parted
from strata.llm.backends.bundled.grammar.scene import Scene, fault_of, surrounds
from strata.llm.backends.bundled.placement import HALVES, Front, Inside, Row, fit
from strata.llm.backends.bundled.reading import notation, words
from strata.llm.backends.bundled.reading.dropping import without_loss
from strata.llm.backends.bundled.reading.lettering import refuse_lettering
from strata.llm.backends.bundled.reading.losses import refuse_losses
from strata.llm.backends.bundled.reading.phrases import Refused
from strata.llm.backends.bundled.reading.words import read
from strata.llm.backends.bundled.retelling import laid_out, retold
from strata.llm.backends.bundled.sentences import load_sentences
from strata.llm.backends.bundled.teaching.phrasing import random_prompt
from strata.llm.backends.bundled.world import Backdrop, Thing


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        # asides: politeness, hours, people, lessons, stories
        ("Might I trouble you for a star, if it is no trouble? Many thanks.", "a star"),
        ("My late aunt was fond of them. A red boat.", "a red boat"),
        ("As evening fell, a yellow moon slept above a house.", "a yellow moon above a house"),
        ("Please show the class a green cup.", "a green cup"),
        ("The worksheet has a blue heart on it.", "a blue heart"),
        ("The queen was a purple star.", "a purple star"),
        ("If you happen to have the time, a small tree.", "a small tree"),
        # speech and short messages
        ("a ring comma striped full stop", "a ring , striped"),
        ("u there? 1 lrg blu cup btm left thx", "a large blue cup atbottomleft"),
        ("tree w/ a moon ovr it", "tree with a moon above it"),
        # what is taken back
        ("a red boat no wait make it blue", "a blue boat"),
        ("two stars no sorry three stars", "three stars"),
        ("a sun at the top, I meant at the bottom", "a sun atbottom"),
        ("a house, scratch that, a tree", "a tree"),
        ("a tree behind a car no the other way round a car behind a tree", "a car behind a tree"),
        ("a red, no, a blue house", "a blue house"),
        # code, forms, lists
        ("shape=star, color=yellow, bg=black", "a yellow star . background black"),
        ("draw(heart, fill='red'); style = 'pixel'", "a red heart . style pixel"),
        ("sun above house; sun.color = yellow", "sun above house . the sun is yellow"),
        ("b = heart(pink); c = cup(red); b inside c", "a pink heart . a red cup . the pink heart inside the red cup"),
        ('[{"shape": "moon", "at": "top left"}]', "a moon attopleft"),
        ("for each corner: draw star(cyan)", "incorners a cyan star"),
        ("objects = [circle(blue)] * 3; arrange = row", "three blue circle . inrow"),
        ('<boat color="red"/>', "a red boat"),
        # orders of layout
        ("Pin a ring to the top.", "a ring attop"),
        ("Frame the sun with a ring.", "the sun surrounded a ring"),
        ("row: star, moon", "inrow : star , moon"),
        ("four hearts, each in its own corner", "four hearts , incorners"),
        ("a tree in the down left corner", "a tree atbottomleft"),
        ("a flower with a cup to its left, flat style throughout", "a flower with a cup leftof it . style flat"),
        ("a star with dots all over it", "a star with dots"),
        ("a moon, gradient behind", "a moon . background gradient"),
        ("Flush left: a blue square. Flush right: a cup.", "atleft : a blue square . atright : a cup"),
        ("moon in the left column, star in the right column", "moon atleft , star atright"),
        ("A 2x2 grid of stars on white.", "two rowsof two stars . background white"),
        ("the middle third stays empty, a cup on the left", "a cup atleft"),
        ("Header row: three stars. Beneath: a moon.", "toprow : three stars . below it a moon"),
        ("On a striped backdrop: a moon.", "a moon . background striped"),
        # headings, orders to check, reports, chatter
        ("Layout v2: cloud on the left.", "cloud atleft"),
        ("Regression: two rings.", "two rings"),
        ("Composition on a striped backdrop: a moon.", "a moon . background striped"),
        ("Verify that a ring is above a cup.", "a ring above a cup"),
        ("The deliverable is just a green star.", "a green star"),
        ("She's asking for a fish, and he says it's in the sea.", "a fish . background sea"),
        ("Two stars for the rating widget, please.", "two stars"),
        ("Not sure if you can do this, but a yellow cross.", "a yellow cross"),
        ("a blue boat cause thats my favourite", "a blue boat"),
        ("do you do flowers? if so, two of them", "two flowers"),
        # forms of code
        ("draw_star(color='red')", "a red star"),
        ("circle | red | left; square | blue | right", "circle , red , atleft . square , blue , atright"),
        ("triangle: fill=none, stroke=green", "triangle , outlined , green"),
        ("insert into scene values ('ring', 'cyan')", "a cyan ring"),
        ("above(sun(yellow), house(red))", "a yellow sun above a red house"),
        ("loop 3 times and draw a pink fish each time, laid out in a row", "three pink fishes , inrow"),
        ("python draw.py --shape ring --color pink", "a pink ring"),
        ("tree count = 2, house count = 1", "two tree , a house"),
        ("const cups = Array(3).fill('blue cup')", "three blue cup"),
        ("- boat: red, left - cup: blue, right", "boat , red , atleft . cup , blue , atright"),
        ("[cloud][cloud] // row", "cloud , cloud . inrow"),
        ("feat(scene): add a red boat below a cloud", "a red boat below a cloud"),
        ("loop over red and blue and draw one square for each", "a red square , a blue square"),
        ("A is a red star, B is a cup. A is left of B", "a red star , a cup . the red star leftof the cup"),
        ('{"objects": [{"type": "car"}, {"type": "cup"}], "style": "neon"}', "a car a cup . style neon"),
        ("- boat: red\n- cup: blue", "boat , red . cup , blue"),
        ("3 stars; stars[0].color = red", "three stars . the first star is red"),
        ("That was a lovely star. Now a moon.", "a moon"),
        # corners by twos, lines, headings by style
        ("a star in each of the top corners", "a star attopleft and a star attopright"),
        ("fill the corners with rings, one each", "rings incorners"),
        ("line up three cups", "rowof three cups"),
        ("Layout as pixel art: a boat", "a boat . style pixel"),
        ("set the style of the whole scene to pencil, a cup", "a cup . style pencil"),
        ("a ring round a heart", "a ring around a heart"),
        ("a moon half hidden by a cloud", "a moon behind a cloud"),
        ("a house. the pattern on the background is striped", "a house . background striped"),
        # what frames must leave: looks
        ("I hope this is fine: a red boat", "a red boat"),
        ("Two houses. That reminds me of home.", "two houses"),
        ("a red boat, wait is that too boring? add a sun", "a red boat , a sun"),
        ("a boat in pencil. Many thanks, Dorothy", "a boat in pencil"),
        ("a house and two love hearts", "a house and two hearts"),
        ("a cup so lonely that it sat all by itself", "a cup"),
        ("My husband and I are old. One ring.", "one ring"),
        # recaps, counting up, turns
        ("cloud boat no scratch the boat so two clouds and a fish", "two clouds and a fish"),
        ("one tree two trees three trees in a row", "three trees inrow"),
        ("four discs alternating red and pink", "four circles : red , pink , red , pink"),
        ("a ring with a cup inside it, flat style for the whole thing", "a ring with a cup inside it . style flat"),
        # what is absent
        ("my house is red and there is no car", "house is red"),
        ("boat: left. car: right. no sun.", "boat : atleft . car : atright"),
        ("Neither cars nor boats: only a house.", "a house"),
        ("Whatever you do, don't add a sun. I want a cloud.", "a cloud"),
        ("leave out the moon and draw a sun", "a sun"),
        ("a house with no tree beside it", "a house"),
        ("a circle, not a square, on the left", "a circle , atleft"),
        ("Balloons are out; use a ring instead.", "a ring"),
        ("My boss hates circles, so draw a square.", "a square"),
        ("a sun, never overlapping the cloud to its left", "a sun the cloud leftof it"),
        ("a cup in the middle, nothing around it", "a cup atcenter"),
        ("a boat, and don't forget the sun above it", "a boat , and the sun above it"),
        ("a ring, but not too big, in green", "a ring , in green"),
        ("a striped tree and a house. The house isn't.", "a striped tree and a house"),
        ("a cup, no other stuff", "a cup"),
        # numbers after their noun, compass points, shares, likenesses
        ("Squares: three of them, green.", "three squares , green"),
        ("the same house three times", "three houses"),
        (
            "To the east of the house stands a tree; to the west, a car.",
            "rightof the house a tree , leftof the house , a car",
        ),
        ("a moon in the north west", "a moon attopleft"),
        ("two cups, one above the other, the upper one red", "two cups , incolumn , the first one red"),
        ("a tree; to the left sits a cup", "a tree , leftof it a cup"),
        ("the moon with spots like a ladybird", "the moon with dots"),
        ("a pink house, its walls are dotted", "a pink house , it is dotted"),
        ("outline of a star", "a outlined star"),
        ("a star, and two hearts flank it left and right", "a star , and two hearts eitherside it"),
        ("no no not a red square a circle", "a circle"),
        ("left a tree, right a sun", "atleft a tree , atright a sun"),
        ("car btw 2 houses", "car flanked two houses"),
        ("two trees stand right next to each other", "two trees inrow"),
        ("a papercut meadow with a cup", "a cup . background meadow . style papercut"),
        ("a cup, white, no, blue", "a cup , blue"),
        ("left a tree, right a sun and in between um a boat", "atleft a tree , atright a sun and between a boat"),
        # forms of code
        ("spawn(cup).at(center).color(pink)", "a cup atcenter , pink"),
        ("[moon] -> above -> [boat]", "moon above boat"),
        ("rings=5, arrangement: column", "five rings , incolumn"),
        ("car.stripes = true; car.color = red", "the car is stripes . the car is red"),
        ("config: {kind: cross, background: {tone: white, pattern: plain}}", "a cross . background plain white"),
        ("z-order: 1) house 2) tree in front of it", "house . tree front it"),
        ('img alt="a red cup"', "a red cup"),
    ],
)
def test_everyday_wording_is_read(prompt: str, text: str) -> None:
    assert read(prompt).text == text


@pytest.mark.parametrize(
    "prompt",
    [
        "a red house without a house next to it",  # of what is there as well
        "a fish with no boat in the sea",
        "two stars and no third star",
        "I do not want the cup on the left",
        "a cup without dots",
    ],
)
def test_what_is_denied_of_things_that_are_there_is_refused(prompt: str) -> None:
    assert "does not understand" in str(refusal(prompt))


@pytest.mark.parametrize(
    ("said", "heard", "lost"),
    [
        ("a red cup above a boat", "a red cup above a boat", ""),
        ("a red cup above a boat", "a red cup . boat", "above"),
        ("a red cup above a boat", "a cup above a boat", "red"),
        ("a red cup above a boat", "a red cup above", "boat"),
        ("stripy cups in_front_of a star", "striped cup . star", "in front of"),
        ("a mug with spots beside stars", "cup dotted , star , inrow", ""),
    ],
)
def test_what_a_prompt_names_and_its_reading_lost_is_refused(said: str, heard: str, lost: str) -> None:
    if not lost:
        refuse_losses(said, heard)
        return
    with pytest.raises(Refused, match=f'does not understand "{lost}"'):
        refuse_losses(said, heard)


def test_losses_in_notation_and_in_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notation._Reader, "prose", lambda self: "a cup")
    assert 'does not understand "red"' in str(read.__wrapped__("cup(red)").refusal)
    monkeypatch.setattr(words, "tidied", lambda text: "a cup")
    assert 'does not understand "boat"' in str(read.__wrapped__("a cup and a boat").refusal)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a fish above a cloud, and so it did: a green fish", 'does not say what "it" does'),
        ("two clouds, one on the left, one on the right, in cyan", 'does not say of whom "cyan" is said'),
        ("a row of three: circle, square, star. Blue.", 'does not say of whom "blue" is said'),
        ("star\nstar, red", "does not say whether the second star is another one"),
        ("a cup and a boat. three objects", "says 3 objects and names 2"),
        ("12 stars", 'not "12"'),
    ],
)
def test_what_could_mean_two_things_is_refused(prompt: str, said: str) -> None:
    assert said in str(refusal(prompt))


@pytest.mark.parametrize(
    ("prompt", "things", "facts"),
    [
        ("a cup and a boat. two objects", ["cup", "boat"], set()),
        ("heart.\nOne neon heart in the middle.", ["neon heart"], set()),
        ("heart.\nA red heart above a cup.", ["red heart", "cup"], {("above", (0, 1))}),
        (
            "the house stands between two trees, and it is pink",
            ["pink house", "tree", "tree"],
            {("between", (0, 1, 2))},
        ),
        ("along the bottom, a row of two cups", ["cup", "cup"], {("row", (0, 1))}),
        ("left a tree, right a sun and in between a boat", ["tree", "sun", "boat"], {("between", (2, 0, 1))}),
    ],
)
def test_headers_titles_and_places_of_rows_are_understood(
    prompt: str, things: list[str], facts: set[tuple[str, tuple[int, ...]]]
) -> None:
    scene = scene_of(read(prompt).text)[1]
    assert isinstance(scene, Scene)
    assert list(scene.things) == [thing(told) for told in things]
    assert set(scene.facts) == facts


@pytest.mark.parametrize(
    ("pattern", "text", "kept"),
    [
        (r"on the (?:[\w']+ )?card\b", "a boat on the birthday card", False),
        (r"on the (?:[\w']+ )?card\b", "a boat on the blue card", True),  # a colour in a gap
        (r"on the (?:[\w']+ )?card\b", "a boat on the cup card", True),  # a thing
        (r"on the (?:[\w']+ )?card\b", "a boat on the left card", True),  # a place
        (r"on the (?:[\w']+ )?card\b", "a boat on the three card", True),  # a number
        (r"on the (?:[\w']+ )?card\b", "a boat on the boat card", False),  # said again
        (r"on the (?:blue )?card\b", "a boat on the blue card", False),  # spelled out
        (r"on the (?:[\w']+ )?card\b", "a boat on the castle card", False),
    ],
)
def test_words_fall_away_but_for_those_of_the_picture(pattern: str, text: str, kept: bool) -> None:
    match = re.search(pattern, text)
    assert match
    assert without_loss(match, "") == (match[0] if kept else "")


def test_a_clause_stays_where_it_names_what_cannot_be_drawn() -> None:
    match = re.search(r"because .*", "a boat because of the castle")
    assert match
    assert without_loss(match, "", strict=True) == match[0]
    assert without_loss(match, "") == ""


def thing(told: str) -> Thing:
    """ "large red dotted cup": a thing by its looks and kind."""
    scene = scene_of(f"a {told}")[1]
    assert isinstance(scene, Scene)
    return scene.things[0]


@pytest.mark.parametrize(
    ("prompt", "things", "facts"),
    [
        ("a house. behind the house grew a tree", ["house", "tree"], {("front", (0, 1))}),
        ("a house with a cloud above it and a cup below it", ["house", "cloud", "cup"], None),
        ("a sun and a cup. the cup is red and the sun is striped", ["striped sun", "red cup"], set()),
        ("two stars, one red and one blue", ["red star", "blue star"], set()),
        ("three circles in a row: red, yellow and green", ["red circle", "yellow circle", "green circle"], None),
        ("two cups on the left and a car. both cups are red", ["red cup", "red cup", "car"], set()),
        ("three stars in a row, the middle one is large", ["star", "large star", "star"], {("row", (0, 1, 2))}),
        ("a red star and two blue ones", ["red star", "blue star", "blue star"], set()),
        ("a red and a blue house", ["red house", "blue house"], set()),
        ("a small red heart, and the same but in green", ["small red heart", "small green heart"], set()),
        ("under the cloud, beside the tree, sits a cup", ["cloud", "tree", "cup"], None),
        # a place behind the thing that a relation begins with is that thing's
        ("a boat at the top, and under the star on the right a cup", ["boat", "star", "cup"], {("below", (2, 1))}),
        ("a star on the right, and under the star on the right a cup", ["star", "cup"], {("below", (1, 0))}),
        ("a moon. under the star on the right, a cup", ["moon", "star", "cup"], {("below", (2, 1))}),
        # and tells it from others of its kind
        (
            "a star at the top and a red star on the right. below the star on the right a cup",
            ["star", "red star", "cup"],
            {("below", (2, 1))},
        ),
        ("two stars. the star on the left is red and the right star is blue", ["red star", "blue star"], set()),
        (
            "two stars, the left star red, and a cup between the left star and the right star",
            ["red star", "star", "cup"],
            {("between", (2, 0, 1))},
        ),
        ("a fish between two cups", ["fish", "cup", "cup"], {("between", (0, 1, 2))}),
        ("a ring around a heart", ["ring", "heart"], {("inside", (1, 0))}),
        ("a star in each corner and a moon in the center", [*["star"] * 4, "moon"], {("corners", (0, 1, 2, 3))}),
        ("sun above boat, fish below boat", ["sun", "boat", "fish"], {("above", (0, 1)), ("below", (2, 1))}),
        ("a boat. a striped boat.", ["striped boat"], set()),
        ("a cloud and a house and the house is all striped", ["cloud", "striped house"], set()),
        ("a house with a heart above it. a red heart.", ["house", "red heart"], {("above", (1, 0))}),
        ("two cups: the red is above the blue", ["red cup", "blue cup"], {("above", (0, 1))}),
        ("four stars, first two red, last two pink", ["red star", "red star", "pink star", "pink star"], set()),
        ("a red car and a blue car and the third car is pink", ["red car", "blue car", "pink car"], set()),
        ("three moons and every one was blue", ["blue moon"] * 3, set()),
        ("heart, checkered. same heart, but outlined.", ["checkered heart", "outlined heart"], set()),
        ("a purple tree and an identical one", ["purple tree", "purple tree"], set()),
        ("two rings, one inside the other, the outer one pink", ["ring", "pink ring"], {("inside", (0, 1))}),
        ("a row of two stars and, below it, a row of two cups", [*["star"] * 2, *["cup"] * 2], None),
        ("two rings before a house", ["ring", "ring", "house"], {("front", (0, 1, 2))}),
        ("flower. next to it a car. outlined, the pair of them.", ["outlined flower", "outlined car"], None),
    ],
)
def test_references_are_resolved(
    prompt: str, things: list[str], facts: set[tuple[str, tuple[int, ...]]] | None
) -> None:
    scene = scene_of(read(prompt).text)[1]
    assert isinstance(scene, Scene), scene
    assert sorted(map(str, scene.things)) == sorted(str(thing(told)) for told in things)
    if facts is not None:
        told = [scene.things.index(t) if list(scene.things).count(t) == 1 else None for t in map(thing, things)]
        moved = {(name, tuple(told[i] if told[i] is not None else i for i in ids)) for name, ids in facts}
        assert set(scene.facts) == moved


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a boat, a striped boat", "whether the second boat is another one"),
        ("two trees and a house. the tree is red", "which tree is meant"),
        ("two trees on the left, and under the tree on the right a cup", 'which is the "right" one'),
        ("a star at the top, and under the star on the right a cup", "what is at the right"),
        ("a red house and the house is blue", "red and blue"),
        ("a house diagonal", '"diagonal"'),
        ("a guitar next to a heart", '"guitar"'),
        ("Guitar next to a heart", '"guitar"'),
        ("a dragon circled above the house", '"dragon"'),
        ("a rocking chair beside a house", '"rocking chair"'),
        ("my guitar, a star", '"guitar"'),
        ("she says a guitar and a cup", '"guitar"'),
        ("The dragon is a red star", '"dragon"'),
        ("a cup and a star, scratch the star", '"scratch the"'),
        ("draw my late wife's piano beside a star", '"piano"'),
        ("set the headline SALE above a car", "SALE"),
        # what would be drawn as something else
        ("more than three stars", '"more than three"'),
        ("a star that is anything but red", '"anything but"'),
        ("a red heart with a matching boat", '"a matching boat"'),
        ("a house shaped like a star", '"shaped like a star"'),
        ("a circle turning into a square", '"turning into"'),
        ("there used to be a tree but now a house", '"used to be"'),
        ("a star, if you have one, otherwise a moon", '"otherwise"'),
        ("a boat facing left", '"facing left"'),
        ("three cars in different colours", '"in different colours"'),
        ("overlap the circle with the square", '"overlap"'),
        ("a boat far away from the house", "how the boat and the house stand"),
        ("a square sun", "says of a square that it is a sun"),
        ("a circle in each corner, the circles the blue", 'what of the circles "the blue" is'),
        ("a circle cut out of it", '"it" that belongs to nothing'),
        ("scene.add(star); scene.remove(moon)", '"remove"'),
        ('{"shape": "star", "visible": false}', '"visible : false"'),
        ("star: color=red; moon: color=star.color", "star.color"),
        ("select star where color != 'red'", '"!="'),
        ("for i in 0..3: draw star", "for i in 0"),
        ("a boat, the background of it like striped", '"background"'),
    ],
)
def test_what_is_unclear_is_refused_and_told(prompt: str, said: str) -> None:
    assert said in str(refusal(prompt))


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ('caption "SALE", red circle', "SALE"),
        ("a circle with the word SOLARA beneath it", "SOLARA"),
        ('write "Happy Birthday" below a flower', "Happy Birthday"),
        ("write my name LILY next to a star", "LILY"),
        ('draw(text="HELLO", color=red)', "HELLO"),
        ("a star with the letters s t a r underneath", "letters"),
        ('heart w "luv u" written in it', "luv u"),
    ],
)
def test_words_in_the_picture_are_refused_by_what_they_say(prompt: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        refuse_lettering(prompt)
    refuse_lettering('For "below", draw a fish below a boat.')


def test_a_scene_in_other_words_is_the_same_scene() -> None:
    rng, told = random.Random(5), 0
    for _ in range(60):
        reading = read(random_prompt(rng).prompt)
        if reading.refusal or not isinstance(scene := scene_of(reading.text)[1], Scene):
            continue
        for text in retold(scene, "even"):
            again = scene_of(f"{text} . style {scene.style}" if scene.style else text)[1]
            assert isinstance(again, Scene), (text, again)
            assert sorted(map(str, again.wanted)) == sorted(map(str, scene.wanted)), text
            told += 1
    assert told > 40


def test_what_covers_a_thing_is_laid_out_within_its_part() -> None:
    scene = scene_of(read("a heart inside a ring and a cup in front of a house").text)[1]
    assert isinstance(scene, Scene)
    split = parted(scene)
    assert split is not None
    free, parts = split
    assert [t.kind for t in free.things] == ["ring", "house"]
    (found,) = composed(scene, parts, [HALVES["left"], HALVES["right"]], Backdrop())
    assert fault_of(scene, found) is None
    assert not list(composed(scene, parts, [HALVES["left"], HALVES["left"]], Backdrop()))
    assert parted(Scene((Thing("cup"),), (None,))) is None


def test_all_that_stand_before_a_thing_cover_some_of_it() -> None:
    scene = scene_of(read("a large house with four flowers in front of it").text)[1]
    assert isinstance(scene, Scene)
    boxes = fit(Front(Row((1, 2, 3, 4)), 0))
    told = [boxes[i] for i in range(5)]
    assert fault_of(scene, Truth(scene.things, tuple(told), Backdrop())) is None
    told[4] = (900, 0, 1000, 40)
    assert "front" in str(fault_of(scene, Truth(scene.things, tuple(told), Backdrop())))


def test_what_the_model_does_not_lay_out_is_laid_out_by_rule() -> None:
    for prompt in ("six cups: three red ones and three pink ones", "five cups in a row, with a sun at the top"):
        scene = scene_of(read(prompt).text)[1]
        assert isinstance(scene, Scene)
        boxes = laid_out(scene, "even")
        assert boxes is not None
        assert fault_of(scene, Truth(scene.things, tuple(boxes), Backdrop())) is None


def test_plans_are_held_against_all_that_is_read() -> None:
    text = read("a red cup inside a ring").text
    things, right = (Thing("cup", "red"), Thing("ring")), fit(Inside(0, 1))
    assert fault(text, Truth(things, (right[0], right[1]), Backdrop())) is None
    beside = fit(Front(0, 1))
    assert "inside" in str(fault(text, Truth(things, (beside[0], beside[1]), Backdrop())))
    assert "background" in str(fault(text, Truth(things, (right[0], right[1]), Backdrop(tone="grey"))))
    assert "cannot be checked" in str(fault("a cup . a red", Truth(things, (right[0], right[1]), Backdrop())))
    assert surrounds([(0, 0, 300, 300), (700, 700, 1000, 1000), (700, 0, 1000, 300)], (400, 400, 600, 600))


def test_right_plans_of_the_lessons_are_understood() -> None:
    rng, wrong, count = random.Random(3), 0, 0
    while count < 150:
        scene = random_prompt(rng)
        if read(scene.prompt).refusal is None:
            count += 1
            wrong += fault(read(scene.prompt).text, settle(scene, 128, 128)) is not None
    assert wrong <= 6


@pytest.mark.parametrize(
    ("relation", "said"), [("[0, near, 1]", "no such relation; valid: "), ("[0, above, 2]", "no such thing")]
)
def test_an_unknown_relation_in_a_file_of_sentences_is_refused(tmp_path: Path, relation: str, said: str) -> None:
    path = tmp_path / "sentences.yaml"
    path.write_text(f"- text: a cup\n  things: [{{kind: cup}}, {{kind: star}}]\n  relations: [{relation}]\n")
    with pytest.raises(InputError, match=said):
        load_sentences(path)
