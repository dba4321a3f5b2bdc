"""Where the drawings come from: pinned packages, fetched by the npm client, verified, read."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SourceError(ValueError):
    """A package could not be fetched, or is not the pinned one."""


@dataclass(frozen=True)
class Package:
    """One npm package at one version; `integrity` is npm's own sha512."""

    name: str
    version: str
    integrity: str

    @property
    def archive(self) -> str:
        """The file name `npm pack` gives it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


@dataclass(frozen=True)
class IconSet:
    """An open emoji set in iconify's form, and the words its style goes by in captions."""

    package: Package
    style: str
    bare_tones: bool = False  # its names say "-dark" for "-dark-skin-tone"
    unspaced: bool = False  # its names run words together

    @property
    def key(self) -> str:
        """The set's short name: 'noto'."""
        return self.package.name.rpartition("/")[2]


@dataclass(frozen=True)
class Icon:
    """One drawing: the set's name for it, a complete SVG, other names, code points where the set gives them."""

    slug: str
    svg: str
    aliases: tuple[str, ...] = ()
    code: str = ""


def _iconify(name: str, version: str, integrity: str) -> Package:
    return Package(f"@iconify-json/{name}", version, f"sha512-{integrity}")


ICON_SETS = (
    IconSet(
        _iconify(
            "noto", "1.2.9", "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw=="
        ),
        "noto style",
    ),
    IconSet(
        _iconify(
            "twemoji",
            "1.2.5",
            "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        ),
        "twemoji style",
    ),
    IconSet(
        _iconify(
            "fluent-emoji",
            "1.2.7",
            "D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
        ),
        "3d style",
        bare_tones=True,
    ),
    IconSet(
        _iconify(
            "fluent-emoji-flat",
            "1.2.6",
            "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        ),
        "flat style",
        bare_tones=True,
    ),
    IconSet(
        _iconify(
            "emojione",
            "1.2.3",
            "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        ),
        "emojione style",
    ),
    IconSet(
        _iconify(
            "fxemoji",
            "1.2.2",
            "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
        ),
        "fx style",
        unspaced=True,
    ),
    IconSet(
        _iconify(
            "noto-v1",
            "1.2.5",
            "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        ),
        "blob style",
    ),
)

EMOJIBASE = Package(
    "emojibase-data",
    "17.0.0",
    "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
)


# Emojibase's tables of chat shortcodes, the most descriptive ones first.
SHORTCODES = ("joypixels", "iamcal", "github", "emojibase-legacy", "emojibase")


def fetch(package: Package, cache: Path) -> Path:
    """The package's archive in `cache`, downloaded unless it is there; SourceError where it is not the pinned one."""
    archive = cache / package.archive
    if archive.exists():
        _verify(archive, package)
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:  # an interrupted download leaves nothing under the real name
        command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{package.name}@{package.version}"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise SourceError("the npm client is needed to fetch the emoji sets; install Node.js") from None
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip().splitlines() or ["no message"])[-1]
            raise SourceError(f"npm could not fetch {package.name}@{package.version}: {last}") from None
        fetched = Path(folder, package.archive)
        _verify(fetched, package)
        os.replace(fetched, archive)
    return archive


def _verify(archive: Path, package: Package) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != package.integrity:
        raise SourceError(f"{archive.name} is not the pinned {package.name}@{package.version}; delete it and try again")


def read_json(archive: Path, name: str) -> Any:
    """A JSON file out of an npm archive."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/{name}")
        if member is None:
            raise SourceError(f"{archive.name} has no {name}")
        return json.load(member)


def icons_of(data: dict[str, Any], codes: dict[str, str] | None = None) -> list[Icon]:
    """Iconify's icons.json and chars.json (code → name) → drawings.

    What the set itself hides (kept there for old names) is left out; aliases only lend their names.
    """
    width, height = data.get("width", 16), data.get("height", 16)
    code_of = {slug: code for code, slug in (codes or {}).items()}
    aliases: dict[str, list[str]] = {}
    for alias, about in data.get("aliases", {}).items():
        if not about.keys() & {"hFlip", "vFlip", "rotate"}:  # a mirrored hand is another thing
            aliases.setdefault(about["parent"], []).append(alias)
    icons = []
    for slug, icon in data["icons"].items():
        if icon.get("hidden"):
            continue
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {icon.get('width', width)} {icon.get('height', height)}"
        head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}">'
        svg = f"{head}{icon['body']}</svg>"
        icons.append(Icon(slug, svg, tuple(aliases.get(slug, ())), code_of.get(slug, "")))
    return icons
