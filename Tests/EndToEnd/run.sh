#!/bin/sh
# Runs the end-to-end tests against the built binary. WAYPOST_LLM_TESTS=1 adds the LiteLLM proxy (a large install),
# WAYPOST_LONG=1 the long rounds. Arguments go to pytest. Folders of tests that failed stay, of the last three runs, in
# .build/tmp/pytest-of-NAME. An exception in a thread that a test has started is a failure of the test.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv="$root/.build/e2e-venv"
export PYTHONDONTWRITEBYTECODE=1
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
if [ "${WAYPOST_LLM_TESTS:-0}" = 1 ]; then
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements-llm.txt"
fi
exec "$root/Scripts/tidily.py" "$venv/bin/pytest" -q -p no:cacheprovider -o tmp_path_retention_policy=failed \
  -W error::pytest.PytestUnhandledThreadExceptionWarning -rsx --tb=short "$@" "$here"
