"""The command: help that can be used, exact exit codes, imports that say what was refused and why."""

import json
import os
import subprocess

import pytest

import harness
from harness import BINARY, HAS_MODEL, HOME, ROOT, SERVICES, Server, cli

GOOD = {"id": "good-one", "name": "Good one", "kind": "api", "description": "It finds walnutfish."}
BAD = [
    ("this is no json", "line"), ('{"id":"x"}', "name"), ('{"id":"Bad Id","name":"a","kind":"api"}', "id"),
    ('{"id":"y","name":"a","kind":"car"}', "kind"),
    (json.dumps({"id": "z", "name": "a", "kind": "api", "tags": ["t" * 200]}), "tags")]


def bad_file(folder):
    file = folder / "bad.jsonl"
    file.write_text("\n".join([json.dumps(GOOD)] + [line for line, _ in BAD]) + "\n")
    return file


def test_help_names_every_command_and_exits_0():
    done = cli("--help")
    for name in ("serve", "import", "search", "eval", "reindex", "keys", "user", "version"):
        assert name in done.stdout
        page = cli(name, "--help").stdout
        assert page.startswith("usage: waypost " + name) and "--data" in page


@pytest.mark.parametrize("name", ["export", "chat", "doctor"])
def test_the_commands_of_the_issue_are_there(name):
    assert cli(name, "--help").stdout.startswith("usage: waypost " + name)


@pytest.mark.parametrize("arguments", [
    [], ["dance"], ["serve", "--nonsense"], ["serve", "--port", "many"], ["serve", "--port"], ["search", "--atomic", "x"],
    ["import"], ["eval"], ["user"], ["user", "add", "--role", "king", "--email", "a@b.example"], ["keys", "steal"],
    ["serve", "--llm-key", "secret"]], ids=" ".join)
def test_misuse_exits_2_with_a_sentence_on_stderr(arguments, tmp_path):
    done = cli(*arguments, check=False, cwd=tmp_path)
    assert done.returncode == 2
    if arguments:
        assert done.stderr.startswith("waypost") and done.stdout == ""


def test_an_unknown_flag_names_the_nearest(tmp_path):
    assert "perhaps --limit" in cli("search", "--limt", "1", check=False, cwd=tmp_path).stderr


def test_a_suggested_flag_is_one_of_the_command(tmp_path):
    assert "perhaps --port" in cli("serve", "--prot", "1", check=False, cwd=tmp_path).stderr


def test_version_prints_one_line():
    assert cli("version").stdout.startswith("waypost ") and cli("version").stdout.count("\n") == 1


def test_refused_lines_are_said_with_file_line_field_and_reason(tmp_path):
    file = bad_file(tmp_path)
    done = cli("import", file, "--data", tmp_path / "data", "--no-embed", "--json")
    report = json.loads(done.stdout)
    assert (report["created"], report["refused"]) == (1, len(BAD))
    for number, (_, field) in enumerate(BAD, start=2):
        lines = [line for line in done.stderr.splitlines() if line.startswith(f"{file}:{number}: {field}")]
        assert lines and len(lines[0].split(": ", 2)[2]) > 5, (number, field, done.stderr)
    assert "tttt" in done.stderr and "t" * 100 not in done.stderr, "values are cut"


def test_only_refused_lines_exit_1(tmp_path):
    file = tmp_path / "only-bad.jsonl"
    file.write_text(BAD[0][0] + "\n")
    assert cli("import", file, "--data", tmp_path / "data", "--no-embed", check=False).returncode == 1
    done = cli("import", tmp_path / "missing.jsonl", "--data", tmp_path / "data", check=False)
    assert done.returncode == 1 and "cannot be read" in done.stderr


def count(data):
    done = cli("search", "--data", data, "--limit", "100", check=False)
    return done.returncode, done.stdout.splitlines()


def test_an_atomic_import_with_a_bad_line_imports_nothing(tmp_path):
    done = cli("import", bad_file(tmp_path), "--data", tmp_path / "data", "--no-embed", "--atomic", check=False)
    assert done.returncode == 1 and "nothing was imported" in done.stderr
    assert count(tmp_path / "data") == (1, [])


