#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves Millrace on this machine: installs Debian packages, builds with the presets, runs the tests.
#
#   tests/run.sh            dev (everything), asan (everything but the slow tests), tsan (threads)
#   tests/run.sh --fast     dev only, without the slow tests
#   tests/run.sh --image    besides, proves the Dockerfile's own commands in fresh Debian roots
#
# MILLRACE_DATA          folder of the real data sets; ../shared/data unless set
# MILLRACE_REQUIRE_DATA  1: a skipped test is a failure
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
presets=(dev asan tsan)
dev_tests=dev
image=false
for option in "$@"; do
  case "$option" in
    --fast) presets=(dev); dev_tests=fast ;;
    --image) image=true ;;
    *) sed -n '3,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
export MILLRACE_DATA="${MILLRACE_DATA:-$(realpath -m ../shared/data)}"

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=()
closing=()

# build <preset> [target]...: configures and builds, quietly while nothing is wrong.
build() {
  local preset=$1
  shift
  printf '== build %s\n' "$preset"
  if ! { cmake --preset "$preset" &&
         cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}; } >"$logs/build" 2>&1; then
    tail -n 80 "$logs/build"
    return 1
  fi
}

# check <configure preset> <test preset>: one ctest run; keeps its closing lines.
check() {
  printf '== test %s\n' "$2"
  local status=0
  ctest --preset "$2" -j "$jobs" >"$logs/test" 2>&1 || status=$?
  [[ $status -eq 0 ]] ||
    sed -E '/tests passed/,$d; /^ *(Start +[0-9]+|[0-9]+\/[0-9]+ .* Passed )/d' "$logs/test"
  local last
  last=$(sed -n '/tests passed/,$p' "$logs/test")
  printf '%s\n' "$last"
  if [[ "${MILLRACE_REQUIRE_DATA:-0}" == 1 ]] && grep -q '(Skipped)' <<<"$last"; then
    echo "A skipped test is a failure here (MILLRACE_REQUIRE_DATA=1)."
    status=1
  fi
  closing+=("$2: $(grep -m1 'tests passed' <<<"$last" || echo 'no result')")
  [[ $status -eq 0 ]] || failed+=("$2")
}

deploy/install_packages.sh build test
for preset in "${presets[@]}"; do
  targets=()
  tests=$preset
  [[ $preset != dev ]] || tests=$dev_tests
  [[ $preset != tsan ]] || targets=(millrace_thread_tests)
  if build "$preset" "${targets[@]}"; then
    check "$preset" "$tests"
  else
    failed+=("$preset (build)")
  fi
done
if $image; then
  printf '== image\n'
  python3 -B tests/packaging/dockerfile_in_chroot.py || failed+=(image)
fi

printf '== %s\n' "${closing[@]}"
if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
