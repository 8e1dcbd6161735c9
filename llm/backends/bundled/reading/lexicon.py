"""Common words that name what cannot be drawn, each with the nearest that can, and words that carry nothing."""

from __future__ import annotations

import re

_THINGS = {
    "house": """castle tower church barn hut palace skyscraper lighthouse tent cabin building mansion villa bungalow
        temple mosque cathedral chapel school hospital hotel shop store garage shed windmill mill igloo pyramid fort
        fortress farm farmhouse station factory office apartment bridge gate door window roof chimney wall fence
        garden city town village street road path room kitchen stairs arch cave tunnel stable kennel birdhouse
        dollhouse treehouse greenhouse hall museum library bank cottagecore home-office pub cafe restaurant bench bed
        sofa couch chair table desk shelf cupboard wardrobe box-office statue monument ruin ruins bell""",
    "tree": """bush shrub palm cactus pine fir oak birch willow maple forest wood woods jungle log branch trunk leaf
        leaves bamboo fern hedge christmas-tree vine root stump orchard grove broccoli mushroom mountain hill rock
        stone cliff volcano pole lamp lamppost streetlight flag flagpole signpost sign candle torch ladder scarecrow
        umbrella parasol broom rocket arrow pencil-case pen sword spear""",
    "flower": """tulip daisy sunflower daffodil orchid lily poppy petal petals bouquet dandelion lotus violets rosebush
        weed clover blossomtree seed butterfly bee ladybird ladybug dragonfly moth insect beetle snowflake pinwheel""",
    "boat": """yacht canoe kayak raft ferry submarine steamer warship galleon tanker dinghy catamaran gondola barge
        anchor paddle oar harbour harbor port dock pier island lake-boat surfboard sailor pirate viking""",
    "car": """truck bus van taxi train tram bike bicycle motorcycle motorbike scooter tractor lorry wagon cart carriage
        ambulance jeep limousine tank plane airplane aeroplane helicopter jet spaceship ufo sled skateboard wheel wheels
        wheelbarrow pram trailer caravan racecar robot traffic roadster engine""",
    "fish": """shark whale dolphin salmon goldfish tuna trout octopus squid jellyfish crab lobster seahorse starfish
        shrimp eel ray seal otter penguin duck swan goose bird eagle owl parrot pigeon chicken hen rooster crow raven
        sparrow flamingo peacock turkey seagull gull dog cat horse cow pig sheep goat rabbit bunny mouse rat hamster
        squirrel fox wolf bear lion tiger elephant giraffe monkey ape gorilla zebra camel deer moose donkey kangaroo
        koala panda leopard cheetah crocodile alligator snake lizard frog toad turtle tortoise hedgehog bat dinosaur
        dragon unicorn monster animal animals puppy kitten pony lamb calf beaver snail worm spider ant mosquito
        caterpillar mermaid pet creature""",
    "cup": """glass bowl jar bottle vase pot jug pitcher goblet teapot kettle plate dish saucer spoon fork knife bucket
        barrel basket bin tin pan lamp-shade coffee tea milk juice beer wine cocktail soup cake bread pizza burger
        sandwich cheese egg cookie donut doughnut cupcake pie food meal breakfast icecream fruit hat cap helmet crown
        boot boots shoe shoes sock bag backpack suitcase purse trophy coin bulb""",
    "moon": "planet earth mars venus saturn jupiter mercury comet asteroid galaxy banana satellite meteor eclipse",
    "sun": "sunflower-head lightbulb fire flame firework fireworks explosion campfire bonfire gear cog spark",
    "cloud": """rain raindrop snow snowman storm fog mist smoke lightning thunder rainbow wind tornado balloon parachute
        kite steam bubble bubbles foam puddle ghost pillow sheep-flock angel wing wings feather hair beard""",
    "circle": """ball sphere orb oval ellipse dot-mark marble bead apple cherry tomato orange-fruit lemon lime-fruit
        peach pear grape grapes strawberry pumpkin melon watermelon potato button globe eye eyes face head smiley emoji
        clock watch drum football basketball balloon-ball wheel-hub circleoid plum coconut onion""",
    "square": """rectangle diamond rhombus parallelogram trapezoid trapezium cube cuboid brick block pentagon hexagon
        heptagon octagon polygon tile frame-box book newspaper letter envelope card phone telephone computer laptop
        television tv screen-set radio camera mirror painting-frame carpet rug blanket gift parcel package
        chessboard dice die kite-shape stamp poster-board map""",
    "triangle": "cone pyramid-shape wedge tent-shape mountain-peak chevron delta pizza-slice slice sail-shape tooth",
    "star": "asterisk starburst pentagram sparkle sparkles medal badge",
    "heart": """lips mouth kiss love soul man woman boy girl child children baby person people human king queen prince
        princess knight wizard witch fairy astronaut doctor nurse teacher farmer soldier clown dancer cowboy ninja elf
        lady gentleman guy kid kids friend friends family mother father mum mom dad brother sister grandma grandpa
        bride groom superhero zombie vampire alien hand hands arm arms leg legs foot feet nose ear ears tail body doll
        toy teddy skeleton skull""",
    "ring": "hula-hoop necklace bracelet earring chain loop circle-band bagel tyre tire lifebuoy wreath halo spiral",
    "cross": "x-mark sword-cross letter-x star-cross hashtag swastika windmill-sails scissors bone propeller fan",
}
_COLOURS = {
    "red": "maroon burgundy ruby cherry-red vermilion wine-red rust-red",
    "orange": "brown tan bronze copper amber apricot terracotta chestnut caramel chocolate rust sienna ochre",
    "yellow": "cream lemon-yellow mustard beige ivory blond blonde khaki straw sand-coloured silver platinum",
    "green": "lime olive emerald jade mint chartreuse moss forest-green",
    "cyan": "teal aqua aquamarine white",
    "blue": "navy indigo cobalt azure sapphire denim black grey",
    "purple": "lilac lavender mauve plum-coloured amethyst aubergine",
    "pink": "salmon-pink coral peach-coloured",
}
_SURFACES = {
    "solid": """wooden metal metallic steel iron plastic leather concrete fabric wool woolen woollen crystal ice marbled
        chrome brass porcelain ceramic rubber velvet silk cotton tin-plated gold-plated diamond-studded lego brickwork
        stony furry hairy""",
    "striped": "zigzag plaid tartan hatched herringbone wavy barred",
    "dotted": "speckled freckled starry-patterned flowery floral sequined glittery glitter flecked",
    "checkered": "tiled mosaic patchwork quilted gridded latticed",
    "outlined": "hollow wireframe bordered transparent see-through",
}
_STYLES = {
    "watercolour": """oil oils acrylic acrylics gouache impressionist impressionism pastel pastels fresco tempera
        renaissance baroque monet gogh abstract surrealist surrealism expressionist mural ink-wash""",
    "pencil": """charcoal crayon crayons chalk ink etching engraving woodcut lineart linework doodle biro fountain-pen
        graffiti calligraphy blueprint manga graphite""",
    "flat": """cartoon cartoony comic comics anime vector clipart icon logo minimalist minimalistic cubist cubism
        bauhaus pop-art photo photograph photography photorealistic photographic realistic hyperrealistic realism 3d
        cgi cinematic disney pixar ghibli infographic""",
    "pixel": "minecraft voxel voxels lowpoly ascii sprite retrowave",
    "papercut": "origami collage felt clay claymation plasticine stencil scrapbook embroidery knitted cardboard",
    "neon": "cyberpunk laser hologram holographic synthwave vaporwave glowstick led",
}
_SETTINGS = {
    "meadow": """forest-glade park farmland hillside prairie savanna savannah hills mountains countryside valley swamp
        golf-course playground zoo autumn spring""",
    "sea": "beach coast seaside river lake pond pool shore bay underwater aquarium waterfall island-shore stream",
    "night sky": """sky space universe cosmos dusk dawn sunset sunrise evening twilight outer-space stars-field day
        daylight daytime morning noon afternoon horizon foreground""",
    "desert": "canyon sahara mars-surface wasteland arctic antarctica tundra snowfield glacier winter summer",
}


