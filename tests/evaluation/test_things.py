"""A head on a judge's features tells things apart by their shape, in colours and sizes that it was not shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.corpus import Corpus, Entry, write_index
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.structure import held_out
from ldm_core.evaluation.components import background_colour, cut_out, separate
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.things import VIEWS, ThingReader, views
from ldm_core.models.judge import Judge, JudgeConfig

SHAPES = {"cat": (1, 1), "dog": (1, 4), "star": (4, 1), "key": (2, 3)}  # heights and widths
SIDE = 128


def drawing(concept: str, colour: tuple[int, int, int], side: int = 96) -> np.ndarray:
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    height, width = (side * part // max(SHAPES[concept]) for part in SHAPES[concept])
    picture[16 : 16 + height, 16 : 16 + width] = (*colour, 255)
    return picture


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    colours = [THING_COLOURS[c] for c in ("red", "blue", "green", "orange", "purple")]
    rows = [(name, i) for name in SHAPES for i in range(len(colours))]
    np.save(folder / "drawings.npy", np.stack([drawing(name, colours[i]) for name, i in rows]))
    write_index(folder / "index.tsv", [Entry(n, f"style {i}", n, "", (), "train") for n, i in rows])
    return Corpus(folder)


def test_views_show_each_drawing_and_no_held_out_colour(corpus: Corpus):
    crops, names = views(Drawings(corpus), 32, np.random.default_rng(0))
    assert crops.shape == (len(corpus.train) * VIEWS, 32, 32, 3)
    assert names[:: 5 * VIEWS] == list(SHAPES)
    hidden = [(c, n) for c in THING_COLOURS for n in SHAPES if held_out("colour", c, n)]
    assert hidden
    for colour, name in hidden:
        for crop in crops[[i for i, n in enumerate(names) if n == name]]:
            centre = np.abs(crop[14:18, 14:18].astype(int) - THING_COLOURS[colour]).max()
            own = {"red", "blue", "green", "orange", "purple"}
            assert centre > 8 or colour in own


def test_things_are_named_by_their_shape(corpus: Corpus):
    torch.manual_seed(0)
    reader = ThingReader(JudgeModel(Judge(JudgeConfig(("cat",), ("style",), (8, 16, 16), 8, 32))), Drawings(corpus))
    for name in SHAPES:
        rgba = drawing(name, THING_COLOURS["brown"], 60)
        image = np.where(rgba[..., 3:] > 0, rgba[..., :3], np.uint8(255))
        background = background_colour(image, BACKGROUNDS["white"])
        (component,) = separate(image, background)
        assert reader(cut_out(image, component, background, 32)[None]) == [name]
