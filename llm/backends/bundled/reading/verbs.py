"""Verbs of standing, moving and making, in all their forms: nothing is drawn of them."""

from __future__ import annotations

_REGULAR = """
    accompany adorn align anchor appear appreciate arrange arrive assemble await balance bask bathe beam belong
    blaze bloom blossom bob bounce brighten build burn call camp carry cast celebrate chase cheer cherish circle
    climb cling compare compose consist construct contain cover crawl creep cross cruise cuddle dance dangle dash
    decide decorate depict descend design dip dive doze drape dream drift drive drop dwell echo edge embrace emerge
    enclose enjoy enter explore face fade fall feature fill find fix flank flash flicker flit float flow flutter fly
    follow frame gather gaze generate get gleam glide glimmer glisten glitter glow go grace greet grow guard hang
    happen have head hide hold hop hover huddle illustrate imagine include join jump keep kiss kneel land laugh lay
    lead lean leap leave let lie lift light like linger listen live loom love lurk march marry match meet mirror
    move nap nestle nudge obey occupy orbit oversee overlook own paddle paint pass peek peep perch place play point
    pop pose position prance put race radiate reach rely remain rest return ride rise roam rock roll row rule run
    rush sail scatter scurry see seem share shelter shimmer shine show sing sink sit skip slant sleep slide slip
    slumber smile snooze snuggle soar sparkle spin stand stare start stay steer stick stop stretch stroll sunbathe
    surround suspend sway sweep swim swing tell think tilt tower trace trail travel trot tuck tumble turn twinkle
    twirl visit wade wait wake walk wander want watch wave wear whisper whizz whirl wish wobble work yawn zoom
    forget promise wonder know need require request search seek desire beg demand supply provide render reflect
    complement contrast accent highlight emphasise emphasize showcase present display exhibit introduce describe
    mention add combine pair group repeat position locate situate set occur exist begin end finish complete create
    make produce sketch draw try use take give bring fetch help hope say look feel become pull push park stack layer
    pin float circulate encircle ring dominate command nod bow wink grin blink beckon hum purr splash ripple paddle
    bobble jiggle wiggle dawdle loiter hang lounge relax rest slouch squat crouch recline tread patrol protect
    defend hug touch meet brush skim graze
"""
_IRREGULAR = """
    began begun built came come chose chosen crept dealt did done drew drawn dreamt drove driven fell fallen felt
    flew flown forgot forgotten found gave given went gone got gotten grew grown hung had has heard held hid hidden
    kept knelt knew known laid lain lay leapt led left lit lost made meant met put ran rode ridden rose risen said
    sang sank sat saw seen sent set shone showed shown slept slid sought spent spun spread sprang stood stole stuck
    stayed struck sung sunk swam swum swept swung taken told took thought understood was were woke worn wore won
    dwelt lain arose arisen became become bore brought cast caught clung
"""
_NAMES_OF_THINGS = """
    circle cross anchor boat ring star tower park rock frame dip drop fly row sail seal spring swing train
    wave bow light camp land plant play dance drive edge fall flash head hold hide kiss love match mirror
    paddle paint point pop race ride roll show stick top trail visit watch work bask beam call face fix float
    flow follow blossom bloom cover cruise design dream drape cast skim brush hum touch shelter left lit layer
    pin bath present display group pair accent highlight sketch ripple splash stack square heart cup house
    tree pencil flat pixel
"""
_THINGS = frozenset(_NAMES_OF_THINGS.split())
"""Words that are the name of a thing as well: only their other forms are verbs."""


def _forms(verb: str) -> list[str]:
    if verb.endswith("e"):
        return [verb, f"{verb}s", f"{verb}d", f"{verb[:-1]}ing"]
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return [verb, f"{verb[:-1]}ies", f"{verb[:-1]}ied", f"{verb}ing"]
    found = [verb, f"{verb}s", f"{verb}es", f"{verb}ed", f"{verb}ing"]
    if verb[-1] not in "aeiouwxy":
        found += [f"{verb}{verb[-1]}ed", f"{verb}{verb[-1]}ing"]
    return found


def _all_forms() -> frozenset[str]:
    forms = {form for verb in _REGULAR.split() for form in _forms(verb)} | set(_IRREGULAR.split())
    nouns = {f"{word}s" for word in _THINGS} | {f"{word}es" for word in _THINGS}
    return frozenset(forms - _THINGS - nouns)


VERBS = _all_forms()
"""All forms but those that name things."""
