"""What each control does, the lab that shows it, and when it has no effect: then it sleeps and says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from app.i18n import LANGUAGES
from app.widgets.events import LOCAL
from app.widgets.translation import Linked
from ldm_core.sampling import ETA_SAMPLERS

if TYPE_CHECKING:
    from app.ui.form import Form

INFO = {  # what a control does, and the lab that shows it
    "negative_prompt": Linked("negative_info", "denoising"),
    "steps": Linked("steps_info", "schedules"),
    "guidance_scale": Linked("guidance_info", "denoising"),
    "eta": Linked("eta_info", "denoising"),
    "sampler": Linked("sampler_info", "xy_plot"),
    "seed": Linked("seed_info", "denoising"),
    "variation_strength": Linked("variation_strength_info", "autoencoder"),
    "variation_seed": Linked("variation_seed_info", "autoencoder"),
    "width": Linked("side_info", "architecture"),
    "height": Linked("side_info", "architecture"),
    "strength": Linked("strength_info", "schedules"),
}


ASLEEP = {"strength": "strength_asleep", "variation_seed": "variation_asleep"}  # as the page opens, and why


def wire_effects(form: Form, switched: Any) -> None:
    """Let fields sleep and wake, and the sampler say what it does; `switched` is the event of another language."""
    sampler = form["sampler"]
    for event in (sampler.change, switched.then):
        event(inputs=sampler, outputs=form.sampler_says, js="(name) => window.latentLab.samplerSays(name)", **LOCAL)
    fields = {  # field: what it depends on, of whose `value` this JavaScript must be true, and what it says else
        "eta": (sampler, f"{json.dumps(ETA_SAMPLERS)}.includes(value)", "eta_asleep"),
        "negative_prompt": (form["guidance_scale"], "value !== 1", "negative_asleep"),
        "variation_seed": (form["variation_strength"], "value !== 0", ASLEEP["variation_seed"]),
        "strength": (form.has_start, "value", ASLEEP["strength"]),
    }
    for name, (beside, awake, why) in fields.items():
        for event in (beside.change, switched.then):
            event(inputs=beside, outputs=_parts(form, name), js=f"(value) => {_sleep(form, name, awake, why)}", **LOCAL)


def _parts(form: Form, name: str) -> list[Any]:
    """A field, and the slider beside it where there is one."""
    return [form[name], *([form.sliders[name]] if name in form.sliders else [])]


def _sleep(form: Form, name: str, awake: str, why: str) -> str:
    """JavaScript that gives the updates of `_parts`."""
    info = {lang: INFO[name].says(lang) for lang in LANGUAGES}
    return f"window.latentLab.sleep({awake}, {json.dumps(info)}, '{why}').slice(0, {len(_parts(form, name))})"
