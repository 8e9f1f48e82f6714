// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/processors.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// Empty where there is none.
std::string FirstLine(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// "<time> <period>" in processors; "max" and -1 stand for no limit.
double QuotaOf(const std::string& words) {
  const std::vector<absl::string_view> parts = absl::StrSplit(words, ' ');
  double time = 0.0, period = 0.0;
  if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &time) ||
      !absl::SimpleAtod(parts[1], &period) || time <= 0.0 || period <= 0.0)
    return kUnlimited;
  return time / period;
}

double QuotaOfGroup(const std::filesystem::path& group) {
  return std::min(QuotaOf(FirstLine(group / "cpu.max")),
                  QuotaOf(FirstLine(group / "cpu.cfs_quota_us") + " " +
                          FirstLine(group / "cpu.cfs_period_us")));
}

}  // namespace

int ControlGroupQuota(const std::filesystem::path& membership, const std::filesystem::path& mount) {
  double quota = kUnlimited;
  std::ifstream in(membership);
  for (std::string line; std::getline(in, line);) {
    // "0::<path>" of version 2, "<number>:<controllers>:<path>" of version 1.
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::vector<absl::string_view> controllers = absl::StrSplit(parts[1], ',');
    const bool version1 = std::ranges::find(controllers, "cpu") != controllers.end();
    if (!version1 && !parts[1].empty()) continue;
    // From the root down. A container may have its own group for a root and yet be told the path
    // that the host knows: what is not there sets no limit.
    std::filesystem::path group = version1 ? mount / "cpu" : mount;
    quota = std::min(quota, QuotaOfGroup(group));
    for (const auto& name : std::filesystem::path(parts[2]).lexically_normal().relative_path())
      quota = std::min(quota, QuotaOfGroup(group /= name));
  }
  return quota == kUnlimited ? 0 : std::max(1, static_cast<int>(std::ceil(std::min(quota, 1e6))));
}

int AvailableProcessors() {
  int processors = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    processors = static_cast<int>(CPU_COUNT(&allowed));
  if (const int quota = ControlGroupQuota(); quota > 0) processors = std::min(processors, quota);
  return std::max(1, processors);
}

}  // namespace millrace
