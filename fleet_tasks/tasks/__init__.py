"""The commands, as an Invoke namespace: the same under ``fab``, ``inv`` and ``fleet``."""

from __future__ import annotations

from invoke import Collection

from fleet_tasks import settings
from fleet_tasks.tasks import agents, batches, demo, groups, history, registry, runs, work

namespace = Collection(
    work.check, work.status, work.deploy, work.dispatch, work.run, work.put, work.get, work.teardown, demo.demo,
    registry.init,
)
for _task in (batches.batch, batches.resume, runs.ps, runs.follow, runs.stop):
    namespace.add_task(_task)
namespace.add_collection(Collection("history", history.history, history.show, history.prune))
namespace.add_collection(Collection("agent", agents.agents, agents.show))
namespace.add_collection(
    Collection("device", registry.devices, registry.device, registry.add, registry.remove_device, registry.take_in)
)
namespace.add_collection(
    Collection("group", groups.groups, groups.create, groups.delete, groups.join, groups.part)
)
namespace.configure(settings.DECLARED)
