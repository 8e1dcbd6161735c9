"""Pictures side by side under titles."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SMALLEST, _GAP, _PAPER, _INK = 256, 12, (255, 255, 255), (32, 36, 44)


def side_by_side(pairs: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> Image.Image:
    """Rows of pictures of one size under their columns' titles; small ones are enlarged."""
    width, height = pairs[0][0].size
    scale = max(1, -(-_SMALLEST // max(width, height)))
    width, height = width * scale, height * scale
    font = ImageFont.load_default(max(13, width // 40))
    lines = [_wrapped(title, font, width) for title in titles]
    line = round(1.4 * font.size) if isinstance(font, ImageFont.FreeTypeFont) else 18
    top = _GAP + line * max(map(len, lines)) + _GAP // 2
    sheet = Image.new("RGB", (_GAP + len(titles) * (width + _GAP), top + len(pairs) * (height + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(lines):
        x = _GAP + column * (width + _GAP)
        for row, text in enumerate(title):
            pen.text((x, _GAP + row * line), text, _INK, font)
        for row, pair in enumerate(pairs):
            picture = pair[column].convert("RGB").resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(picture, (x, top + row * (height + _GAP)))
    return sheet


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
