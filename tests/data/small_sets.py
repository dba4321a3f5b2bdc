"""Hand-made packages in the published layout: what `npm pack` would have fetched."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from ldm_core.data.sources import SHORTCODES, IconSet, Package

COLOURS = {"red": "#d63031", "green": "#46a555", "blue": "#3773dc"}
EMOJI = [
    {"label": "red apple", "hexcode": "1F34E", "tags": ["apple", "fruit", "red"]},
    {"label": "green apple", "hexcode": "1F34F", "tags": ["apple", "fruit", "green"]},
    {"label": "flag: Chile", "hexcode": "1F1E8-1F1F1", "tags": ["CL", "flag"]},
    {"label": "blue circle", "hexcode": "1F535", "tags": ["blue", "circle"]},
    {
        "label": "waving hand",
        "hexcode": "1F44B",
        "tags": ["hand", "wave"],
        "skins": [{"label": "waving hand: dark skin tone", "hexcode": "1F44B-1F3FF"}],
    },
]


def disc(colour: str, radius: int = 40) -> str:
    """The inside of an SVG, 100 units wide."""
    return f'<circle cx="50" cy="50" r="{radius}" fill="{colour}"/>'


def pack(folder: Path, name: str, files: dict[str, Any]) -> Package:
    """Write an archive of JSON files under its published name; the package that pins it."""
    unpinned = Package(name, "1.0.0", "")
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / unpinned.archive
    with tarfile.open(archive, "w:gz") as tar:
        for path, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    return Package(name, "1.0.0", f"sha512-{digest}")


def pack_set(folder: Path, key: str, bodies: dict[str, str], **more: Any) -> IconSet:
    """An icon set of SVG bodies; `aliases` and `chars` as in the published files, the rest as in IconSet."""
    icons = {"width": 100, "height": 100, "icons": {slug: {"body": body} for slug, body in bodies.items()}}
    icons["aliases"] = {alias: {"parent": parent} for alias, parent in more.pop("aliases", {}).items()}
    info = {"author": {"name": f"the {key} people", "url": "https://example.org"}, "license": {"spdx": "MIT"}}
    files = {"icons.json": icons, "chars.json": more.pop("chars", {}), "info.json": info}
    return IconSet(pack(folder, f"@hand-made/{key}", files), f"{key} style", **more)


def pack_emojibase(folder: Path) -> Package:
    """The few emoji of EMOJI, and one shortcode."""
    tables: dict[str, Any] = {f"en/shortcodes/{name}.json": {} for name in SHORTCODES}
    tables["en/shortcodes/github.json"] = {"1F44B": "wave"}
    return pack(folder, "emojibase-data", {"en/data.json": EMOJI, **tables})
