"""PNG files that know how they were made: written by service, library and command line alike, and read again."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image, PngImagePlugin

from ldm_core.files import replacing
from ldm_core.images import PNG_SIGN, Pixels, picture_format, png_chunks
from ldm_core.sampling import ParameterError, SamplingParams

KEY = "latent-lab"
MAX_TEXTS = 100  # of one file
# Strangers paste these: what each part takes, the next cannot take again, and a name has an end.
SETTINGS = re.compile(r"^[ \t]*(Steps: *\d+ *,.*)", re.MULTILINE)
PAIR = re.compile(r'([\w/-][\w /-]{0,99}): *("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
LINE = {  # a name in the line, lower case → the setting
    "steps": "steps",
    "cfg scale": "guidance_scale",
    "seed": "seed",
    "eta": "eta",
    "denoising strength": "strength",
    "variation seed": "variation_seed",
    "variation seed strength": "variation_strength",
}
# What a prompt copies from such a text must not pass for a part of it; in linear time.
LABEL = re.compile(r"(?<!\s)[^\S\n]*\n\s*(?=Negative prompt:|Steps: *\d)")
READ = ("size", "sampler")
OF_NO_EFFECT = ("model", "model hash", "version", "lora hashes", "ti hashes", "hashes", "seed resize from", "vae hash")
NETWORK = re.compile(r"<\w{1,20}:[^<>\n]{1,100}>")  # a LoRA or the like, named in a prompt
A1111_SAMPLERS = {
    "DDIM": "ddim",
    "DDPM": "ddpm",
    "PLMS": "plms",
    "Euler": "euler",
    "Euler a": "euler_a",
    "Heun": "heun",
    "DPM++ 2M": "dpmpp_2m",
    "DPM++ 2M SDE": "dpmpp_2m_sde",
    "UniPC": "unipc",
}
SAMPLERS_BY_NAME = {n.lower(): ours for n, ours in A1111_SAMPLERS.items()} | {o: o for o in A1111_SAMPLERS.values()}
A1111_NAMES = {ours: name for name, ours in A1111_SAMPLERS.items()}
MAX_TEXT = 64_000  # characters of metadata that are read from a file


class MetadataError(ValueError):
    """A file whose settings are not read. `key` names the sentence, `values` fill its blanks."""

    MESSAGES: ClassVar = {
        "png_other": "the file is {kind}, not PNG",
        "png_unreadable": "the file is not a picture that can be read",
        "png_bare": "the file carries no Latent Lab settings",
        "png_damaged": "the settings in the file are damaged",
        "png_newer": "the file was made by Latent Lab {version}, with settings unknown here: {names}",
    }

    def __init__(self, key: str, **values: Any) -> None:
        self.key, self.values = key, values
        super().__init__(self.MESSAGES[key].format(**values))


def write_png(
    path: Path,
    pixels: Pixels,
    request: SamplingParams,
    weights_sha256: str,
    version: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write pixels uint8 [H,W,3] with the request of this one picture (batch 1, its own seed) in text chunks.

    `more` are further JSON values for the record: `runtime`, a grid's axes, and `start`, what it began from beside its
    seed: noise, picture, or picture and mask. A second chunk, `parameters`, says the request in
    the line other tools show. The file is written whole or not at all.
    """
    alone = replace(request, batch=1)
    record = {"request": alone.to_dict(), "weights_sha256": weights_sha256, "version": version, "start": "noise"}
    record |= more or {}
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, json.dumps(record, ensure_ascii=False))
    height, width = alone.height or pixels.shape[0], alone.width or pixels.shape[1]  # of one picture, not of a grid
    line = parameters_line(alone, width, height, weights_sha256, from_picture=record["start"] != "noise")
    info.add_itxt("parameters", line)
    with replacing(path) as partial:  # a full disk, or an end in mid-write, leaves no half picture
        Image.fromarray(pixels).save(partial, format="PNG", pnginfo=info)


def parameters_line(
    params: SamplingParams, width: int, height: int, weights_sha256: str, from_picture: bool = False
) -> str:
    """The settings as other Stable Diffusion programs write them; a line that a prompt copies from there is no line.

    Strength is named where the picture was made `from_picture`, a variation where there is one.
    """
    prompt, negative = (LABEL.sub(" ", text) for text in (params.prompt, params.negative_prompt))
    negative = f"\nNegative prompt: {negative}" if negative else ""
    variation = f", Variation seed: {params.variation_seed}, Variation seed strength: {params.variation_strength}"
    return (
        f"{prompt}{negative}\nSteps: {params.steps}, Sampler: {A1111_NAMES.get(params.sampler, params.sampler)}, "
        f"CFG scale: {params.guidance_scale}, Seed: {params.seed}, Size: {width}x{height}, Eta: {params.eta}, "
        f"Model hash: {weights_sha256[:10]}"
        f"{variation if params.variation_strength else ''}"
        f"{f', Denoising strength: {params.strength}' if from_picture else ''}"
    )