def _table(groups: dict[str, str]) -> dict[str, str]:
    return {word: nearest for nearest, words in groups.items() for word in words.split() if "-" not in word}


NEAREST: dict[str, dict[str, str]] = {
    "thing": _table(_THINGS),
    "colour": _table(_COLOURS),
    "surface": _table(_SURFACES),
    "style": _table(_STYLES),
    "background": _table(_SETTINGS),
}
"""Words that name a thing, a colour, … that cannot be drawn, with the nearest that can."""

_SILENT = """
    its
    draw paint show make create generate design render produce give get want wants would like likes could can may might
    shall will should must please pls plz kindly thank thanks cheers hey hi hello ok okay oh well yes i me my we us our
    you your let lets see sees seen look looks looking put place placed placing add adding have having need needs there
    here picture pictures image images drawing drawings scene scenes painting canvas illustration photo-like artwork
    sketching imagine do does did done be being been go goes going s t m d ll re ve it's is's do-it then also just so
    very really quite rather pretty simply basically actually maybe perhaps somewhere kind sort type bit
    contains containing contain consisting consists consist showing shows featuring features including includes
    where while as to for of from into onto upon out off up down far way exactly directly immediately slightly
    right-away now today about anything something nothing else im id ill youll wanna gonna gimme lemme try
    coloured colored colour color colours colors filled shaped shape-like size sized styled drawn painted made
    set located positioned situated arranged laid total altogether single lone
    end edge area position spot somehow possible thing's depict depicting depicts displayed display view facing who
    whose what how when if along across through rest whole entire entirely completely all-over only own such more
    pattern patterned texture even still ever always often again back away much most less least than thus thinking
    once yet already only order turn
"""
SILENT = frozenset(_SILENT.split())
"""Words of asking and of grammar that carry nothing; they are passed over without a word."""

