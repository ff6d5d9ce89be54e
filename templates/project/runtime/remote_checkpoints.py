"""Checkpoints that are sent to another place as well, for a machine that may not come back.

A checkpoint becomes whole in the local folder. From there a thread of the main process sends it,
while training goes on; a run that finds a newer one there than here begins by fetching it.
"""

import shutil
import sys
import threading
from pathlib import Path

from runtime.checkpoint import Checkpoints
from runtime.checkpoint_files import damage_of
from runtime.errors import UserError
from runtime.files import make_folder, sync
from runtime.remote import Place, in_words
from runtime.world import World


class RemoteCopies:
    """The checkpoints that a run keeps, at `address`/`name` too; without an address, nothing.

    To be made once `checkpoints.best` is set. `fetch` comes before the run looks for its newest
    checkpoint, `finish` after it has saved its last one. Both are collective, but only the main
    process goes there. What cannot be sent is said, and tried again at the next save.
    """

    def __init__(
        self, address: str, name: str, checkpoints: Checkpoints, *, empty: bool = False
    ) -> None:
        self.address, self.name, self.empty = address, name, empty
        self.checkpoints, self._best = checkpoints, checkpoints.best
        self._place: Place  # since `fetch`
        self._damaged: set[str] = set()  # those that `fetch` found there
        self._lock = threading.Lock()  # for what follows: the thread uses it as well
        self._stay: list[Path] = []  # those that shall be there
        self._sending: Path | None = None
        self._thread: threading.Thread | None = None
        self._is_news = self._is_last = False
        if address:  # `best` is asked whenever a checkpoint has become whole
            checkpoints.best = self._published

    def fetch(self) -> None:
        """Fetch the newest checkpoint, if none here is so new, and with it the best.

        With `empty`, delete all that is there. Raises UserError if the address cannot be used.
        """
        world = self.checkpoints.world
        if not self.address:
            return
        with world.main_first():  # the others wait as long as it takes
            if world.is_main:
                self._place = Place(self.address, self.name)
                try:
                    self._fetch()
                except Exception as error:  # of any kind
                    raise UserError(
                        f"no checkpoint could be fetched from {self._place}: {in_words(error)}",
                        'the same command tries again; --remote "" leaves it alone',
                    ) from error
                self._stay = self._local()

    def finish(self) -> None:
        """Wait until all is there that shall be, or could not be sent. Collective."""
        world = self.checkpoints.world
        if not self.address:
            return
        with world.main_first():
            if world.is_main:
                with self._lock:
                    thread = self._start(is_last=True)
                thread.join(2)
                if thread.is_alive():
                    _tell(f"waiting until the last checkpoint is in {self._place} …")
                thread.join()

    def _fetch(self) -> None:
        there = self._place.folders()
        if self.empty:
            for name in there:
                self._place.drop(name)
            return
        whole, here = sorted(name for name in there if there[name]), self._local()
        newest = here[-1].name if here else ""
        if not whole or newest >= whole[-1]:
            return
        drafts = [self.checkpoints.folder / f".{name}" for name in whole]
        try:
            for draft in drafts:
                shutil.rmtree(draft, ignore_errors=True)  # a killed process left it
                make_folder(draft)
                (draft / "run.json").write_bytes(there[draft.name[1:]])  # it has the score
            best = self._best(drafts) if self._best else []
            for draft in reversed(drafts):
                final = draft.with_name(draft.name[1:])
                is_wanted = final.name > newest or draft in best and not final.exists()
                if is_wanted and self._receive(draft, final):
                    newest = max(newest, final.name)
        finally:
            for draft in drafts:
                shutil.rmtree(draft, ignore_errors=True)
        if not newest:
            raise UserError(
                f"no checkpoint in {self._place} is whole",
                "delete what lies there: then the same command starts anew",
            )

    def _receive(self, draft: Path, final: Path) -> bool:
        """Make one from there a checkpoint here, if it is whole."""
        self._place.receive(draft, final.name)
        damage = damage_of(draft, World())  # in the files of all processes
        if damage:
            print(f"{self._place}/{final.name} is damaged: {damage}\n  it is left out", flush=True)
            self._damaged.add(final.name)
            return False
        for path in (*draft.iterdir(), draft):
            sync(path)
        draft.rename(final)
        sync(final.parent)
        print(f"{final.name} was fetched from {self._place}", flush=True)
        return True

    def _local(self) -> list[Path]:
        return sorted(self.checkpoints.folder.glob("step-*"))

    def _published(self, past: list[Path]) -> list[Path]:
        """Hear of the newest of these checkpoints; which of them stay besides the newest ones."""
        best = self._best(past) if self._best else []
        with self._lock:
            self._stay = [*{*past[-self.checkpoints.keep :], *best}]
            self._start(is_last=False)
            return [*best, self._sending] if self._sending else best

    def _start(self, *, is_last: bool) -> threading.Thread:
        self._is_news, self._is_last = True, is_last
        if not self._thread:  # a daemon: where Python ends early, nobody waits for a network
            self._thread = threading.Thread(target=self._work, name="remote", daemon=True)
            self._thread.start()
        return self._thread

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._is_news:
                    self._thread = None
                    return
                self._is_news = False
            try:
                while path := self._next():
                    self._place.send(path)
                    self._damaged.discard(path.name)
            except Exception as error:  # of any kind: training goes on
                with self._lock:
                    path, self._sending = self._sending, None
                    again = "the same command" if self._is_last else "the next save"
                what = f"{path.name} could not be sent to" if path else "nothing can be sent to"
                _tell(f"{what} {self._place}: {in_words(error)}\n  {again} tries again")

    def _next(self) -> Path | None:
        """The newest that is not there. Those that are, and shall not be, are deleted.

        But as many of these stay as others are missing: there are never fewer than there were, and
        the newest goes when a newer one has come.
        """
        there = self._place.folders() | dict.fromkeys(self._damaged, b"")
        with self._lock:  # one of these could be deleted here, if not for `_sending`
            here = {path: (path / "run.json").read_bytes() for path in self._stay}
            missing = sorted(path for path in here if there.get(path.name) != here[path])
            self._sending = missing[-1] if missing else None
        old = there.keys() - {path.name for path in here}
        spare = max(len(missing), self.checkpoints.keep - len(here))
        whole = sorted(name for name in old if there[name])
        for name in old - {*whole[max(0, len(whole) - spare) :]}:
            self._place.drop(name)
            self._damaged.discard(name)
        return self._sending


def _tell(text: str) -> None:
    sys.stderr.write(f"\n  {text}\n")  # behind the progress line, which the next step draws anew
