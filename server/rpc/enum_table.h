// SPDX-License-Identifier: Apache-2.0
// Values of messages and the values of the core that they stand for.
#ifndef MILLRACE_SERVER_RPC_ENUM_TABLE_H_
#define MILLRACE_SERVER_RPC_ENUM_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"

namespace millrace {

// A value of the core and one of the proto that stand for each other. A table is an array of them;
// of several with the same value the first one counts.
template <typename Core, typename Proto>
struct EnumPair {
  Core core;
  Proto proto;
};

template <typename Core, typename Proto, std::size_t n>
Proto ToProto(const EnumPair<Core, Proto> (&table)[n], Core value) {
  for (const auto& [core, proto] : table)
    if (core == value) return proto;
  return Proto{};
}

template <typename Core, typename Proto, std::size_t n>
absl::StatusOr<Core> FromProto(const EnumPair<Core, Proto> (&table)[n], const std::string& field,
                               Proto value) {
  for (const auto& [core, proto] : table)
    if (proto == value) return core;
  return InvalidArgument(field, absl::StrCat(value), "a known value");
}

// What is out of range stays so, and is named by the core's own check.
inline int ToInt(std::uint32_t value) {
  return static_cast<int>(std::min<std::uint32_t>(value, std::numeric_limits<int>::max()));
}

template <typename Sizes>
std::vector<int> ToInts(const Sizes& sizes) {
  std::vector<int> ints;
  for (const std::uint32_t size : sizes) ints.push_back(ToInt(size));
  return ints;
}

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_ENUM_TABLE_H_
