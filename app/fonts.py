"""Fonts for what is drawn as a picture: matplotlib's own, and for Chinese one of the system's, if it has one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont
FIRST_CHINESE = "\u2e80"  # from here on a letter is one of the East's
CHINESE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSerifCJK-Regular.ttc",
    "NotoSerifCJK-Bold.ttc",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "PingFang.ttc",
    "simsun.ttc",
)


@lru_cache(maxsize=16)
def chinese_font(size: int) -> Font | None:
    """One of the system's fonts with Chinese glyphs, or None."""
    for name in CHINESE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@lru_cache(maxsize=1)
def plot_fonts() -> list[str]:
    """Names of fonts for matplotlib: its own, and for letters that it lacks the Chinese one where there is one."""
    from matplotlib import font_manager

    own = ["DejaVu Sans"]
    if (chinese := chinese_font(12)) is None:
        return own
    font_manager.fontManager.addfont(str(chinese.path))
    return [*own, font_manager.get_font(str(chinese.path)).family_name]


@lru_cache(maxsize=16)
def latin_font(size: int) -> Font:
    """The font that comes with matplotlib."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def font_for(text: str, size: int) -> Font:
    """A font that can show the text; where there is none Chinese comes out as boxes."""
    wide = any(letter >= FIRST_CHINESE for letter in text)
    return (chinese_font(size) if wide else None) or latin_font(size)


def fitted(text: str, font: Font, width: float) -> str:
    """The text, its end cut off where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
