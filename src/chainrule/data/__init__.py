"""Tables, images, recordings, texts -> arrays: public sets, files, the task, preprocessing, splitting, measuring.

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
    from chainrule.data.download import fetch as fetch
    from chainrule.data.encoders import ImageEncoder as ImageEncoder
    from chainrule.data.encoders import SoundEncoder as SoundEncoder
    from chainrule.data.encoders import TextEncoder as TextEncoder
    from chainrule.data.examples import Examples as Examples
    from chainrule.data.house_prices import ames as ames
    from chainrule.data.image_files import ImageFormat as ImageFormat
    from chainrule.data.image_files import images as images
    from chainrule.data.lazy import Lazy as Lazy
    from chainrule.data.lazy import batches as batches
    from chainrule.data.metrics import baseline as baseline
    from chainrule.data.metrics import report as report
    from chainrule.data.metrics import rows_to_learn_from as rows_to_learn_from
    from chainrule.data.preprocessing import TableEncoder as TableEncoder
    from chainrule.data.public import load as load
    from chainrule.data.sound_files import SoundFormat as SoundFormat
    from chainrule.data.sound_files import sounds as sounds
    from chainrule.data.splitting import Split as Split
    from chainrule.data.splitting import split as split
    from chainrule.data.tables import as_table as as_table
    from chainrule.data.tables import read_table as read_table
    from chainrule.data.targets import LabelCodes as LabelCodes
    from chainrule.data.targets import TargetScaler as TargetScaler
    from chainrule.data.task import Task as Task
    from chainrule.data.task import infer_task as infer_task
    from chainrule.data.text_files import texts as texts
    from chainrule.data.tokens import Characters as Characters
    from chainrule.data.tokens import Subwords as Subwords
    from chainrule.data.tokens import Words as Words
    from chainrule.data.tokens import rows_of_tokens as rows_of_tokens
    from chainrule.data.tokens import tokenizer as tokenizer
    from chainrule.data.unstructured import prepare_folder as prepare_folder
    from chainrule.data.unstructured import prepare_text as prepare_text
    from chainrule.data.unstructured import read_source as read_source
    from chainrule.data.writing import check_writable as check_writable
    from chainrule.data.writing import write_table as write_table

_HOME = {
    "Characters": "tokens",
    "Dataset": "dataset",
    "Examples": "examples",
    "ImageEncoder": "encoders",
    "ImageFormat": "image_files",
    "LabelCodes": "targets",
    "Lazy": "lazy",
    "NULL_MARKERS": "columns",
    "Preprocessing": "dataset",
    "SoundEncoder": "encoders",
    "SoundFormat": "sound_files",
    "Split": "splitting",
    "Subwords": "tokens",
    "TableEncoder": "preprocessing",
    "TargetScaler": "targets",
    "Task": "task",
    "TextEncoder": "encoders",
    "Words": "tokens",
    "ames": "house_prices",
    "as_table": "tables",
    "baseline": "metrics",
    "rows_to_learn_from": "metrics",
    "batches": "lazy",
    "check_writable": "writing",
    "fetch": "download",
    "images": "image_files",
    "infer_task": "task",
    "load": "public",
    "prepare": "dataset",
    "prepare_folder": "unstructured",
    "prepare_text": "unstructured",
    "read_source": "unstructured",
    "read_table": "tables",
    "report": "metrics",
    "rows_of_tokens": "tokens",
    "sounds": "sound_files",
    "split": "splitting",
    "texts": "text_files",
    "tokenizer": "tokens",
    "write_table": "writing",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'chainrule.data' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"chainrule.data.{_HOME[name]}"), name)
    globals()[name] = value
    return value
