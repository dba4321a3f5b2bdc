"""What the server remembers of an open page: its State values, and nothing that every page has in common."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.state_holder import SessionState, StateHolder


class LeanSession(SessionState):
    """A session without its own copy of every component's configuration, which only deep links would read.

    Gradio's takes 1.4 MB for this page, for every session hash that anybody sends.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    def __setitem__(self, key: int, value: Any) -> None:
        """An event that updates a component makes it anew: what reads its values here goes with it."""
        known = vars(self.blocks_config.blocks.get(key, self))
        if isinstance(value, Component) and "preprocess" in known:
            setattr(value, "preprocess", known["preprocess"])  # noqa: B010 — methods are not assigned to
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None: ...

    def _update_value_in_config(self, key: int, value: Any) -> None: ...

    @property
    def components(self) -> Iterator[dict[str, Any]]:
        """Nothing to restore a deep link from."""
        return iter(())


class LeanSessions(StateHolder):
    """The sessions of a page: lean ones, the one unused longest forgotten when there are too many."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LeanSession(self.blocks)
        return super().__getitem__(session_id)
