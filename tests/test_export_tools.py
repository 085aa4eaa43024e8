"""Exports read by the labelling tools' own libraries, which need an interpreter of their own: other versions than ours.

``DRIFT_MONITOR_LABELLING_PYTHON`` names it; ``.ci/labelling-tools FOLDER`` makes it.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import missing
from test_export_formats import AWKWARD, candidate, export
from test_exporter_files import read

from monitor.exporters.files import FilesExporter

TEXTS = [
    AWKWARD,
    "=1+1",
    "<b>&amp;</b> http://x.invalid",
    "naïve 💶\u2028 \x85\ufeff",
    "",
    "s3://bucket/x",
    "$text {{x}}",
]
CLASS = 'a "quoted" <class>\n& more'


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each library made of the export."""
    beside = Path(__file__).resolve().parents[1] / ".ci-labelling" / "bin" / "python"
    python = os.environ.get("DRIFT_MONITOR_LABELLING_PYTHON") or str(beside)
    if not Path(python).exists():
        missing(
            "no interpreter with label-studio-sdk, datasets and argilla: .ci/labelling-tools .ci-labelling makes one"
        )
    batch = [candidate(k, text, predicted=(CLASS, "other")[k % 2]) for k, text in enumerate(TEXTS, 1)]
    batch[2:4] = [candidate(3, TEXTS[2], suggested_label=None), candidate(4, TEXTS[3], confidence=None)]
    folder = tmp_path_factory.mktemp("export")
    _, files = read(FilesExporter(str(folder), ["label_studio", "huggingface", "argilla"]).write(export(*batch)))
    script = Path(__file__).with_name("labelling_tools.py")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, str(script), str(files)], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "Ignoring part of dataset_info" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_label_studio_finds_no_error_in_any_prediction(found):
    assert found["label_studio"] == {"predictions": 13, "errors": [], "wrong": [True, True]}


def test_datasets_loads_the_folder_with_the_features_of_its_card(found):
    assert found["huggingface"]["rows"] == [[f"r{k}", text] for k, text in enumerate(TEXTS, 1)]
    assert found["huggingface"]["features"] == found["huggingface"]["promised"]
    assert found["huggingface"]["features"]["observed_at"] == "Value('timestamp[us, tz=UTC]')"


def test_argilla_takes_settings_and_records(found):
    argilla = found["argilla"]
    assert argilla["labels"] == ["refund", "junk", CLASS, "other"]
    assert argilla["rows"] == [[f"r{k}", text] for k, text in enumerate(TEXTS, 1)]
    assert argilla["suggested"] == ["refund", "refund", "other", *["refund"] * 4]
    assert (argilla["undeclared"], argilla["sent"]) == ([], len(TEXTS))
