"""The History tab's own functions, on a real history: whose pictures, which of them, and what the large view does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from app.engine import Requester
from app.history import History
from app.settings import Settings
from app.ui.generate import GenerateTab
from app.ui.history import HistoryTab
from app.ui.picture_cards import Picture
from app.widgets.translation import Translation
from tests.app.ui.fake import FakeService, made

EVERYTHING = ("", "", "any", False)
EN: Any = SimpleNamespace(query_params={"lang": "en"})


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Any]:
    service: Any = FakeService(tmp_path)
    service.history = History(tmp_path, Settings())
    service.outputs = service.history.pictures
    service.visitor = lambda: Requester("me", durable=True)
    yield service
    service.engine.close()
    service.history.close()


@pytest.fixture
def tab(service: Any) -> HistoryTab:
    with gr.Blocks(analytics_enabled=False) as blocks:
        words = Translation("en")
        with gr.Tabs():
            stage = GenerateTab(blocks, service, words).stage
            tab = HistoryTab(service, words)
        tab.wire(stage, gr.Button().click(fn=None))
    return tab


def test_one_s_own_as_the_controls_ask(service: Any, tab: HistoryTab) -> None:
    assert "gathers here" in tab.draw(EN, *EVERYTHING)[tab.gallery]
    names = [made(service, "a red <apple>"), made(service, "a blue cat", model="two"), made(service, "secret", "other")]
    drawn = tab.draw(EN, *EVERYTHING)
    html = drawn[tab.gallery]
    assert "secret" not in html and "<apple>" not in html and names[0] in html and names[1] in html
    assert drawn[tab.model]["visible"] and [value for _, value in drawn[tab.model]["choices"]] == ["", "one", "two"]
    assert "value" not in drawn[tab.model], "a model chosen while this was drawn stays chosen"
    assert tab.draw(EN, "", "gone", "any", False)[tab.model]["value"] == ""
    cat = tab.draw(EN, "CAT", "two", "week", False)[tab.gallery]
    assert names[1] in cat and names[0] not in cat and 'href="pictures.zip?q=CAT&amp;model=two&amp;since=' in cat
    assert "No picture of yours fits" in tab.draw(EN, "", "", "any", True)[tab.gallery]
    (service.history.pictures / names[1]).unlink()
    assert names[1] not in tab.draw(EN, *EVERYTHING)[tab.gallery]


def test_a_favourite_and_a_deletion_reach_the_session_too(service: Any, tab: HistoryTab) -> None:
    name, foreign = made(service, "an apple"), made(service, "secret", "other")
    session = [Picture(str(service.history.pictures / name), "an apple", "{}", {"seed": 7, "width": 8, "height": 8,
                       "steps": 1, "took": 1.0}, False)]  # fmt: skip
    kept = tab.keep({"do": "favour", "file": name}, None, session, EN, 60, *EVERYTHING)
    assert kept[tab._stage.history][0].favourite and 'data-favourite="true"' in kept[tab.gallery]
    tab.keep({"do": "delete", "file": foreign}, None, session, EN, 60, *EVERYTHING)
    assert (service.history.pictures / foreign).exists(), "somebody else's"
    gone = tab.keep({"do": "delete", "file": name}, None, session, EN, 60, *EVERYTHING)
    assert gone[tab._stage.history] == [] and not (service.history.pictures / name).exists()
    assert tab.keep(None, None, session, EN, 60, *EVERYTHING)[tab._stage.history] == session
    again = made(service, "an apple")  # the page's session is gone: the tab itself knows its pictures
    recalled = tab.keep({"do": "favour", "file": again}, {"all": [{"file": again}]}, [], EN, 60, *EVERYTHING)
    assert [Path(p.path).name for p in recalled[tab._stage.history]] == [again]


def test_a_deleted_picture_leaves_no_facts_and_no_empty_frame(service: Any, tab: HistoryTab) -> None:
    one, other = made(service, "an apple"), made(service, "a pear")
    stage = tab._stage
    gone = tab.keep({"do": "delete", "file": one, "told": False, "last": False}, None, [], EN, 60, *EVERYTHING)
    assert not {stage.facts, stage.frame} & set(gone), "another picture is shown"
    gone = tab.keep({"do": "delete", "file": other, "told": True, "last": True}, None, [], EN, 60, *EVERYTHING)
    assert gone[stage.facts] == "" and gone[stage.shown] is None and not gone[stage.download]["interactive"]
    assert "forms here" in gone[stage.frame]


def test_without_a_history_it_says_so(service: Any, tab: HistoryTab) -> None:
    history, service.history = service.history, None
    assert "keeps no history" in tab.draw(EN, *EVERYTHING)[tab.gallery]
    service.history = history


def test_a_favourite_that_has_no_room_is_refused_in_a_sentence(service: Any, tab: HistoryTab) -> None:
    name = made(service, "an apple")
    service.history._settings = Settings(client_history_bytes=1)
    kept = tab.keep({"do": "favour", "file": name}, {"all": [{"file": name}]}, [], EN, 60, *EVERYTHING)
    assert "Your favourites fill" in kept[tab.refused]
    assert kept[tab.refused] in kept[tab._stage.line], "also where the large view is closed by now"
    again = tab.keep({"do": "unfavour", "file": name}, {"all": [{"file": name}]}, [], EN, 60, *EVERYTHING)
    assert again[tab.refused] == "" and tab._stage.line not in again
    assert not kept[tab._stage.history][0].favourite and 'data-favourite="false"' in kept[tab.gallery]
