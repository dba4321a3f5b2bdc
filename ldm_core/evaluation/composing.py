"""GenEval's six types of prompt (Ghosh et al. 2023) on combinations that training never saw.

A picture is read as in GenEval, by parts: things apart on their plain background, a name for each, colours in CIELAB.
Real scenes of the same structure, through the autoencoder, are the ceiling of that reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.captions import Caption, caption
from ldm_core.data.scenes.draw import Drawings, draw
from ldm_core.data.scenes.layout import relation_of
from ldm_core.data.scenes.sampling import SceneSampler
from ldm_core.data.scenes.structure import Scene, SceneKind
from ldm_core.evaluation.components import background_colour, colour_of, cut_out, separate
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.pictures import PictureMaker, contact_sheet
from ldm_core.evaluation.pointing import pointing_game
from ldm_core.evaluation.reconstruction import reconstruct
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings
from ldm_core.evaluation.things import ThingReader
from ldm_core.images import Pixels

SEED = 50_000_000
TYPES: Mapping[str, SceneKind] = {
    "single": "colour",  # its colour is taken away again
    "two": "two",
    "counting": "count",
    "colours": "colour",
    "position": "position",
    "attribution": "attribution",
}
TARGETS = {"single": 0.95, "two": 0.85, "counting": 0.85, "colours": 1.0, "position": 0.80, "attribution": 0.65}
SHEET = 36  # pictures on a contact sheet, the first ones


@dataclass(frozen=True)
class Seen:
    """One thing as it was read off a picture: name, colour ("" where none has most of it), place in pixels."""

    name: str
    colour: str
    centre: tuple[float, float]


def scenes(corpus: Corpus, kind_of_prompt: str, n: int, seed: int) -> list[Scene]:
    """n scenes of one of TYPES, all but single things with a held-out combination; the i-th depends on i only."""
    scene_kind = TYPES[kind_of_prompt]
    single = kind_of_prompt == "single"
    sampler = SceneSampler(corpus, Drawings(corpus), {scene_kind: 1.0}, trained=single)
    found = [sampler(np.random.default_rng((SEED, seed, i))) for i in range(n)]
    return [_uncoloured(scene) for scene in found] if single else found


def _uncoloured(scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(t, colour="", recoloured=False) for t in scene.things))


def captions(found: Sequence[Scene], seed: int) -> list[Caption]:
    """One for each scene."""
    return [caption(scene, np.random.default_rng((SEED, seed, i, 1))) for i, scene in enumerate(found)]


def read(name_of: ThingReader, images: Pixels, backgrounds: Sequence[str]) -> list[list[Seen]]:
    """Pictures uint8 [N,H,W,3] on named backgrounds → what is seen in each, the largest first."""
    found = []
    for image, named in zip(images, backgrounds, strict=True):
        background = background_colour(image, BACKGROUNDS[named])
        components = separate(image, background)
        crops = [cut_out(image, component, background, name_of.judge.network.config.side) for component in components]
        names = name_of(np.stack(crops)) if crops else []
        found.append([Seen(n, colour_of(image, b), b.centre) for n, b in zip(names, components, strict=True)])
    return found


def shows(scene: Scene, seen: Sequence[Seen]) -> bool:
    """Whether all that a scene's caption says is seen: things, a number, colours, places. More things do not matter,
    but of what is counted.
    """
    if len(scene.things) == 1 and scene.things[0].number > 1:
        thing = scene.things[0]
        alike = [s for s in seen if s.name == thing.name]
        return len(alike) == thing.number and all(thing.colour in ("", s.colour) for s in alike)
    for chosen in permutations(seen, len(scene.things)):
        right = all(s.name == t.name and t.colour in ("", s.colour) for s, t in zip(chosen, scene.things, strict=True))
        if right and (not scene.relation or relation_of(chosen[0].centre, chosen[1].centre) == scene.relation):
            return True
    return False


def shows_layout(scene: Scene, seen: Sequence[Seen]) -> bool:
    """The same whatever the things are: as many, in these colours, at these places."""
    nameless = replace(scene, things=tuple(replace(thing, name="") for thing in scene.things))
    return shows(nameless, [replace(s, name="") for s in seen])


def composing(judge: JudgeModel, corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Part:
    """A figure a type and their mean share, where a word looks in pairs, the first pictures of each type."""
    name_of, drawings = ThingReader(judge, corpus, settings.seed), Drawings(corpus)
    part, more = Part(), list[Metric]()
    for name in TYPES:
        found = scenes(corpus, name, settings.compose, settings.seed)
        said, backgrounds = captions(found, settings.seed), [scene.background for scene in found]
        made = maker.generate(name, [c.text for c in said], settings.seed)
        raw, owners = (np.stack(both) for both in zip(*(draw(scene, drawings) for scene in found), strict=True))
        seen = [read(name_of, images, backgrounds) for images in (made, reconstruct(maker.pipe, raw), raw)]
        right = [[shows(scene, x) for scene, x in zip(found, each, strict=True)] for each in seen]
        value, ceiling, drawn = (float(np.mean(r)) for r in right)
        note = f"real scenes without the autoencoder: {drawn:.3f}"
        part.metrics.append(Metric(f"compose: {name}", value, len(found), ceiling, TARGETS[name], True, note=note))
        laid_out = [[shows_layout(scene, x) for scene, x in zip(found, each, strict=True)] for each in seen[:2]]
        value, ceiling = (float(np.mean(r)) for r in laid_out)
        more.append(Metric(f"compose: {name}, any things", value, len(found), ceiling, note="number, colours, places"))
        part.details[name] = [
            {"prompt": c.text, "right": hit, "seen": [[s.name, s.colour] for s in x]}
            for c, hit, x in zip(said, right[0], seen[0], strict=True)
        ]
        part.sheets[f"compose-{name}"] = contact_sheet([made[:SHEET]], 6, 128, SHEET)
        if name == "two":
            more.append(pointing_game(maker.pipe, raw, owners, said, settings.seed))
    mean = float(np.mean([f.share or 0.0 for f in part.metrics]))
    part.metrics.extend([Metric("compose: mean share", mean, len(TYPES) * settings.compose, target=0.85), *more])
    return part
