"""Where the time goes: some steps of a run, recorded by torch's profiler.

A trace opens in https://ui.perfetto.dev, a memory snapshot in https://pytorch.org/memory_viz.
"""

import atexit

import torch
from torch.profiler import profile, schedule

from runtime.log import Log


class Profiler:
    """Records `active` steps on the main process, after `skip` others and one to warm up.

    They become trace-<step>.json, a table of operations profile-<step>.txt and, with CUDA,
    memory-<step>.pickle in the run's folder, named for the last step recorded. Then, and where no
    more than `active` steps are left to the run, it does nothing: a call costs next to nothing.
    """

    def __init__(self, log: Log, skip: int = 10, active: int = 3) -> None:
        left = log.steps - log.first
        wait = min(skip, left - active - 1)
        self.log, self.done, self._last = log, log.first, log.first + wait + 1 + active
        self._profile: profile | None = None
        if log.is_main and wait >= 0:
            plan = schedule(wait=wait, warmup=1, active=active, repeat=1)
            self._profile = profile(schedule=plan, on_trace_ready=self._write, acc_events=True)
            self._profile.start()
            if torch.cuda.is_available():
                torch.cuda.memory._record_memory_history(max_entries=100_000)
            atexit.register(self.close)  # a run may be stopped before

    def step(self) -> None:
        """To be called after each step."""
        self.done += 1
        if self.done == self._last:
            self.close()
        elif self._profile is not None:
            self._profile.step()

    def close(self) -> None:
        """Record no more, and write what there is; happens by itself."""
        if self._profile is not None:
            recording, self._profile = self._profile, None
            recording.stop()
            if torch.cuda.is_available():
                torch.cuda.memory._record_memory_history(enabled=None)
            atexit.unregister(self.close)

    def _write(self, recorded: profile) -> None:
        trace, table, memory = (
            self.log.folder / f"{kind}-{self.done:08d}{suffix}"
            for kind, suffix in [("trace", ".json"), ("profile", ".txt"), ("memory", ".pickle")]
        )
        cuda = torch.cuda.is_available()
        column = "self_device_time_total" if cuda else "self_cpu_time_total"
        recorded.export_chrome_trace(str(trace))
        if cuda:
            torch.cuda.memory._dump_snapshot(str(memory))
        averages = recorded.key_averages()
        table.write_text(averages.table(sort_by=column, row_limit=40), encoding="utf-8")
        times = {
            event.key: getattr(event, column)
            for event in averages
            if not event.key.startswith("ProfilerStep")
        }
        total = sum(times.values()) or 1
        longest = sorted(times, key=lambda key: -times[key])[:3]
        shown = ", ".join(f"{key} {100 * times[key] / total:.0f} %" for key in longest)
        self.log.say(f"profiled up to step {self.done}: {shown} → {table}, {trace.name}")