def read_parameters(text: str) -> dict[str, Any]:
    """Settings out of a line as `parameters_line` and other programs write it; {} where it holds none.

    Plain values for SamplingParams.from_dict, of the wrong type where the text was: what is not known here is left out.
    A text longer than MAX_TEXT is not read.
    """
    above, pairs = _parts(text)
    if not pairs:
        return {}
    prompt, _, negative = f"\n{above}".partition("\nNegative prompt:")  # without a prompt it is the first line
    named = {name.lower(): value for name, value in pairs}
    values: dict[str, Any] = {ours: _number(named[theirs]) for theirs, ours in LINE.items() if theirs in named}
    if size := SIZE.fullmatch(named.get("size", "")):
        values |= {"width": int(size[1]), "height": int(size[2])}
    if (sampler := sampler_named(named.get("sampler", ""))) is not None:
        values["sampler"] = sampler
    if values.get("seed") == -1:
        del values["seed"]
    return {"prompt": prompt.strip(), "negative_prompt": negative.strip(), **values}


def unread_parameters(text: str) -> list[str]:
    """What such a text names that `read_parameters` does not take, as it stands there: LoRA, hires steps, a sampler."""
    above, pairs = _parts(text)
    unread = list(dict.fromkeys(NETWORK.findall(above)))
    for name, value in pairs:
        if name.lower() == "sampler" and sampler_named(value) is None:
            unread.append(f"{name} {value}")
        elif name.lower() not in {*LINE, *READ, *OF_NO_EFFECT}:
            unread.append(name)
    return unread


def _parts(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What stands above the last line of settings, and that line's names and values; nothing where there is none."""
    found = list(SETTINGS.finditer(text)) if len(text) <= MAX_TEXT else []
    if not found:
        return "", []
    pairs = [(name.strip(), value.strip().strip('"')) for name, value in PAIR.findall(found[-1][1])]
    return text[: found[-1].start()], pairs


def sampler_named(name: str) -> str | None:
    """Our sampler of a name that A1111 or we give it; None for others.

    A name may end in a schedule, as before A1111 1.9 and from many clients still: like `scheduler` it is ignored.
    """
    return SAMPLERS_BY_NAME.get(re.sub(r" (karras|exponential|sgm uniform|automatic)$", "", name.lower()))


def _number(text: str) -> Any:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def read_png(path: Path) -> tuple[SamplingParams, dict[str, str]]:
    """The request a PNG was made from, and {weights_sha256, version}, {start, runtime} too where the file says them.

    The file is untrusted: its pixels are not decoded, and of its text only our own chunk is read, of bounded length,
    against the request's schema. Raises MetadataError, or ParameterError for a setting that cannot be.
    """
    data = path.read_bytes()
    if not data.startswith(PNG_SIGN):
        raise _no_png(path)
    text = next((text for kind, body in png_chunks(data) if kind == b"iTXt" and (text := _own_text(body))), None)
    if text is None:
        raise MetadataError("png_bare")
    try:
        record = json.loads(text)
        request, version = dict(record["request"]), str(record["version"])
        info = {"weights_sha256": str(record["weights_sha256"]), "version": version}
        info |= {name: str(record[name])[:40] for name in ("start", "runtime") if name in record}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MetadataError("png_damaged") from None
    try:
        return SamplingParams.from_dict(request), info
    except ParameterError as error:
        if error.key == "unknown_setting":
            raise MetadataError("png_newer", version=version[:20], names=error.values["names"][:100]) from None
        raise


def png_texts(data: bytes) -> dict[str, str]:
    """Every text of a PNG by its keyword, read from its chunks alone; what is damaged or longer than MAX_TEXT is not.

    Pillow's reader refuses a whole file for one odd chunk, and unpacks what is packed however large it is.
    """
    texts: dict[str, str] = {}
    for kind, body in png_chunks(data) if data.startswith(PNG_SIGN) else ():
        keyword, _, rest = body.partition(b"\0")
        packed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] == b"\1")
        encoding = "utf-8" if kind == b"iTXt" else "latin-1"
        if kind == b"iTXt":
            rest = rest[2:].split(b"\0", 2)[-1]
        elif kind == b"zTXt":
            rest = rest[1:]
        elif kind != b"tEXt":
            continue
        text = _unpacked(rest) if packed else rest
        if text is not None and len(text) <= 4 * MAX_TEXT and len(texts) < MAX_TEXTS:
            decoded = text.decode(encoding, errors="replace")
            if len(decoded) <= MAX_TEXT:
                texts[keyword.decode("latin-1")] = decoded
    return texts


def _unpacked(packed: bytes) -> bytes | None:
    """Deflated bytes as they were; None where they are damaged or too long."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(packed, 4 * MAX_TEXT)
    except zlib.error:
        return None
    return text if inflate.eof else None


def _own_text(body: bytes) -> str | None:
    """An iTXt chunk's text where its keyword is ours; what is too long or packed is no JSON of ours: "?"."""
    keyword, _, rest = body.partition(b"\0")
    if keyword != KEY.encode():
        return None
    packed, text = rest[:1] != b"\0", rest[2:].split(b"\0", 2)[-1]
    decoded = text[: 4 * MAX_TEXT].decode("utf-8", errors="replace")
    return "?" if packed or len(decoded) > MAX_TEXT or len(text) > 4 * MAX_TEXT else decoded


def _no_png(path: Path) -> MetadataError:
    kind = picture_format(path)
    return MetadataError("png_other", kind=kind) if kind else MetadataError("png_unreadable")
