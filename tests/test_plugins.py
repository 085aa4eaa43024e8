"""Parts by name: what is installed, what its signature takes, and every problem told at once."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from monitor import plugins
from monitor.embedders.hashing import HashingEmbedder
from monitor.errors import PluginError
from monitor.secrets import Secret, Url

PASSWORD = "hunter2-correct-horse"


class Vault:
    """A part with every kind of option."""

    def __init__(
        self,
        url: Url,
        size: int = 3,
        mode: Literal["a", "b"] = "a",
        password: Secret | None = None,
        columns: dict[str, str] | None = None,
        note: str = "",
    ) -> None:
        if size < 0:
            raise ValueError(f"size {size} for {url}")
        self.options = {"url": url, "size": size, "mode": mode, "password": password, "columns": columns, "note": note}


@dataclass
class Box:
    width: int
    height: float = 1.5

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}; it must be at least 1")


def loose(fields: Any, first: int, *rest: int, model_path: str = "m", **others: int) -> dict[str, Any]:
    return {"fields": fields, "first": first, "rest": rest, "model_path": model_path, "others": others}


def unresolved(depth: Nowhere = 1) -> None:  # noqa: F821 - the name is missing on purpose
    pass


class Nested:
    @staticmethod
    def make(depth: int = 1) -> int:
        return depth


@pytest.fixture
def installed(monkeypatch):
    """Adds parts to the table; what was looked up is forgotten before and after."""

    def add(kind: str = "tickets", **parts: str) -> None:
        monkeypatch.setitem(plugins.BUILT_IN, kind, {**plugins.BUILT_IN[kind], **parts})

    forget()
    add(vault=f"{__name__}:Vault")
    yield add
    monkeypatch.undo()
    forget()


def forget() -> None:
    plugins.factory.cache_clear()
    plugins.options_model.cache_clear()


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Installs another package, with entry points and a module, on the path."""
    made = []

    def make(name: str, entry_points: str, code: str = "") -> None:
        info = tmp_path / name / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        (tmp_path / name / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path / name))
        made.append(name)

    forget()
    yield make
    forget()
    for name in made:
        sys.modules.pop(name, None)


def problems(kind: str, name: str, options: dict[str, Any], path: str = "") -> list[str]:
    with pytest.raises(PluginError) as caught:
        plugins.validate(kind, name, options, path)
    assert PASSWORD not in str(caught.value)
    return list(caught.value.problems)


def test_every_built_in_has_a_place_of_its_own():
    for kind, table in plugins.BUILT_IN.items():
        assert plugins.names(kind) == dict(table)
        for where in table.values():
            assert where.startswith(f"monitor.{kind}.")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(PluginError) as caught:
        plugins.build("embedders", "word2vec", {})
    assert str(caught.value) == (
        "there is no embedders part called 'word2vec'; installed are hashing, precomputed, sentence_transformer"
    )
    assert caught.value.exit_code == 2


def test_a_part_is_built_from_its_options():
    embedder = plugins.build("embedders", "hashing", {"dimension": "32"})
    assert isinstance(embedder, HashingEmbedder)
    assert embedder.fingerprint == "hashing:32:0"


def test_a_part_of_another_package_is_built(distribution):
    distribution(
        "neighbour",
        "[monitor.embedders]\nnearby = neighbour:Nearby\ndeep = neighbour:Nearby.make [extra]\n",
        "class Nearby:\n"
        "    def __init__(self, depth: int = 2) -> None:\n        self.depth = depth\n"
        "    @classmethod\n    def make(cls, depth: int):\n        return cls(depth * 10)\n",
    )
    assert plugins.names("embedders")["nearby"] == "neighbour:Nearby"
    assert plugins.names("embedders")["deep"] == "neighbour:Nearby.make"
    assert plugins.build("embedders", "nearby", {"depth": 7}).depth == 7
    assert plugins.build("embedders", "deep", {"depth": 7}).depth == 70
    assert problems("embedders", "nearby", {"deep": 1}) == ["deep: unknown key; nearby knows depth"]