def test_a_dry_run_only_reports(tmp_path):
    done = cli("import", bad_file(tmp_path), "--data", tmp_path / "data", "--dry-run", check=False)
    assert f"{len(BAD)} refused" in done.stdout
    assert count(tmp_path / "data") == (1, [])


def test_importing_again_changes_nothing(small):
    rows = small.parent / "few.jsonl"
    again = json.loads(cli("import", rows, "--data", small, "--no-embed", "--json").stdout)
    assert (again["created"], again["changed"], again["same"]) == (0, 0, 60)


def test_import_reads_standard_input_and_folders(tmp_path):
    done = cli("import", "-", "--data", tmp_path / "a", "--no-embed", stdin=json.dumps(GOOD) + "\n")
    assert done.stdout.startswith("1 new")
    (tmp_path / "folder").mkdir()
    harness.write_rows(tmp_path / "folder/one.jsonl", [GOOD])
    harness.write_rows(tmp_path / "folder/two.jsonl", [{**GOOD, "id": "good-two"}])
    assert cli("import", tmp_path / "folder", "--data", tmp_path / "b", "--no-embed").stdout.startswith("2 new")


def test_search_prints_hits_and_the_total(small):
    done = cli("search", "booking", "appointments", "--data", small)
    assert done.stdout.splitlines()[0].startswith("acuity-scheduling  Acuity Scheduling")
    assert "services" in done.stderr
    done = cli("search", "--filter", "kind = app", "--data", small)
    apps = {row["id"] for row in harness.read_rows(SERVICES, 60) if row["kind"] == "app"}
    assert {line.split()[0] for line in done.stdout.splitlines()} <= apps
    bad = cli("search", "x", "--filter", "kind ==", "--data", small, check=False)
    assert bad.returncode == 1 and "filter_invalid" in bad.stderr


def test_search_prints_json_when_asked(small):
    done = cli("search", "booking", "--json", "--data", small)
    assert json.loads(done.stdout)["total"] >= 1


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """`eval` on the judged needs over the whole demo catalog, by words alone."""
    folder = tmp_path_factory.mktemp("eval")
    for file in (SERVICES, harness.MODELS):
        os.symlink(file, folder / file.name)
    judged = ROOT / "Fixtures/judged"
    done = cli("eval", "--catalog", folder, "--queries", judged / "needs.jsonl", "--qrels",
               judged / "qrels.tsv", "--json", cwd=folder)
    return json.loads(done.stdout)


def test_eval_measures_the_text_leg_without_a_model(figures):
    rows = harness.read_rows(SERVICES) + harness.read_rows(harness.MODELS)
    assert figures["services"] == len({row["id"] for row in rows})
    assert figures["needs"] == len(harness.read_rows(ROOT / "Fixtures/judged/needs.jsonl"))
    text = next(leg for leg in figures["legs"] if leg["leg"] == "text")
    print("\ntext leg:", {key: text[key] for key in text if key != "byClass"})
    values = [value for key, value in text.items() if isinstance(value, float)]
    assert values and all(0 <= value <= 1 for value in values)
    assert max(values) > 0.4


def test_eval_writes_nothing(figures, tmp_path):
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(not HAS_MODEL, reason=f"no embedding model in {HOME}/model")
def test_reindex_makes_a_new_generation_with_the_model(small):
    first = json.loads(cli("reindex", "--data", small, "--json", home=HOME).stdout)["generation"]
    second = json.loads(cli("reindex", "--data", small, "--json", home=HOME).stdout)["generation"]
    assert first != second
    with Server(small, home=HOME) as server:
        assert server.get("/readyz").json()["vectors"] is True
        answer = server.search(q="appointments for a studio")
        assert answer["generation"].startswith(second + "+") and answer["degraded"] == []


@pytest.mark.skipif(not HAS_MODEL, reason=f"no embedding model in {HOME}/model")
def test_one_command_goes_back_to_the_generation_before(small):
    none = cli("reindex", "--rollback", "--data", small, home=HOME, check=False)
    assert none.returncode != 0 and "generation before" in none.stderr
    first, second = [
        json.loads(cli("reindex", "--data", small, "--json", home=HOME).stdout)["generation"] for _ in range(2)]
    back = json.loads(cli("reindex", "--rollback", "--data", small, "--json", home=HOME).stdout)["generation"]
    assert back == first != second
    with Server(small, home=HOME) as server:
        assert server.search(q="appointments for a studio")["generation"].startswith(first + "+")


