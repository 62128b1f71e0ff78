"""Tables -> arrays: reading files, finding the task, preprocessing, splitting, measuring.

The names below are imported when they are first used, so that ``import chainrule.data`` loads neither Polars
nor scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.data.columns import NULL_MARKERS as NULL_MARKERS
    from chainrule.data.dataset import Dataset as Dataset
    from chainrule.data.dataset import Preprocessing as Preprocessing
    from chainrule.data.dataset import prepare as prepare
    from chainrule.data.flowers import iris as iris
    from chainrule.data.house_prices import ames as ames
    from chainrule.data.metrics import baseline as baseline
    from chainrule.data.metrics import report as report
    from chainrule.data.preprocessing import TableEncoder as TableEncoder
    from chainrule.data.splitting import Split as Split
    from chainrule.data.splitting import split as split
    from chainrule.data.tables import as_table as as_table
    from chainrule.data.tables import read_table as read_table
    from chainrule.data.targets import LabelCodes as LabelCodes
    from chainrule.data.targets import TargetScaler as TargetScaler
    from chainrule.data.task import Task as Task
    from chainrule.data.task import infer_task as infer_task
    from chainrule.data.writing import check_writable as check_writable
    from chainrule.data.writing import write_table as write_table

_HOME = {
    "NULL_MARKERS": "columns",
    "Dataset": "dataset",
    "LabelCodes": "targets",
    "Preprocessing": "dataset",
    "Split": "splitting",
    "TableEncoder": "preprocessing",
    "TargetScaler": "targets",
    "Task": "task",
    "ames": "house_prices",
    "iris": "flowers",
    "as_table": "tables",
    "baseline": "metrics",
    "check_writable": "writing",
    "infer_task": "task",
    "prepare": "dataset",
    "read_table": "tables",
    "report": "metrics",
    "split": "splitting",
    "write_table": "writing",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'chainrule.data' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"chainrule.data.{_HOME[name]}"), name)
    globals()[name] = value
    return value
