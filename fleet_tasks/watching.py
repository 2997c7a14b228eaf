"""Watching: a run's items on their way to a screen or a document, and Ctrl-C on its way to the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from invoke import Exit

from fleet_tasks import formats
from fleet_tasks.errors import Cancelled, FleetError
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Plan
from fleet_tasks.logs import speaking
from fleet_tasks.options import Output
from fleet_tasks.results import LEFT, Chunk, Progress, Report, Result, State
from fleet_tasks.signals import LeaveNow, noticing, obeying

Item = Progress | Chunk | Result | Report


def watch(
    fleet: Fleet,
    plan: Plan,
    output: Output,
    work: Callable[[], Iterable[Item]],
    tasks: Mapping[str, State | None] | None = None,
) -> None:
    """Shows work on a plan as it happens; raises Exit unless all is done.

    ``tasks`` are those of a batch, each with the state in which it ended before, if it did.
    """
    view = Watching(fleet, plan, output, tasks)
    doing = "leaving, the run goes on" if plan.command == "follow" else "ending the work on the devices"
    fleet.renew()
    try:
        with (
            speaking(view.say, lambda: fleet.scrubber, debug=output.debug),
            obeying(lambda: fleet.stopping, view.say, doing),
            noticing(lambda: fleet.stopping),
        ):
            report = view.show(work())
    except LeaveNow as error:
        left = ", ".join(view.unseen()) or "no device"
        raise Exit(f"Left at once. May still be running on: {left}.", code=130) from error
    if report.exit_code:
        raise Exit(code=report.exit_code)


@dataclass
class Watching:
    """One run on its way to a screen or a document."""

    fleet: Fleet
    plan: Plan
    output: Output
    tasks: Mapping[str, State | None] | None = None
    streams: formats.Streams = field(default_factory=formats.Streams)
    seen: set[str] = field(default_factory=set)
    at_work: set[tuple[str, str]] = field(default_factory=set)
    view: formats.View | None = None

    def say(self, words: str) -> None:
        """A line for people, which does not tear the progress display."""
        if self.view is not None:
            self.view.say(words)
        else:
            self.streams.say(words)

    def show(self, items: Iterable[Item]) -> Report:
        """Shows every item as it comes; returns the report that is the last."""
        names = [visit.device.name for visit in self.plan.visits]
        stream = any(job.stream for visit in self.plan.visits for job in visit.jobs)
        unwritten: FleetError | None = None
        form = self.output.format or "text"
        with formats.open(form, self.streams, self.output, names, stream=stream, tasks=self.tasks) as view:
            self.view = view
            for item in items:
                if isinstance(item, Report):
                    if unwritten is not None:
                        raise unwritten
                    view.close(item)
                    return item
                self._note(item)
                try:
                    view.see(item)
                except FleetError as error:  # a full disk: the work ends as with Ctrl-C, devices are cleaned up
                    unwritten = unwritten or error
                    self.fleet.stopping.request(Cancelled(str(error)))
        raise AssertionError("the last item is always the report")

    def unseen(self) -> list[str]:
        """The devices that gave no result yet; of a batch those that are at work on a task."""
        names = [visit.device.name for visit in self.plan.visits]
        if self.tasks is not None:
            busy = {device for device, _ in self.at_work}
            return [name for name in names if name in busy]
        return [name for name in names if name not in self.seen]

    def _note(self, item: Progress | Chunk | Result) -> None:
        if isinstance(item, Result):
            self.seen.add(item.device)
        if isinstance(item, Chunk) or item.task_id is None:
            return
        if isinstance(item, Result) or item.phase == LEFT:
            self.at_work.discard((item.device, item.task_id))
        else:
            self.at_work.add((item.device, item.task_id))
