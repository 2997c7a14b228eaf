"""A plan shown instead of carried out: which device would be visited, and what would be done there."""

from __future__ import annotations

from fleet_tasks import formats
from fleet_tasks.formats.streams import Streams
from fleet_tasks.jobs import Plan
from fleet_tasks.options import Output
from fleet_tasks.record import record


@record
class PlanRow:
    """One visit as people are shown it; ``timeout`` is seconds."""

    device: str
    host: str
    jobs: str
    agent: str | None
    model: str | None
    timeout: float | None
    task: str


def show(plan: Plan, streams: Streams, output: Output) -> None:
    """The plan's visits as a listing; says that nothing was touched."""
    if output.output:
        streams.redirect(output.output)
    formats.listing("plan", _rows(plan), output.format or "text", streams)
    streams.say(f"{plan.command}: {len(plan.visits)} planned, nothing was touched.")


def _rows(plan: Plan) -> list[PlanRow]:
    rows = []
    for visit in plan.visits:
        main = visit.reported[0]
        rows.append(
            PlanRow(
                device=visit.device.name,
                host=str(visit.device.endpoint),
                jobs=", ".join(job.action.value for job in visit.jobs),
                agent=main.agent,
                model=main.model,
                timeout=main.timeout if main.task else None,
                task=main.task,
            )
        )
    return rows
