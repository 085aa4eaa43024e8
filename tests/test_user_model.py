"""The user's own model: a function by name, or a program that is asked line by line."""

from __future__ import annotations

import sys

import pytest

from monitor.errors import ConfigError, UserModelError
from monitor.user_model import predictor


@pytest.fixture
def models(tmp_path, monkeypatch):
    (tmp_path / "our_models.py").write_text(
        "def length(texts):\n    return ['long' if len(t) > 3 else 'short' for t in texts]\n"
        "def silent(texts):\n    return []\n"
        "NOTHING = 3\n"
    )
    (tmp_path / "model.py").write_text(
        "import json, sys\n"
        "if 'fail' in sys.argv: sys.exit(7)\n"
        "for line in sys.stdin:\n"
        "    text = json.loads(line)\n"
        "    print('no' if 'words' in sys.argv else json.dumps({'long': 0.9} if len(text) > 3 else 'short'))\n"
        "    if 'one' in sys.argv: break\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_function_by_name(models):
    assert predictor("our_models:length")(["a\nb c", "d"]) == ["long", "short"]
    with pytest.raises(UserModelError, match="our_models:silent gave 0 answers for 2 texts"):
        predictor("our_models:silent")(["a", "b"])


def test_a_program_reads_and_writes_a_line_each(models):
    ask = predictor(f"command: {sys.executable} {models / 'model.py'}")
    assert ask(["two\nlines", "é"]) == [{"long": 0.9}, "short"]


@pytest.mark.parametrize(
    ("word", "said"), [("fail", "ended with 7"), ("words", "a line that is no JSON"), ("one", "1 answers for 2 texts")]
)
def test_a_program_that_fails_is_named_without_its_texts(models, word, said):
    with pytest.raises(UserModelError, match=said) as caught:
        predictor(f"command: {sys.executable} {models / 'model.py'} {word}")(["SECRET", "two"])
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("nobody", "is not of the form module:function or command"),
        ("our_models:NOTHING", "is a int, not a function"),
        ("our_models:nobody", r"cannot be imported: module 'our_models' has no attribute 'nobody'"),
        ("no_such_module:f", r"cannot be imported: No module named 'no_such_module'"),
        ("command: ", "no command follows"),
    ],
)
def test_what_is_no_model_is_refused(models, call, said):
    with pytest.raises(ConfigError, match=said):
        predictor(call)


def test_a_program_that_is_not_there(tmp_path):
    with pytest.raises(UserModelError, match=r"did not run \(FileNotFoundError\)"):
        predictor(f"command: {tmp_path / 'nothing'}")(["x"])
