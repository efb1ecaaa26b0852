"""What `waypost bench` promises: counts within their limits, allocations too; misuse said, absent peers skipped."""

import ctypes
import json
import shutil
import subprocess

import pytest

from harness import NO_MODEL, ROOT, cli

LIMITS = json.loads((ROOT / "Fixtures/bench-counts.json").read_text())
SMALL = ["--catalog", "Fixtures/services.jsonl", "--n", "600", "--rounds", "1"]


def within(name, count):
    assert LIMITS[name]["min"] <= count <= LIMITS[name]["max"], f"{name} is {count}: {LIMITS[name]}"


def counts(**more):
    return json.loads(cli("bench", "counts", "--json", cwd=ROOT, **more).stdout)


def test_counts_are_within_their_limits():
    found = counts()
    assert "allocations" not in found
    for name, count in found.items():
        within(name, count)


def test_allocations_are_within_their_limits(tmp_path):
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler")
    library = tmp_path / "allocations.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library,
                    ROOT / "Tests/EndToEnd/allocations.c"], check=True)
    assert ctypes.CDLL(str(library)).waypost_bench_allocations() >= 0
    found = counts(env={"LD_PRELOAD": str(library), "SWIFT_DETERMINISTIC_HASHING": "1"})
    within("allocations", found["allocations"])


def rows(*arguments, **more):
    done = cli("bench", *arguments, *SMALL, "--json", cwd=ROOT, **more)
    found = {}
    for row in map(json.loads, done.stdout.splitlines()):
        found.setdefault(row["what"].strip(), row)  # a stage of a search may have a part's name
    return found


def test_the_parts_without_a_server_measure_and_say_why_a_peer_is_absent():
    found = rows("embed", "text", "vectors", "search", "--home", NO_MODEL)
    assert "model is missing" in found["embed"]["skipped"]
    for what in ("text, any term, top 100", "vectors, top 10"):
        assert found[what]["ours"]["p50"] > 0 and found[what]["peer"] is None, found[what]
        assert found[what]["skipped"] == "the peer: no --python" and found[what]["met"] is None
    assert found["text, any term, top 100"]["facts"]["postings"] > 0
    assert found["vectors, top 10"]["facts"]["recall"] >= 0.99
    assert found["search, 8 facet groups"]["ours"]["p95"] >= found["search, 8 facet groups"]["ours"]["p50"] > 0
    assert {"understand", "score", "filter", "facets", "rank"} <= set(found)


def test_the_parts_with_a_server_measure_it_and_find_no_wrong_answer():
    found = rows("index", "http", "--clients", "2", "--seconds", "2", "--changes", "5")
    assert found["index, start to serving"]["ours"]["p50"] > 0
    assert found["index, memory after 100 searches"]["ours"]["p50"] > 10
    assert found["index, size of the base"]["ours"]["p50"] > 0.5
    searches = found["http, searches"]
    assert searches["n"] == 600 and searches["ours"]["p50"] > 1
    assert searches["facts"]["wrong answers"] == 0 and searches["facts"]["repeated queries"] == 0
    assert found["http, a change until searchable"]["facts"]["errors"] == 0


@pytest.mark.parametrize("arguments", [
    (), ("nothing",), ("counts", "text"), ("text", "--rounds", "0"), ("http", "--clients", "65"),
])
def test_misuse_is_said(arguments):
    done = cli("bench", *arguments, check=False, cwd=ROOT)
    assert done.returncode == 2 and done.stderr and not done.stdout


@pytest.mark.parametrize("number", ["0", "ten", "10000,", "3000000", "-5"])
def test_a_number_of_services_out_of_range_is_refused(number):
    done = cli("bench", "text", "--catalog", "Fixtures/services.jsonl", "--n", number, check=False, cwd=ROOT)
    assert done.returncode == 1 and "--n is" in done.stderr


def test_the_ledger_measures_durable_holds_and_says_why_the_peer_is_absent(tmp_path):
    done = cli("bench", "ledger", "--clients", 4, "--rounds", 1, "--seconds", 1, "--data", tmp_path, "--json",
               "--python", "/bin/false", cwd=ROOT)
    row = json.loads(done.stdout)
    assert row["ours"]["p50"] > 0 and row["facts"]["p99 ms"] >= row["facts"]["p50 ms"] > 0
    assert row["facts"]["holds a commit"] >= 1
    assert row["skipped"].startswith("the peer: ") and row["met"] is None
    assert not list(tmp_path.iterdir()), "nothing is left behind"
