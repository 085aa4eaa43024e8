"""Secrets stay hidden, and come from where they may come from only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from monitor.secrets import Secret, Url, expand, read_secret_file, redact_url


class Login(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    password: Secret
    url: Url | None = None


def test_expand_puts_in_the_environment(monkeypatch):
    monkeypatch.setenv("HOST", "db.example")
    monkeypatch.setenv("PORT_2", "5432")
    assert expand("postgresql://${HOST}:${PORT_2}/${HOST}") == "postgresql://db.example:5432/db.example"


@pytest.mark.parametrize("text", ["", "$HOME", "$$", "${}", "${1A}", "${A-b}", "100 % {x} $", "$(id)"])
def test_expand_leaves_what_is_not_a_variable(text):
    assert expand(text) == text


def test_expand_does_not_expand_what_it_put_in(monkeypatch):
    monkeypatch.setenv("OUTER", "a${INNER}b")
    assert expand("${OUTER}") == "a${INNER}b"


def test_expand_names_a_variable_that_is_not_set(monkeypatch):
    monkeypatch.delenv("NOT_HERE", raising=False)
    with pytest.raises(ValueError, match="NOT_HERE") as caught:
        expand("x${NOT_HERE}")
    assert str(caught.value) == "environment variable NOT_HERE is not set; set it or use the field's _file form"


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\n\n"])
def test_secret_file_loses_its_line_end_only(tmp_path, content):
    (tmp_path / "f").write_bytes(content.encode())
    assert read_secret_file(tmp_path / "f") == "s3cret"


def test_secret_file_keeps_blanks(tmp_path):
    (tmp_path / "f").write_text(" a b \n")
    assert read_secret_file(str(tmp_path / "f")) == " a b "


def test_secret_file_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"pass\xff")
    for name, what in [
        ("none", "cannot be read: FileNotFoundError"),
        (".", "cannot be read: IsADirectoryError"),
        ("binary", "cannot be read: UnicodeDecodeError"),
        ("empty", "is empty"),
    ]:
        with pytest.raises(ValueError, match="secret file") as caught:
            read_secret_file(tmp_path / name)
        assert str(caught.value) == f"secret file {tmp_path / name} {what}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://user:pw@host:5432/db", "postgresql+psycopg://user:***@host:5432/db"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("postgresql://:pw@host/db", "postgresql://:***@host/db"),
        ("postgresql://user:@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p@w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p:w@host/db", "postgresql://user:***@host/db"),
        # SQLAlchemy takes these passwords as they are.
        ("postgresql://user:p/w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p?w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p#w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p[w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p\nw@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:pw@[::1]:5432/db", "postgresql://user:***@[::1]:5432/db"),
        ("postgresql://host/db?user=u&password=pw&sslmode=require", "postgresql://host/db?user=u&password=***&sslmode=require"),
        ("postgresql://host/db?sslpassword=pw", "postgresql://host/db?sslpassword=***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dpw", "mssql+pyodbc:///?odbc_connect=***"),
        ("s3://bucket/a?X-Amz-Signature=abc&v=1", "s3://bucket/a?X-Amz-Signature=***&v=1"),
        ("https://host/a?access_token=abc#token=def", "https://host/a?access_token=***#token=***"),
        ("az://c/p?SIG=abc;AccountKey=def", "az://c/p?SIG=***;AccountKey=***"),
        ("https://ghp_token@host/a", "https://***@host/a"),
        ("https://token@host/a@b", "https://***@host/a@b"),
        ("postgresql://user:p@/w@host/db", "postgresql://user:***@host/db"),
        # Rather too much than too little.
        ("https://user:pw@host:8080/a@b", "https://user:***@b"),
        ("simplecache::s3://key:pw@bucket/x", "simplecache::s3://key:***@bucket/x"),
        ("user:pw@host/db", "user:***@host/db"),
        ("host=h user=u password=pw dbname=d", "host=h user=u password=*** dbname=d"),
        # Nothing to hide.
        ("sqlite:///folder/monitor.db", "sqlite:///folder/monitor.db"),
        ("sqlite:////data/me@home:2.db", "sqlite:////data/me@home:2.db"),
        ("s3://bucket/path@v1", "s3://bucket/path@v1"),
        ("/data/a:b@c", "/data/a:b@c"),
        ("https://host:8080/a", "https://host:8080/a"),
        ("memory://x", "memory://x"),
        ("", ""),
    ],
)  # fmt: skip
def test_redact_url(url, shown):
    assert redact_url(url) == shown


@given(
    st.text(st.characters(codec="ascii", exclude_characters=":@/?#"), min_size=1),
    st.text(st.characters(codec="utf-8"), min_size=1),
)
def test_no_password_in_a_url_survives(user, password):
    shown = redact_url(f"postgresql://{user}:«{password}»@host/db")
    assert "«" not in shown
    assert "»" not in shown
    assert shown.endswith("***@host/db")


def test_hidden_strings_are_strings_that_do_not_show():
    secret, url = Secret("s3cret"), Url("postgresql://u:s3cret@h/d")
    assert secret == "s3cret"
    assert url.startswith("postgresql://u:s3cret")
    assert repr(secret) == "***"
    assert repr(url) == "postgresql://u:***@h/d"
    assert repr([secret, {"url": url}]) == "[***, {'url': postgresql://u:***@h/d}]"


def test_models_hold_the_text_and_print_none_of_it(monkeypatch):
    monkeypatch.setenv("WORD", "s3cret")
    login = Login(password="${WORD}!", url="postgresql://u:${WORD}@h/d")
    assert isinstance(login.password, Secret)
    assert isinstance(login.url, Url)
    assert login.password == "s3cret!"
    assert login.url == "postgresql://u:s3cret@h/d"
    for shown in (repr(login), str(login), login.model_dump_json(), str(login.model_dump())):
        assert "s3cret" not in shown
    assert json.loads(login.model_dump_json()) == {"password": "***", "url": "postgresql://u:***@h/d"}


def test_a_validated_value_is_not_expanded_again(monkeypatch):
    monkeypatch.setenv("WORD", "a${WORD}")
    login = Login(password="${WORD}")
    assert login.password == "a${WORD}"
    assert Login(password=login.password).password == "a${WORD}"


def test_models_refuse_without_quoting(monkeypatch):
    monkeypatch.setenv("NOTHING", "")
    monkeypatch.delenv("NOT_HERE", raising=False)
    for given_value, message in [
        ("${NOTHING}", "Value error, is empty once its environment variables are put in"),
        ("", "String should have at least 1 character"),
        ("s3cret${NOT_HERE}", "Value error, environment variable NOT_HERE is not set; set it or use the field's _file form"),
        (["s3cret"], "Input should be a valid string"),
        (None, "Input should be a valid string"),
    ]:  # fmt: skip
        with pytest.raises(ValidationError) as caught:
            Login(password=given_value)
        assert [problem["msg"] for problem in caught.value.errors()] == [message]
        assert "s3cret" not in str(caught.value)


def test_json_schema_says_string():
    assert Login.model_json_schema()["properties"]["password"] == {
        "minLength": 1,
        "title": "Password",
        "type": "string",
    }
