"""Controls whose values are judged by us: Gradio would end the event with an error of its own before we saw them."""

from __future__ import annotations

from gradio.components import Component


def take_as_sent(control: Component) -> None:
    """Let an event's function have what the browser sent for a control, whatever it is."""
    setattr(control, "preprocess", lambda sent: sent)  # noqa: B010 — mypy is right that methods are not assigned to
