#!/usr/bin/env bash
# Fuzzes the filter grammar, the query parser, the tokenizers and the import with libFuzzer.
#
# usage: Scripts/fuzz.sh [TARGET...]     TARGET: filter, query, tokenizer, import; without one, all
#   SECONDS_EACH=60      how long each target runs
#   SANITIZE=address     watches memory too; the bound of 50 ms then means little, so it is slower to hold
#
# Everything lies under .build/fuzz: build, corpus (kept from run to run), log, crashes. A target stops at the first
# input that breaks a claim, crashes, or takes over 50 ms at 1,000 characters or less.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
root=.build/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(filter query tokenizer import)
export WAYPOST_FUZZ=1 SWIFT_BACKTRACE=enable=no
sanitizers=(--sanitize fuzzer)
[ -z "${SANITIZE:-}" ] || sanitizers+=(--sanitize "$SANITIZE")
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
mkdir -p "$root"/{corpus,seeds,log,crashes}

# One seed a line; the odd strings that stand beside the package join where they are there.
seeds() {
  local target=$1 folder="$root/seeds/$1" odd=../shared/data/odd-strings.jsonl
  rm -rf "$folder"
  mkdir -p "$folder"
  split -l 1 -a 4 "Tests/Fuzz/Corpus/$target.txt" "$folder/own-"
  cp "Tests/Fuzz/Corpus/$target.txt" "$folder/all"
  if [ -f "$odd" ] && [ "$target" != import ]; then
    jq -r '.text | gsub("\n"; " ")' "$odd" | split -l 1 -a 4 - "$folder/odd-"
  elif [ -f "$odd" ]; then
    jq -c '{id: .id, name: .text, providerName: .text, tags: [.text], source: .text}' "$odd" |
      split -l 1 -a 4 - "$folder/odd-"
  fi
}

# Some bytes are at least a thousand characters, whatever the alphabet.
declare -A longest=([filter]=8192 [query]=8192 [tokenizer]=16384 [import]=32768)
failed=0
for target in "${targets[@]}"; do
  if [ -z "${longest[$target]:-}" ]; then
    echo "fuzz: there is no target $target; there are filter, query, tokenizer, import" >&2
    exit 2
  fi
  echo "== fuzz $target"
  swift build -c release --scratch-path "$root/build" "${sanitizers[@]}" \
    --product "waypost-fuzz-$target"
  binary=$(swift build -c release --scratch-path "$root/build" "${sanitizers[@]}" --show-bin-path)
  binary+="/waypost-fuzz-$target"
  seeds "$target"
  mkdir -p "$root/corpus/$target"
  log="$root/log/$target.txt"
  touch "$root/started"
  if "$binary" "$root/corpus/$target" "$root/seeds/$target" \
    -dict="Tests/Fuzz/Corpus/$target.dict" -max_total_time="$seconds" -max_len="${longest[$target]}" \
    -timeout=5 -rss_limit_mb=2048 -artifact_prefix="$root/crashes/$target-" \
    -print_final_stats=1 >"$log" 2>&1
  then
    grep -E "number_of_executed_units|average_exec_per_sec" "$log" || true
  else
    failed=1
    grep -aE "fuzz: does not hold|Fatal error|ERROR: |SUMMARY: " "$log" | cut -c1-400 || tail -n 20 "$log"
    find "$root/crashes" -name "$target-*" -newer "$root/started" |
      while read -r input; do echo "!! replay: SWIFT_BACKTRACE=enable=no $binary $input"; done
  fi
done
[ $failed -eq 0 ] && echo "fuzz: nothing found in ${#targets[@]} targets, $seconds s each"
exit $failed
