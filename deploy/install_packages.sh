#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian 12 packages that Millrace needs, and nothing when they are all there.
#
#   deploy/install_packages.sh [runtime|build|test]...     default: build test
#   deploy/install_packages.sh --list [group]...           names only, installs nothing
#
# As root, or through sudo. The one list of packages: tests, image and quickstart use it.
set -euo pipefail

# What a machine needs that runs the built programs.
runtime=(
  libgrpc++1.51                # the server's and the client's wire
  libprotobuf32                # messages
  libabsl20220623              # Status, flags, strings
  libtbb12                     # lanes of the CPU backend
  libprometheus-cpp-pull1.0    # /metrics
  libzip4                      # reads NPZ
  libpng16-16                  # reads images, writes pictures of samples
  zlib1g                       # reads .csv.gz
)

# What a machine needs that builds them; each brings its runtime library.
build=(
  g++                          # C++20, GCC 12
  cmake                        # 3.25
  ninja-build                  # what the presets generate for
  ccache                       # used where present
  libgrpc++-dev
  protobuf-compiler-grpc       # C++ services from .proto
  libprotobuf-dev
  protobuf-compiler            # C++ messages from .proto
  libabsl-dev
  libtbb-dev
  prometheus-cpp-dev
  nlohmann-json3-dev           # metadata of model files, JSON lines
  libcli11-dev                 # command line of the tool
  libpng-dev
  libzip-dev
  zlib1g-dev
  pkgconf                      # finds libzip and what gRPC depends on
)

# What the tests need besides.
test=(
  libgtest-dev
  libgmock-dev
  libbenchmark-dev             # benchmark programs
  valgrind                     # counts instructions
  python3                      # layering, golden values, end-to-end checks
  python3-numpy                # the Python example; reads and writes NPY
  python3-grpcio               # the Python example
  python3-protobuf             # the Python example
  python3-yaml                 # reads compose and Prometheus files in tests/packaging
  protobuf-compiler-grpc       # Python services from .proto, for the example
  prometheus                   # the real scraper, and promtool
  curl                         # reads /metrics
  debootstrap                  # proves the Dockerfile without an engine
  iproute2                     # the same: a loopback of its own
)

list_only=false
if [[ "${1:-}" == --list ]]; then
  list_only=true
  shift
fi
[[ $# -gt 0 ]] || set -- build test

packages=()
for group in "$@"; do
  case "$group" in
    runtime | build | test) declare -n names="$group"; packages+=("${names[@]}") ;;
    *) echo "install_packages.sh: no group '$group'; there are runtime, build, test" >&2; exit 2 ;;
  esac
done

if $list_only; then
  printf '%s\n' "${packages[@]}" | sort -u
  exit
fi

missing=()
for package in $(printf '%s\n' "${packages[@]}" | sort -u); do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' ||
    missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install_packages.sh: run me as root, or install sudo" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends -o Acquire::Retries=3 "${missing[@]}"
