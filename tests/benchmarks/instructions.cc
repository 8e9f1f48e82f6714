// SPDX-License-Identifier: Apache-2.0
// What instructions.py counts under `valgrind --tool=callgrind --collect-atstart=no`: a dump of
// each call, named like it, one thread, after calls that warm up. Prints the compiler's version.
#include <valgrind/callgrind.h>

#include <cstdio>

#include "tests/benchmarks/maf_case.h"

namespace millrace {
namespace {

void Count(const char* name, std::int64_t rows, void (MafCase::*run)()) {
  MafCase maf({100, 100}, 43, rows, /*threads=*/1);
  for (int warm_up = 0; warm_up < 2; ++warm_up) (maf.*run)();
  CALLGRIND_ZERO_STATS;
  CALLGRIND_TOGGLE_COLLECT;
  (maf.*run)();
  CALLGRIND_TOGGLE_COLLECT;
  CALLGRIND_DUMP_STATS_AT(name);
}

}  // namespace
}  // namespace millrace

int main() {
  using millrace::Count, millrace::MafCase;
  std::puts(__VERSION__);
  Count("log_prob of 1 row", 1, &MafCase::LogProb);
  Count("log_prob of 256 rows", 256, &MafCase::LogProb);
  Count("sample of 256 rows", 256, &MafCase::Sample);
  Count("training step of 256 rows", 256, &MafCase::TrainStep);
}
