#!/usr/bin/env bash
# Relevance on the judged needs that are shipped, text, vectors and fused.
set -euo pipefail
cd "$(dirname "$0")/.."
catalog=$(mktemp --suffix=.jsonl)
trap 'rm -f "$catalog"' EXIT
cat Fixtures/models.jsonl Fixtures/services.jsonl >"$catalog"
.build/release/waypost eval --catalog "$catalog" --queries Fixtures/judged/needs.jsonl \
  --qrels Fixtures/judged/qrels.tsv --home "$1"
