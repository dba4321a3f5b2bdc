"""A canvas arrives as files, undecoded, and bounded in layers, bytes and number before the event that uses it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import gradio as gr
from fastapi import HTTPException
from gradio.components.image_editor import AcceptBlobs, EditorDataBlobs
from gradio.processing_utils import save_bytes_to_cache

MAX_LAYERS = 16
MAX_BYTES = 100_000_000  # of all canvases together; they are taken out again within a second


Canvas = dict[str, Any]  # {"background": path | None, "layers": [path, …]}


class BlobStore(OrderedDict[str, EditorDataBlobs]):
    """Canvases on their way, by the id the browser chose; the oldest makes room for the newest."""

    def __setitem__(self, key: str, blobs: EditorDataBlobs) -> None:
        super().__setitem__(key, blobs)
        self.move_to_end(key)
        while len(self) > 1 and sum(map(_size, self.values())) > MAX_BYTES:
            self.popitem(last=False)


def keep_files(editor: gr.ImageEditor) -> gr.ImageEditor:
    """Make the editor hand over files as they came, {"background": path, "layers": [path]}.

    Gradio would decode them first, however large; open_upload looks at the size before it decodes.
    """

    def preprocess(payload: Any) -> Canvas | None:
        if payload is None:
            return None
        if payload.id is not None:
            payload = editor.blob_storage.pop(payload.id, None)
            if payload is None:
                return None
        return {
            "background": _path(payload.background, editor.GRADIO_CACHE),
            "layers": [path for layer in payload.layers if (path := _path(layer, editor.GRADIO_CACHE))],
        }

    setattr(editor, "preprocess", preprocess)  # noqa: B010 — mypy is right that methods are not assigned to
    _bound_blobs(editor)
    return editor


def _bound_blobs(editor: gr.ImageEditor) -> None:
    """Make the editor keep few and small canvases. Gradio would make as many layers as a request names."""
    editor.blob_storage = BlobStore()
    accept = editor.accept_blobs

    def accept_blobs(data: AcceptBlobs) -> None:
        """Take one file of a canvas; one past the limits is dropped."""
        index = str(data.data["index"])
        if data.data["type"] == "composite":
            return  # what it is composed of is all that is used
        if data.data["type"] == "layer" and not (index.isdecimal() and int(index) < MAX_LAYERS):
            raise HTTPException(422, f"A canvas has at most {MAX_LAYERS} layers.")
        accept(data)

    accept_blobs._is_server_fn = True  # type: ignore[attr-defined]  # what Gradio's untyped @server does
    setattr(editor, "accept_blobs", accept_blobs)  # noqa: B010 — mypy is right that methods are not assigned to


def _size(blobs: EditorDataBlobs) -> int:
    files = (blobs.background, blobs.composite, *blobs.layers)
    return sum(len(file) for file in files if file is not None) + 1000  # an empty one takes room too


def _path(file: Any, cache: str) -> str | None:
    if file is None:
        return None
    if isinstance(file, bytes):
        return str(save_bytes_to_cache(file, "canvas.png", cache))
    return str(file.path)
