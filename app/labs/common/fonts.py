"""A font with Chinese letters for what is drawn as a picture: one of the system's, as none comes with this program."""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont
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
