"""What a command line can say: frozen records, each option declared once.

A task asks for a record by annotation; ``cli`` turns its fields into flags and folds the flags back.
Flags arrive as text; ``kind`` says what the text must be, and ``None`` always means "not given".
"""

from __future__ import annotations

from fleet_tasks.options.declaring import FORMATS, option
from fleet_tasks.options.entries import (
    AgentChoice,
    DemoWishes,
    DeviceName,
    Foreign,
    GroupName,
    Members,
    NewDevice,
    Remark,
)
from fleet_tasks.options.runs import BatchSource, Following, Past, Pruning, Rerun, RunChoice, Stopped
from fleet_tasks.options.visits import (
    Agency,
    AnyOf,
    Connecting,
    Fetching,
    Limits,
    Model,
    Output,
    Removal,
    Sending,
    Targets,
    Where,
    Work,
)

__all__ = [
    "FORMATS",
    "Agency",
    "AgentChoice",
    "AnyOf",
    "BatchSource",
    "Connecting",
    "DemoWishes",
    "DeviceName",
    "Fetching",
    "Following",
    "Foreign",
    "GroupName",
    "Limits",
    "Members",
    "Model",
    "NewDevice",
    "Output",
    "Past",
    "Pruning",
    "Remark",
    "Removal",
    "Rerun",
    "RunChoice",
    "Sending",
    "Stopped",
    "Targets",
    "Where",
    "Work",
    "option",
]