def test_two_parts_of_one_name_are_refused(distribution):
    distribution("rival", "[monitor.embedders]\nhashing = rival:Hashing\n")
    with pytest.raises(PluginError) as caught:
        plugins.names("embedders")
    assert str(caught.value) == (
        "two embedders are called 'hashing': monitor.embedders.hashing:HashingEmbedder and rival:Hashing; uninstall one of them"
    )
    with pytest.raises(PluginError, match="uninstall one of them"):
        plugins.build("embedders", "hashing", {})
    assert "mmd" in plugins.names("detectors")


def test_two_packages_with_one_name_are_refused(distribution):
    distribution("left", "[monitor.tickets]\npager = left:Pager\n")
    distribution("right", "[monitor.tickets]\npager = right:Pager\n")
    with pytest.raises(
        PluginError, match=r"two tickets are called 'pager': (left:Pager and right|right:Pager and left)"
    ):
        plugins.names("tickets")


def test_the_same_part_found_twice_is_one(distribution):
    distribution("twice", "[monitor.tickets]\npager = twice:Pager\n", "class Pager:\n    pass\n")
    distribution("again", "[monitor.tickets]\npager = twice:Pager\n")
    assert plugins.names("tickets")["pager"] == "twice:Pager"


@pytest.mark.parametrize(
    ("where", "code", "message"),
    [
        ("absent_module:X", "", "ModuleNotFoundError: No module named 'absent_module'"),
        ("broken:X", "", "AttributeError: module 'broken' has no attribute 'X'"),
        ("broken", "", "AttributeError: module 'broken' has no attribute 'None'"),
        ("broken:X", "raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("broken:X", "def", "SyntaxError: invalid syntax (broken.py, line 1)"),
    ],
)
def test_a_part_that_cannot_be_imported(distribution, where, code, message):
    distribution("broken", f"[monitor.tickets]\npager = {where}\n", code)
    with pytest.raises(PluginError) as caught:
        plugins.build("tickets", "pager", {})
    written = where if ":" in where else f"{where}:None"
    assert str(caught.value) == f"tickets part 'pager' ({written}) cannot be imported: {message}"


def test_the_signature_is_the_schema(installed):
    fields = plugins.options_model("tickets", "vault").model_fields
    assert list(fields) == ["url", "size", "mode", "password", "columns", "note"]
    assert [name for name, field in fields.items() if field.is_required()] == ["url"]
    made = plugins.build("tickets", "vault", {"url": "sqlite://", "size": "5", "columns": {"id": "key"}})
    assert made.options == {
        "url": "sqlite://", "size": 5, "mode": "a", "password": None, "columns": {"id": "key"}, "note": "",
    }  # fmt: skip
    assert isinstance(made.options["url"], Url)


def test_dataclasses_nested_names_and_functions_are_factories_too(installed):
    installed(box=f"{__name__}:Box", nested=f"{__name__}:Nested.make")
    assert plugins.build("tickets", "box", {"width": 2}) == Box(2, 1.5)
    assert plugins.build("tickets", "nested", {"depth": 4}) == 4


def test_given_arguments_are_no_options_and_starred_ones_neither(installed):
    installed("sources", loose=f"{__name__}:loose")
    assert plugins.build("sources", "loose", {"first": 1, "model_path": "x"}, fields="F") == {
        "fields": "F", "first": 1, "rest": (), "model_path": "x", "others": {},
    }  # fmt: skip
    assert problems("sources", "loose", {"first": 1, "fields": 2, "others": {}, "rest": [], "extra": 1}) == [
        f"{key}: unknown key; loose knows first, model_path" for key in ("fields", "others", "rest", "extra")
    ]


def test_a_signature_that_is_no_schema(installed):
    installed(odd=f"{__name__}:unresolved")
    with pytest.raises(
        PluginError, match=r"^the options of tickets part 'odd' cannot be read off its signature: NameError"
    ):
        plugins.options_model("tickets", "odd")


def test_all_problems_are_told_with_their_paths(installed, tmp_path):
    options = {
        "size": "many",
        "mode": "c",
        "password_file": str(tmp_path / "none"),
        "columns": {"id": 5},
        "colour": PASSWORD,
    }
    known = "url (or url_file), size, mode, password (or password_file), columns, note"
    wanted = [
        f"password_file: secret file {tmp_path / 'none'} cannot be read: FileNotFoundError",
        "url: Field required",
        "size: Input should be a valid integer, unable to parse string as an integer",
        "mode: Input should be 'a' or 'b'",
        "columns.id: Input should be a valid string",
        f"colour: unknown key; vault knows {known}",
    ]
    assert problems("tickets", "vault", options) == wanted
    assert problems("tickets", "vault", options, "monitors[0].tickets[1]") == [
        f"monitors[0].tickets[1].{line}" for line in wanted
    ]
    assert problems("embedders", "hashing", {"dimension": None}) == ["dimension: Input should be a valid integer"]


def test_a_part_without_options_says_so(installed):
    installed(plain=f"{__name__}:Nested")
    assert isinstance(plugins.build("tickets", "plain", {}), Nested)
    assert problems("tickets", "plain", {"x": 1}) == ["x: unknown key; plain knows no options"]


def test_secrets_come_from_files(installed, tmp_path):
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "url").write_text(f"postgresql://u:{PASSWORD}@h/d")
    made = plugins.build(
        "tickets", "vault", {"url_file": str(tmp_path / "url"), "password_file": tmp_path / "password"}
    )
    assert made.options["url"] == f"postgresql://u:{PASSWORD}@h/d"
    assert made.options["password"] == PASSWORD
    assert PASSWORD not in repr(made.options)


