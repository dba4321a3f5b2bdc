"""The page as an ASGI app of its own, guarded, with what gradio must be told once."""

from __future__ import annotations

from typing import Any

import gradio as gr
from fastapi import FastAPI

from app.service import Service
from app.ui.guard import RefuseRemoteFiles
from app.ui.page import MOUNT, build_page


def mount_page(service: Service) -> FastAPI:
    """Build the page around a service; the result is served at the root of the port."""
    settings = service.settings
    options: dict[str, Any] = {
        "root_path": settings.root_path or None,
        "allowed_paths": [str(service.outputs)],
        "max_file_size": settings.max_upload_bytes,
        "show_error": False,
        "run_history": False,
        **MOUNT,
    }
    app = FastAPI()
    app.add_middleware(RefuseRemoteFiles)
    return gr.mount_gradio_app(app, build_page(service), path="/", **options)
