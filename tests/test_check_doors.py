"""What ``check`` says of the files that ``serve`` reads before it begins: users, certificate, key."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from shop import raw_settings, write_shop
from typer.testing import CliRunner

from monitor.cli import app
from monitor.door import end_of_certificate

NOW = datetime.now(UTC)


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def issued(folder, name, begins, ends):
    """A certificate for these days, issued by an authority of its own as companies do, and its key."""
    work = folder / name
    work.mkdir(parents=True)
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(
        "req",
        "-x509",
        *kind,
        "-days",
        30,
        "-subj",
        "/CN=Authority",
        "-out",
        work / "ca.pem",
        "-keyout",
        work / "ca.key",
    )
    openssl("req", *kind, "-subj", "/CN=localhost", "-out", work / "request", "-keyout", work / "key.pem")
    (work / "index").touch()
    (work / "serial").write_text("01")
    (work / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=us\n[us]\ndatabase={work}/index\nserial={work}/serial\nnew_certs_dir={work}\n"
        "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    moments = ("-startdate", f"{begins:%y%m%d%H%M%SZ}", "-enddate", f"{ends:%y%m%d%H%M%SZ}")
    by = ("-batch", "-config", work / "ca.cnf", "-cert", work / "ca.pem", "-keyfile", work / "ca.key")
    openssl("ca", *by, *moments, "-notext", "-in", work / "request", "-out", work / "leaf.pem")
    chain = work / "chain.pem"
    chain.write_text((work / "leaf.pem").read_text() + (work / "ca.pem").read_text())
    return str(chain), str(work / "key.pem")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder, day = tmp_path_factory.mktemp("certificates"), timedelta(days=1)
    return {
        "good": issued(folder, "good", NOW - day, NOW + 9 * day),
        "expired": issued(folder, "expired", NOW - 9 * day, NOW - day),
        "early": issued(folder, "early", NOW + day, NOW + 9 * day),
    }


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Rows of the check for these settings of ``serve``, and whether all is well."""
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)

    def run(**serve):
        raw = raw_settings(tmp_path)
        raw["serve"] |= serve
        (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
        done = CliRunner().invoke(app, ["check", "--json"])
        rows = {row["what"]: (row["result"], row["detail"]) for row in json.loads(done.stdout)}
        assert (done.exit_code == 0) == all(result == "ok" for result, _ in rows.values())
        return rows

    return run


def test_what_is_in_order_is_said_with_what_it_is(check, pairs, tmp_path):
    users = tmp_path / "users"
    users.write_text("kim:right-horse\nzoe:other-horse\n")
    certificate, key = pairs["good"]
    rows = check(auth_file=str(users), tls_certificate=certificate, tls_key=key)
    assert rows["users of the pages"] == ("ok", f"2 in {users}")
    assert rows["certificate"] == ("ok", f"valid until {NOW + timedelta(days=9):%Y-%m-%d}")
    assert "horse" not in json.dumps(rows)
    assert end_of_certificate(certificate, key) == (NOW + timedelta(days=9)).replace(microsecond=0)


def test_nothing_is_said_of_files_that_nobody_asked_for(check):
    assert not {"users of the pages", "certificate"} & check().keys()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (FileNotFoundError)"),
        (b"kim\n", "line 1: wanted user:password"),
        (b"\xff:a", "not UTF-8"),
    ],
)
def test_a_file_of_users_that_serve_would_refuse_is_refused(check, tmp_path, content, said):
    users = tmp_path / "users"
    if content is not None:
        users.write_bytes(content)
    result, detail = check(auth_file=str(users))["users of the pages"]
    assert (result, detail.startswith("serve.auth_file: "), said in detail) == ("error", True, True)


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("expired", "expired", "is not valid now (certificate has expired); renew it"),
        ("early", "early", "is not valid now (certificate is not yet valid); renew it"),
        ("good", "expired", "are no PEM certificate with its key, without a passphrase (KEY_VALUES_MISMATCH)"),
        ("good", "missing", "serve.tls_key: missing.pem cannot be read (FileNotFoundError)"),
        ("missing", "good", "serve.tls_certificate: missing.pem cannot be read (FileNotFoundError)"),
        ("garbled", "good", "are no PEM certificate with its key"),
    ],
)
def test_a_pair_that_serves_nobody_is_refused(check, pairs, tmp_path, certificate, key, said):
    (tmp_path / "garbled.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    known = pairs | {name: (f"{name}.pem", f"{name}.pem") for name in ("missing", "garbled")}
    result, detail = check(tls_certificate=known[certificate][0], tls_key=known[key][1])["certificate"]
    assert result == "error"
    assert said in detail
