"""How the page looks: system fonts, one accent, light and dark."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from app.i18n import LANGUAGES, words
from ldm_core.data.colours import THING_COLOURS
from ldm_core.sampling import SAMPLER_NAMES, SamplingParams

ASSETS = Path(__file__).parent / "assets"
DESCRIBED = tuple(name for name in SamplingParams.__dataclass_fields__ if name != "label")  # in the large view
SCRIPTS = (  # in this order: each adds to window.latentLab what later ones use
    "page", "memory", "form", "faults", "connection", "chips", "viewer", "live", "waiting", "help", "sections",
    "overview", "lessons", "tabs", "labs", "watch",
)  # fmt: skip
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' "
    "rx='4' fill='%230f766e'/%3E%3Ccircle cx='6' cy='9' r='3' fill='%23fde68a'/%3E%3Ccircle cx='11' cy='5' r='2' "
    "fill='%23fff'/%3E%3C/svg%3E"
)

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans CJK SC", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


GROUNDS = {  # and what lies on them: no boxes within boxes
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "background_fill_primary": "white",
    "background_fill_primary_dark": "*neutral_900",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0px",
}
TEXT = {
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "block_info_text_size": "*text_sm",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_300",
    "block_title_text_color": "*neutral_800",
    "block_title_text_color_dark": "*neutral_200",
    "block_title_text_weight": "600",
    "link_text_color": "*primary_700",
    "link_text_color_dark": "*primary_300",
}
CONTROLS = {
    "color_accent": "*primary_700",
    "input_background_fill": "white",
    "input_background_fill_dark": "*neutral_900",
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "*neutral_700",
    "input_border_width": "1px",
    "checkbox_background_color_selected": "*primary_700",
    "checkbox_background_color_selected_dark": "*primary_500",
    "checkbox_border_color_selected": "*primary_700",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_text_color": "white",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover_dark": "*primary_600",
    "button_primary_text_color_dark": "white",
    "button_secondary_background_fill": "*neutral_200",
    "button_secondary_background_fill_hover": "*neutral_300",
    "button_secondary_background_fill_dark": "*neutral_800",
    "button_secondary_background_fill_hover_dark": "*neutral_700",
    "slider_color": "*primary_700",
    "slider_color_dark": "*primary_500",
}


def theme() -> gr.themes.Base:
    """Grey with a breath of warmth, teal where something can be done."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=SANS,
        font_mono=MONO,
    )
    return base.set(**GROUNDS, **TEXT, **CONTROLS)


def head() -> str:
    """The page's own script, with the few words it says by itself."""
    keys = (
        "sending", "stopping", "unexpected", "copied", "lost", "found", "empty", "empty_hint", "history_empty",
        "any_chip", "use_settings", "variations", "go_on_from", "open_denoising", "open_attention", "download",
        "copy_settings", "share", "compare", "compare_with", "zoom_in", "zoom_out", "close", "previous",
        "next_picture", "pictures_done", "start_missing", "start_again", "seed_random", "live", "live_info",
        "live_says", "live_busy", "live_slow", "live_not_loaded", "state_offline", "seconds", "minutes",
        "steps_count", "eta_asleep", "negative_asleep", "variation_asleep", "strength_asleep",
        "keys_title", "keys_generate",
        "keys_line", "keys_stop", "keys_pictures", "keys_zoom", "keys_undo", "keys_help", "notify",
        "slider", "slider_number", "tabs", "play_back", *DESCRIBED, *(f"sampler_{name}" for name in SAMPLER_NAMES),
        "history_none", "history_no_match", "history_off",
        "favourite", "unfavourite", "delete", "delete_sure", *(f"colour_{name}" for name in THING_COLOURS),
    )  # fmt: skip
    own = {lang: {key: words(lang)[key] for key in keys} for lang in LANGUAGES}
    script = "\n".join((ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    about = f'<meta name="description" content="{words("en")["description"]}"><link rel="icon" href="{ICON}">'
    return f"{about}<script>window.latentLabWords = {json.dumps(own)};\n{script}</script>"
