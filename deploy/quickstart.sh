#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a bare Debian 12 machine to a trained density: installs, builds, starts a server on loopback,
# trains on two moons, scores, samples, interpolates, and stops what it started.
#
#   deploy/quickstart.sh               two moons, whose exact density is known
#   deploy/quickstart.sh table.csv     your own table of numbers (.csv or .csv.gz), a row a line;
#                                      every tenth row is held out, so it needs 20
#
# As root or with sudo, as often as you like. Models and tables stay in build/quickstart.
#   MILLRACE_QUICKSTART_DIR   another folder for them
#   MILLRACE_BIN              folder of built programs: nothing is installed or built
set -euo pipefail
if [[ $# -gt 1 || "${1:-}" == -* ]]; then
  sed -n '3,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
if [[ $# -eq 1 && ! -r "$1" ]]; then
  echo "quickstart.sh: $1 cannot be read" >&2
  exit 1
fi
table=${1:+$(realpath -- "$1")}
bin=${MILLRACE_BIN:+$(realpath -- "$MILLRACE_BIN")}
folder=${MILLRACE_QUICKSTART_DIR:+$(realpath -m -- "$MILLRACE_QUICKSTART_DIR")}
cd "$(dirname "$0")/.."

if [[ -z "$bin" ]]; then
  deploy/install_packages.sh build
  echo "== Build (build/release; minutes the first time)"
  mkdir -p build
  if ! { cmake --preset release && cmake --build --preset release -j "$(nproc)"; } \
      >build/quickstart.log 2>&1; then
    tail -n 40 build/quickstart.log >&2
    exit 1
  fi
  bin=$PWD/build/release/bin
fi
export PATH="$bin:$PATH"
folder=${folder:-$PWD/build/quickstart}
mkdir -p "$folder"
cd "$folder"
rm -f train.csv test.csv absurd.csv

# run <command>...: shows a command, then does it.
run() {
  printf '\n+ %s\n' "$*"
  "$@"
}

# logged <name>: the value of name=value in the line with which the server says that it serves.
logged() {
  sed -n "s/.* serving .*\b$1=\([^ ]*\).*/\1/p" server.log
}

# Splits the table $1 into train.csv and test.csv, every tenth row; absurd.csv is the first two rows
# of test.csv with each number sent a thousandfold away. A header goes to all three. Status 3 where
# fewer than two rows are held out.
split_table() {
  zcat -f -- "$1" | awk '
    function is_number(text) {
      return text ~ /^[ "]*[-+]?([0-9]+\.?|\.[0-9])[0-9]*([eE][-+]?[0-9]+)?[ "\r]*$/
    }
    NR == 1 {
      FS = /\t/ ? "\t" : /;/ ? ";" : ","
      OFS = FS
      $0 = $0
      header = 1
      for (i = 1; i <= NF; ++i) if (is_number($i)) header = 0
      if (header) { print > "train.csv"; print > "test.csv"; print > "absurd.csv"; next }
    }
    (NR - header) % 10 { print > "train.csv"; next }
    {
      print > "test.csv"
      if (++held_out > 2) next
      for (i = 1; i <= NF; ++i) if (is_number($i)) $i = 1000 * (($i < 0 ? -$i : $i) + 1)
      print > "absurd.csv"
    }
    END { if (held_out < 2) exit 3 }'
}

echo "== Server"
: >server.log  # now: what it holds from another time must not be read for the new server's
millrace-server --address 127.0.0.1:0 --metrics_address 127.0.0.1:0 --model_dir models \
  2>server.log &
server=$!
trap 'kill "$server" 2>/dev/null && wait "$server" || true' EXIT
until grep -q ' serving ' server.log; do
  kill -0 "$server" 2>/dev/null || { cat server.log >&2; exit 1; }
  sleep 0.1
done
export MILLRACE_SERVER=127.0.0.1:$(logged port)
echo "gRPC at $MILLRACE_SERVER, models in $folder/models"

printf '\n== Data\n'
exact=
if [[ -n "$table" ]]; then
  name=$(basename "${table%.gz}" .csv | tr 'A-Z' 'a-z' |
         sed 's/[^a-z0-9]\+/-/g; s/^[^a-z]*//; s/^\(.\{40\}\).*/\1/; s/-*$//')
  name=${name:-table}
  split_table "$table" || {
    if [[ $? -eq 3 ]]; then
      echo "quickstart.sh: $table has fewer than 20 rows: every tenth is held out, two at least" >&2
    fi
    exit 1
  }
else
  name=moons
  run millrace generate two-moons -n 10000 --seed 1 -o train.csv
  run millrace generate two-moons -n 5000 --seed 2 -o test.csv --mean-log-density | tee exact
  exact=$(tail -n 1 exact)
  printf 'x,y\n-1,-0.5\n3,-3\n1e6,0\n' >absurd.csv
fi
echo "$(wc -l <train.csv) lines in train.csv, $(wc -l <test.csv) in test.csv, which is held out"

printf '\n== Train, then ask\n'
run millrace train "$name" train.csv
run millrace log-prob "$name" test.csv --mean | tee model
run millrace score "$name" test.csv -o scores.csv
run millrace score "$name" absurd.csv --with-input
run millrace sample "$name" -n 5
run millrace interpolate "$name" test.csv --rows 0,1 --steps 5

printf '\n== Held-out rows, mean log-density in nats\n'
read -r mean error rows <<<"$(tail -n 1 model)"
printf '  %-14s %9.4f ± %.4f  (%d rows)\n' "this model" "$mean" "$error" "$rows"
if [[ -n "$exact" ]]; then
  read -r mean error rows <<<"$exact"
  printf '  %-14s %9.4f ± %.4f\n' "exact density" "$mean" "$error"
fi

printf '\n== Metrics\n'
echo "http://127.0.0.1:$(logged metrics_port)/metrics, among them"
exec {metrics}<>"/dev/tcp/127.0.0.1/$(logged metrics_port)"
printf 'GET /metrics HTTP/1.0\r\n\r\n' >&"$metrics"
sed -nE '/^millrace_(requests_total|rows_total|train_loss|models_loaded)/s/^/  /p' <&"$metrics"

printf '\nTo serve this model again: %s/millrace-server --model_dir %s/models\n' \
  "$bin" "$folder"