_EMPTY = """
    nice beautiful lovely cute funny happy sad smiling simple clear good great perfect fine cool awesome fancy
    detailed elegant tall short wide long thin thick fat slim narrow round bright dark light pale deep vivid vibrant
    soft strong shiny glossy matte sparkling gleaming glowing shining shimmering twinkling floating hovering flying
    sailing swimming driving standing sitting sits stands stand sit lies lie lying hangs hang hanging rests resting
    floats float hovers hover flies fly sails sail swims swim drives drive parked parking anchored grows grow growing
    blooming rises rise rising sets setting shines shine swimmingly gently quietly alone lonely old new young modern
    ancient magical mysterious quiet calm peaceful cozy cosy friendly gorgeous amazing wonderful delicate bold crisp
    clean neat tidy little-known medium mid normal ordinary plain-looking regular typical typical-looking classic
    identical alike matching similar different various-looking fluffy puffy sunny warm cold hot steaming empty full
    freshly fresh sweet wild slow slowly fast quick quickly leaning
    pointing tilted sideways upright proud perched balanced balancing balances drifting drifts drift moving
    passing crossing waiting peeking hiding hides watching near-ish overlooking looming towering tower-like
    dominating dominates occupying occupies filling fills taking takes appears appear appearing visible present glows
    sparkles-like smack bang dead roughly approximately nicely neatly evenly spaced equally apart together loosely
    carefully proudly happily silently softly brightly
"""
EMPTY = frozenset(_EMPTY.split())
"""Words of manner that nothing is drawn of; they are passed over and listed."""

_TELLING = """
    corner corners row rows column columns line lineup stack side sides left right top bottom upper lower middle
    center between flanked surrounded around diagonal diagonally grid half third quarter each other vertical
    vertically horizontal horizontally reversed mirrored symmetrical opposite border alternating alternate
    alternately nearer closer farther further nearest closest farthest furthest redder bluer greener pinker
"""
TELLING = frozenset(_TELLING.split())
"""Words that tell where things stand, or compare them: where no phrase took them, they are not passed over."""


def nearest(word: str) -> tuple[str, str] | None:
    """What sort of thing a word names that cannot be drawn, and the nearest that can; None for a word in no list."""
    for form in (word, *_singulars(word)):
        for sort, table in NEAREST.items():
            if form in table:
                return sort, table[form]
    return None


def _singulars(word: str) -> list[str]:
    if word.endswith("ies") and len(word) > 4:
        return [f"{word[:-3]}y"]
    if re.search(r"(?:s|x|z|ch|sh)es$", word):
        return [word[:-2], word[:-1]]
    if word.endswith("ves"):
        return [f"{word[:-3]}f", f"{word[:-3]}fe", word[:-1]]
    return [word[:-1]] if word.endswith("s") and not word.endswith("ss") else []
