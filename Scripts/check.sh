#!/usr/bin/env bash
# Format, lint, import check and the rules of the repository.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
swift format lint --strict -r Sources Tests Index Prompts Package.swift || failed=1
Scripts/tidily.py swift build -c release --explicit-target-dependency-import-check error 2>&1 | grep -E "error|warning" && failed=1
Scripts/check-repository.py || failed=1
[ $failed -eq 0 ] && echo "check: all good"
exit $failed
