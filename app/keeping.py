"""What is kept of jobs: their pictures in a folder; with a data folder the history and the journal too."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes

from app.engine import Done, End, Failed, Interrupted, Job
from app.history import History
from app.history.pictures import remove
from app.i18n import Sentence
from app.logs import reason
from app.metadata import file_name
from app.models.folder import ModelFile
from app.schemas import GeneratedImage, GenerateResult, RequestError
from app.settings import Settings
from app.temporary import TemporaryFolder
from ldm_core import __version__
from ldm_core.images import Pixels
from ldm_core.metadata import write_png

log = logging.getLogger(__name__)

MOST_OWNERS = 10_000  # owners remembered for --output-dir, where nothing else bounds them
PROBE_BYTES = 64_000  # about a picture: an empty file can be made on a full disk


class FolderKeeper:
    """Pictures in a folder, temporary or asked for; jobs go with the process. Methods may be called from any thread."""

    history: History | None = None

    def __init__(self, settings: Settings, find: Callable[[str], ModelFile]) -> None:
        """`find` tells the model that a job asked for."""
        self.link_key = token_bytes()  # signs addresses of pictures
        self._temporary: TemporaryFolder | None = None  # where nothing keeps them
        if (folder := settings.outputs) is None:
            self._temporary = TemporaryFolder("pictures")
            folder = self._temporary.path
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._settings, self._find = settings, find
        self._owners: dict[str, str] = {}  # name of a file → its client
        self._files: deque[Path] = deque()  # theirs, oldest first

    def unfinished(self) -> list[Job]:
        """Jobs that an earlier process has left, to run again."""
        return []

    def beginning(self, start: str, client: str) -> str | None:
        """The id of a client's own job that begins so, among those that are written down."""
        return None

    def accept(self, job: Job) -> None:
        """A job is taken; nobody has been told of it. RequestError where it could not be kept."""

    def refuse(self, job: Job) -> None:
        """A job that was accepted is not taken after all."""

    def begin(self, job: Job) -> None:
        """A job's run begins."""

    def end(self, job: Job, event: End) -> None:
        """A job has ended; who follows it is told next."""

    def lost(self) -> None:
        """The device is lost, and the process ends."""

    def trim(self) -> None:
        """Delete what need not be kept any more."""

    def owner(self, name: str) -> str | None:
        """Whose picture a file is."""
        return self._owners.get(name)

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
        self._note(job, images, file.name)
        kept = self.history is not None
        return GenerateResult(job.request, tuple(images), seconds, steps, kept, _start(job), file.name)

    def _note(self, job: Job, images: list[GeneratedImage], model: str) -> None:
        """Know whose a job's files are. In a temporary folder only the newest keep_pictures files stay; in one that was
        asked for all do, and of the oldest is forgotten whose they are.
        """
        temporary = self._temporary is not None
        self._owners |= {image.path.name: job.client for image in images}
        self._files.extend(image.path for image in images)
        while len(self._files) > (self._settings.keep_pictures if temporary else MOST_OWNERS):
            with contextlib.suppress(IndexError):  # another thread that saves was faster
                oldest = self._files.popleft()
                if temporary:
                    oldest.unlink(missing_ok=True)
                self._owners.pop(oldest.name, None)


class HistoryKeeper(FolderKeeper):
    """Pictures in a data folder with their index, and the journal of durable jobs, which outlive the process."""

    history: History

    def __init__(self, settings: Settings, folder: Path, find: Callable[[str], ModelFile]) -> None:
        """`folder` is the data folder; ValueError in one sentence where it cannot be used."""
        self.history = History(folder, settings)
        super().__init__(settings, find)
        self.link_key = self.history.link_key

    def unfinished(self) -> list[Job]:
        """Those that have had their runs end as interrupted."""
        return self.history.journal.unfinished(str(Sentence("interrupted")))

    def beginning(self, start: str, client: str) -> str | None:
        """Also one of an earlier process."""
        return self.history.journal.begins(start, client)

    def accept(self, job: Job) -> None:
        """RequestError where there is no room for its pictures, or where it cannot be written down."""
        self.history.check_room(job.client)
        if job.requester.durable:
            self.history.journal.accept(job)

    def refuse(self, job: Job) -> None:
        """It is written down no more."""
        if job.requester.durable:
            self.history.journal.refuse(job.id)

    def begin(self, job: Job) -> None:
        """Its run counts from now on."""
        if not job.requester.durable:
            return
        try:
            self.history.journal.begin(job.id)
        except sqlite3.Error:  # a full disk, say: the run is not counted, so that a crash would give the job one more
            log.exception("the start of job %s could not be written down", job.id)

    def end(self, job: Job, event: End) -> None:
        """One that is done is noted with its pictures; one that the end of the process has cut off stays accepted."""
        if job.requester.durable and not isinstance(event, (Done, Interrupted)):
            message = str(event.message) if isinstance(event, Failed) else None
            self.history.journal.end(job.id, type(event).__name__.lower(), message)

    def lost(self) -> None:
        """The runs under way count, as after a crash."""
        self.history.journal.count_runs()

    def trim(self) -> None:
        """What is too old or too much."""
        self.history.trim()

    def owner(self, name: str) -> str | None:
        """Also of a picture of an earlier process."""
        return self.history.owner(name)

    def close(self) -> None:
        """Let the folder go, in good order."""
        self.history.close()

    def _note(self, job: Job, images: list[GeneratedImage], model: str) -> None:
        self.history.finish(job, images, model)


def _start(job: Job) -> str:
    """What a job's pictures begin from beside their seeds, as metadata names it."""
    if job.init_image is None:
        return "noise"
    return "picture" if job.mask is None else "picture and mask"