def test_a_secret_file_is_taken_literally(installed, tmp_path):
    (tmp_path / "password").write_text("a${NOT_A_VARIABLE}b")
    made = plugins.build("tickets", "vault", {"url": "sqlite://", "password_file": str(tmp_path / "password")})
    assert made.options["password"] == "a${NOT_A_VARIABLE}b"


def test_problems_of_secret_files(installed, tmp_path):
    (tmp_path / "password").write_text(PASSWORD)
    file = str(tmp_path / "password")
    assert problems("tickets", "vault", {"url": "sqlite://", "url_file": file, "password_file": 5}) == [
        "url_file: give url or url_file, not both",
        "password_file: wanted the path of a file",
    ]
    assert problems("tickets", "vault", {"url": "sqlite://", "note_file": file}) == [
        "note_file: unknown key; vault knows url (or url_file), size, mode, password (or password_file), columns, note"
    ]
    model = plugins.options_model("tickets", "vault")
    with pytest.raises(PluginError) as caught:
        plugins.from_files(model, {"url_file": "", "password_file": str(tmp_path)})
    assert caught.value.problems == (
        "url_file: wanted the path of a file",
        f"password_file: secret file {tmp_path} cannot be read: IsADirectoryError",
    )


def test_variables_are_put_into_secrets_and_urls_alone(installed, monkeypatch):
    monkeypatch.setenv("WORD", PASSWORD)
    made = plugins.build(
        "tickets",
        "vault",
        {"url": "pg://u:${WORD}@h", "password": "${WORD}", "note": "${WORD}", "columns": {"id": "${WORD}"}},
    )
    assert made.options["url"] == f"pg://u:{PASSWORD}@h"
    assert made.options["password"] == PASSWORD
    assert made.options["note"] == "${WORD}"
    assert made.options["columns"] == {"id": "${WORD}"}


def test_a_missing_variable_is_a_problem_with_its_path(installed, monkeypatch):
    monkeypatch.delenv("NOT_HERE", raising=False)
    assert problems("tickets", "vault", {"url": "pg://${NOT_HERE}", "size": []}, "tickets[0]") == [
        "tickets[0].url: environment variable NOT_HERE is not set; set it or use the field's _file form",
        "tickets[0].size: Input should be a valid integer",
    ]


def test_a_value_the_factory_refuses(installed):
    installed(box=f"{__name__}:Box")
    with pytest.raises(PluginError) as caught:
        plugins.build("tickets", "box", {"width": 0})
    assert str(caught.value) == "tickets part 'box': width is 0; it must be at least 1"


def test_a_refusal_of_a_part_with_secrets_is_not_quoted(installed):
    with pytest.raises(PluginError) as caught:
        plugins.build("tickets", "vault", {"url": f"pg://u:{PASSWORD}@h", "size": -1})
    assert str(caught.value) == "tickets part 'vault' refuses its options (ValueError)"
    assert caught.value.__cause__ is None


def test_is_secret():
    assert plugins.is_secret(Secret)
    assert plugins.is_secret(Url | None)
    assert not plugins.is_secret(str | None)
    assert plugins.is_secret(Secret | None, only=Secret)
    assert not plugins.is_secret(Url, only=Secret)