def test_without_a_model_search_is_by_words_and_says_so(small):
    done = cli("reindex", "--data", small, check=False)
    assert done.returncode == 1 and "make model" in done.stderr
    with Server(small) as server:
        assert server.search(q="appointments")["degraded"] == ["vectors"]
        assert "make model" in server.log()


def test_serve_prints_one_line(small):
    with Server(small) as server:
        server.get("/healthz")
        info = json.loads((small / "server.json").read_text())
        assert info == {"address": server.url, "pid": server.process.pid}
    assert len(server.stdout) == 1
    assert not (small / "server.json").exists()
    for line in server.log().splitlines():
        json.loads(line)


def test_a_second_process_is_refused_with_a_sentence(small):
    with Server(small):
        for command in (["serve", "--port", "0"], ["keys", "list"]):
            done = cli(*command, "--data", small, check=False)
            assert done.returncode == 1
            assert "in use by another waypost" in done.stderr


def test_an_import_beside_a_server_goes_through_it_with_an_admins_token(small, tmp_path):
    harness.add_user(small, "admin", "a@b.example")
    file = harness.write_rows(tmp_path / "more.jsonl", [GOOD])
    with Server(small) as server:
        refused = cli("import", file, "--data", small, check=False)
        assert refused.returncode == 1 and "unauthenticated" in refused.stderr
        token = harness.Account.login(server, "a@b.example").token
        done = cli("import", file, "--data", small, "--json", env={"WAYPOST_TOKEN": token})
        assert json.loads(done.stdout)["created"] == 1
        assert server.search(q="walnutfish")["hits"][0]["id"] == "good-one"
        assert cli("search", "walnutfish", "--data", small).stdout.startswith("good-one")


def test_export_and_import_again_is_the_identity(small, tmp_path):
    first = cli("export", "--data", small).stdout
    (tmp_path / "out.jsonl").write_text(first)
    cli("import", tmp_path / "out.jsonl", "--data", tmp_path / "copy", "--no-embed")
    again = cli("export", "--data", tmp_path / "copy").stdout
    assert len(first.splitlines()) == 60 and first == again


def test_an_address_that_is_taken_or_public_without_tls_is_refused(small, tmp_path):
    with Server(small) as server:
        done = cli("serve", "--port", server.port, "--data", tmp_path / "other", check=False)
        assert done.returncode == 1 and "taken" in done.stderr
    done = cli("serve", "--port", "0", "--public-url", "http://waypost.example", "--data", small, check=False)
    assert done.returncode == 1 and "https" in done.stderr


def test_keys_are_listed_rotated_and_private(small):
    key = harness.add_key(small)
    assert key.startswith("wpk_") and len(key) >= 40
    first = cli("keys", "list", "--data", small).stdout.splitlines()
    cli("keys", "rotate", "--data", small)
    assert len(cli("keys", "list", "--data", small).stdout.splitlines()) == len(first) + 1
    for folder, _, files in os.walk(small / "keys"):
        for name in files:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0, name
    for folder, _, files in os.walk(small):
        for name in files:
            assert key.encode() not in open(os.path.join(folder, name), "rb").read(), name


def test_a_password_is_read_from_standard_input_only(small):
    done = cli("user", "add", "--role", "admin", "--email", "a@b.example", "--data", small, stdin="short\n", check=False)
    assert done.returncode == 1 and "/password" in done.stderr
    harness.add_user(small, "admin", "a@b.example")
    done = cli("user", "add", "--role", "admin", "--email", "A@b.example", "--data", small,
               stdin=harness.PASSWORD + "\n", check=False)
    assert done.returncode == 1 and "email_taken" in done.stderr


def test_output_that_nobody_reads_is_no_crash(small):
    first = subprocess.Popen([BINARY, "search", "--data", str(small), "--limit", "100"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.environment())
    first.stdout.close()
    first.stderr.read()
    assert first.wait(30) >= 0, "ended by itself, by no signal"
