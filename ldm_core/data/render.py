"""SVG → pixels, in worker processes: the renderer may panic on a drawing, and must take nothing else with it."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldm_core.data.corpus import SIZE
from ldm_core.images import own_picture

Rendered = NDArray[np.uint8] | None
LARGEST_SVG = 1_000_000  # characters


def render(svg: str) -> Rendered:
    """A square drawing uint8 RGBA [128,128,4], or None where the renderer cannot."""
    import resvg_py  # only the corpus needs it

    if len(svg) > LARGEST_SVG:
        return None
    try:
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE))
        picture = own_picture(io.BytesIO(png)).convert("RGBA")
    except Exception:
        return None
    except BaseException as panic:  # a Rust panic arrives as a BaseException of its own
        if type(panic).__name__ == "PanicException":
            return None
        raise
    if picture.size != (SIZE, SIZE):
        side = max(picture.size)
        square = Image.new("RGBA", (side, side))
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        picture = square.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def render_all(svgs: Sequence[str], processes: int = 2, chunk: int = 64) -> Iterator[list[Rendered]]:
    """Chunks of drawings in order. A chunk whose worker dies is done again one by one, each in its own process."""
    done = 0
    while done < len(svgs):
        pool = ProcessPoolExecutor(processes, initializer=_leave_interrupts)
        try:
            for future in [pool.submit(_render_chunk, svgs[i : i + chunk]) for i in range(done, len(svgs), chunk)]:
                yield future.result()
                done += chunk
        except BrokenProcessPool:  # it takes no more work, so the rest goes to a new one
            yield [_render_alone(svg) for svg in svgs[done : done + chunk]]
            done += chunk
        finally:
            pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches the workers too; the process that they work for ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _render_chunk(svgs: Sequence[str]) -> list[Rendered]:
    return [render(svg) for svg in svgs]


def _render_alone(svg: str) -> Rendered:
    with ProcessPoolExecutor(1, initializer=_leave_interrupts) as pool:
        try:
            return pool.submit(render, svg).result()
        except BrokenProcessPool:
            return None
