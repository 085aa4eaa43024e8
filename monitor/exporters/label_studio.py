"""Label Studio: tasks with predictions, and the labelling interface they fit.

Its formats: https://labelstud.io/guide/tasks and https://labelstud.io/guide/predictions.
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

from monitor.exporters.rows import classes_of, identity
from monitor.values import Candidate, Export

__all__ = ["label_config", "label_studio"]

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_FIELDS = ("rank", "strategy", "reason", "predicted", "confidence", "suggested_label")


def label_studio(export: Export) -> dict[str, bytes]:
    """``label-studio/tasks.json`` and ``label-studio/config.xml``."""
    tasks = [_task(export, candidate) for candidate in export.candidates]
    return {
        "label-studio/tasks.json": json.dumps(tasks, ensure_ascii=False, indent=1).encode() + b"\n",
        "label-studio/config.xml": label_config(classes_of(export)).encode(),
    }


def label_config(classes: list[str]) -> str:
    """The labelling interface: the text, why it is asked for, and one choice of these classes."""
    view = ET.Element("View")
    ET.SubElement(view, "Header", value="$reason", size="5")
    ET.SubElement(view, "Text", name="text", value="$text", valueType="text")
    choices = ET.SubElement(view, "Choices", name="label", toName="text", choice="single", required="true")
    for name in classes:
        ET.SubElement(choices, "Choice", value=_choice(name))
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def _choice(label: str) -> str:
    """A class as a choice; XML has no way to write control characters."""
    return _NOT_IN_XML.sub("\ufffd", label)


def _task(export: Export, candidate: Candidate) -> dict[str, Any]:
    data = {
        "text": candidate.text or "",
        **identity(export, candidate),
        **{name: getattr(candidate, name) for name in _FIELDS},
        "observed_at": candidate.observed_at and candidate.observed_at.isoformat(),
        "segments": dict(candidate.segments),
    }
    predictions = []
    if candidate.suggested_label:
        predictions.append(_prediction("drift-monitor", candidate.suggested_label))
    if candidate.predicted:
        score = {} if candidate.confidence is None else {"score": candidate.confidence}
        predictions.append(_prediction("production", candidate.predicted) | score)
    return {"data": data, "predictions": predictions}


def _prediction(said_by: str, label: str) -> dict[str, Any]:
    result = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [_choice(label)]}}
    return {"model_version": said_by, "result": [result]}
