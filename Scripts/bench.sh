#!/usr/bin/env bash
# Relevance on the judged needs that are shipped, counts that repeat, and times beside the peers'.
# About three minutes on two cores with ../shared beside the project; without it the shipped catalog is measured, and no peer.
# BENCH_PYTHON names a Python with the packages of ../shared/peers/requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
waypost=.build/release/waypost
catalog=$(mktemp --suffix=.jsonl)
trap 'rm -f "$catalog"' EXIT
cat Fixtures/models.jsonl Fixtures/services.jsonl >"$catalog"

echo "== relevance"
"$waypost" eval --catalog "$catalog" --queries Fixtures/judged/needs.jsonl \
  --qrels Fixtures/judged/qrels.tsv --home "$1"

echo "== counts"
"$waypost" bench counts

echo "== ledger"
disk=$(mktemp -d -p .build)
chmod 755 "$disk"
trap 'rm -rf "$catalog" "$disk"' EXIT
for clients in 1 8 64; do
  "$waypost" bench ledger --data "$disk" --clients $clients --rounds 3 --seconds 5
done

peers=()
if [ -d ../shared/peers ]; then
  peers=(--peers ../shared/peers)
  python=${BENCH_PYTHON:-.venv/bin/python3}
  [ -x "$python" ] && peers+=(--python "$python")
fi
echo "== 10,000 services"
"$waypost" bench embed text vectors search index http --n 10000 --rounds 2 --seconds 10 \
  --home "$1" "${peers[@]}"
[ ${#peers[@]} -gt 0 ] || exit 0
echo "== 60,000 services"
"$waypost" bench text search --n 60000 --rounds 1 --home "$1" "${peers[@]}"
