"""What the server remembers of an open page."""

from __future__ import annotations

import asyncio

import gradio as gr

from app.ui.gradio_patches.lean_sessions import LeanSessions


def test_an_updated_component_still_leaves_judging_to_us() -> None:
    """Gradio makes a component anew for the session at each update; what was set on the first one went."""
    with gr.Blocks() as blocks:
        slider, said = gr.Slider(1, 50), gr.Textbox()
        slider.preprocess = lambda typed: typed  # type: ignore[method-assign]
        shorten = gr.on(None, lambda: gr.update(maximum=3, value=3), outputs=slider)
        read = gr.on(None, str, slider, said)
    session = LeanSessions(blocks)["a page"]
    asyncio.run(blocks.process_api(blocks.fns[shorten["id"]], [], state=session))
    answer = asyncio.run(blocks.process_api(blocks.fns[read["id"]], [6], state=session))
    assert answer["data"] == ["6"]  # where a refusal of the component's would have ended the event with a 500
