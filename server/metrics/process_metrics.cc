// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace millrace {
namespace {

prometheus::MetricFamily Family(const std::string& name, const std::string& help,
                                prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(metric);
  return family;
}

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Time of the machine's start, seconds since 1970; 0 where unknown.
double BootTime() {
  const std::string text = ReadFile("/proc/stat");
  const std::size_t at = text.find("btime ");
  double seconds = 0.0;
  if (at == std::string::npos) return 0.0;
  const std::string line = text.substr(at + 6, text.find('\n', at) - at - 6);
  return absl::SimpleAtod(line, &seconds) ? seconds : 0.0;
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  using prometheus::MetricType;
  std::vector<prometheus::MetricFamily> families;

  // proc(5): the fields after the command's closing bracket, counted from 3.
  const std::string stat = ReadFile("/proc/self/stat");
  const std::size_t bracket = stat.rfind(')');
  const std::vector<std::string> fields =
      absl::StrSplit(bracket == std::string::npos ? "" : stat.substr(bracket + 2), ' ');
  const auto field = [&fields](std::size_t number) {
    double value = 0.0;
    return number - 3 < fields.size() && absl::SimpleAtod(fields[number - 3], &value) ? value : 0.0;
  };
  if (fields.size() > 20) {
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
    families.push_back(Family("process_cpu_seconds_total", "CPU time, user and system.",
                              MetricType::Counter, (field(14) + field(15)) / ticks));
    families.push_back(Family("process_start_time_seconds", "Start of the process since 1970.",
                              MetricType::Gauge, BootTime() + field(22) / ticks));
    families.push_back(Family("process_threads", "Threads.", MetricType::Gauge, field(20)));
    families.push_back(
        Family("process_virtual_memory_bytes", "Virtual memory.", MetricType::Gauge, field(23)));
    families.push_back(Family("process_resident_memory_bytes", "Resident memory.",
                              MetricType::Gauge, field(24) * page));
  }

  std::error_code error;
  const auto open = std::distance(std::filesystem::directory_iterator("/proc/self/fd", error),
                                  std::filesystem::directory_iterator());
  if (!error) {
    families.push_back(Family("process_open_fds", "Open file descriptors.", MetricType::Gauge,
                              static_cast<double>(open)));
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(Family("process_max_fds", "Most open file descriptors.", MetricType::Gauge,
                              static_cast<double>(limit.rlim_cur)));
  }
  return families;
}

}  // namespace millrace
