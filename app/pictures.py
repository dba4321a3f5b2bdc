"""The files of finished pictures: written, whose they are, which of them are kept."""

from __future__ import annotations

import contextlib
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from app.engine import Job
from app.history import History
from app.history.pictures import remove
from app.i18n import Sentence
from app.logs import reason
from app.metadata import file_name
from app.models import ModelFile
from app.schemas import GeneratedImage, GenerateResult, RequestError
from app.settings import Settings
from app.temporary import TemporaryFolder
from ldm_core import __version__
from ldm_core.images import Pixels
from ldm_core.metadata import write_png

MOST_OWNERS = 10_000  # owners remembered for --output-dir, where nothing else bounds them
PROBE_BYTES = 64_000  # about a picture: an empty file can be made on a full disk


class Pictures:
    """A folder of pictures, temporary or kept; methods may be called from any thread."""

    def __init__(self, settings: Settings, find: Callable[[str], ModelFile], history: History | None) -> None:
        """`find` tells the model that a job asked for."""
        self._temporary: TemporaryFolder | None = None  # where nothing keeps them
        if (folder := settings.outputs) is None:
            self._temporary = TemporaryFolder("pictures")
            folder = self._temporary.path
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._settings, self._find, self._history = settings, find, history
        self._owners: dict[str, str] = {}  # name of a file → its client, where no history knows it
        self._files: deque[Path] = deque()  # theirs, oldest first

    def owner(self, name: str) -> str | None:
        """Whose picture a file is."""
        return self._owners.get(name) if self._history is None else self._history.owner(name)

    def of(self, name: str, client: str) -> Path | None:
        """The file of a client's own finished picture; None where it is gone or not theirs."""
        path = self.folder / name
        mine = path.name == name and self.owner(name) == client
        return path if mine and path.is_file() else None

    def fault(self) -> Sentence | None:
        """Why no picture could be written just now; None where one could."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as probe:
                probe.write(b"x" * PROBE_BYTES)
        except OSError as error:
            return Sentence("not_saved", {"reason": reason(error)})
        return None

    def close(self) -> None:
        """A temporary folder goes with the process."""
        if self._temporary is not None:
            self._temporary.remove()

    def save(self, job: Job, pictures: list[Pixels], seconds: float, steps: int) -> GenerateResult:
        """Write a job's pictures, uint8 [H,W,3] each, with their own requests; RequestError where the disk refuses."""
        file = self._find(job.model)
        images: list[GeneratedImage] = []
        for k, pixels in enumerate(pictures):
            alone = job.request.image(k)
            seed = alone.seed or 0
            varied = alone.variation_seed if alone.variation_strength else None
            own = seed if varied is None else varied  # what tells the pictures of a job apart
            path = self.folder / file_name(alone.prompt, own, job.id)
            try:
                self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have tidied up
                more = {"runtime": job.runtime, "start": _start(job)}
                write_png(path, pixels, alone, file.sha256, __version__, more)
            except OSError as error:
                remove(images)
                raise RequestError("not_saved", reason=reason(error)) from error
            images.append(GeneratedImage(path, seed, pixels.shape[1], pixels.shape[0]))
        if self._history is not None:
            self._history.finish(job, images, file.name)
        else:
            self._owners |= {image.path.name: job.client for image in images}
        self._forget_old([image.path for image in images])
        return GenerateResult(job.request, tuple(images), seconds, steps, self._history is not None, _start(job))

    def _forget_old(self, made: list[Path]) -> None:
        """In a temporary folder only the newest keep_pictures files stay; in one that was asked for all do, and of the
        oldest is forgotten whose they are.
        """
        if self._history is not None:
            return
        temporary = self._temporary is not None
        self._files.extend(made)
        while len(self._files) > (self._settings.keep_pictures if temporary else MOST_OWNERS):
            with contextlib.suppress(IndexError):  # another thread that saves was faster
                oldest = self._files.popleft()
                if temporary:
                    oldest.unlink(missing_ok=True)
                self._owners.pop(oldest.name, None)


def _start(job: Job) -> str:
    """What a job's pictures begin from beside their seeds, as metadata names it."""
    if job.init_image is None:
        return "noise"
    return "picture" if job.mask is None else "picture and mask"
