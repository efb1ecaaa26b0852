#!/usr/bin/env bash
# Every test: the repository's rules, Swift, and the built binary driven by Python clients.
set -uo pipefail
cd "$(dirname "$0")/.."
# The long rounds (kill -9, 200 listing changes) and the LiteLLM proxy are part of every run; set them to 0 to leave them out.
export SWIFT_BACKTRACE=enable=no WAYPOST_LONG=${WAYPOST_LONG:-1} WAYPOST_LLM_TESTS=${WAYPOST_LLM_TESTS:-1}
start=$(date +%s)
failed=0
step() { echo "== $1"; shift; "$@" || { failed=1; echo "!! failed: $*"; }; }
step "repository" Scripts/check-repository.py
step "repository's own tests" python3 Scripts/test_check_repository.py
step "tidily's own tests" python3 Scripts/test_tidily.py
echo "== build"
Scripts/tidily.py swift build -c release --explicit-target-dependency-import-check error --build-tests || exit 1
step "swift tests" Scripts/tidily.py swift test -c release --skip-build
step "end to end" Tests/EndToEnd/run.sh
echo "tests took $(( $(date +%s) - start )) s"
exit $failed
