"""A folder that ``datasets.load_dataset`` reads: Parquet beside a dataset card that names split and features.

The card's head: https://huggingface.co/docs/hub/datasets-manual-configuration.
"""

from __future__ import annotations

import json

import pyarrow as pa

from monitor.exporters.parquet import parquet
from monitor.exporters.rows import candidate_table
from monitor.values import Export

__all__ = ["huggingface"]

_FOLDER = "huggingface"
_DATA = "data/train.parquet"
_DTYPES = {pa.string(): "string", pa.float64(): "float64", pa.int64(): "int64"}


def huggingface(export: Export) -> dict[str, bytes]:
    """``huggingface/data/train.parquet`` and ``huggingface/README.md``."""
    table = candidate_table(export)
    (data,) = parquet(export).values()
    features = "\n".join(
        f"  - name: {json.dumps(field.name, ensure_ascii=False)}\n    dtype: {_DTYPES.get(field.type, 'timestamp[us, tz=UTC]')}"
        for field in table.schema
    )
    card = f"""---
license: other
task_categories:
- text-classification
tags:
- drift-monitor
configs:
- config_name: default
  data_files:
  - split: train
    path: {_DATA}
dataset_info:
  features:
{features}
---

# Refresh candidates of {export.monitor}

{table.num_rows} production records to label, in the order in which they are worth it within each run. `label` is empty for people
to fill in. Export `{export.key}`.

{export.note}
"""
    return {f"{_FOLDER}/{_DATA}": data, f"{_FOLDER}/README.md": card.encode()}
