// SPDX-License-Identifier: Apache-2.0
// Values of messages and the values of the core that they stand for.
#ifndef MILLRACE_SERVER_RPC_ENUM_TABLE_H_
#define MILLRACE_SERVER_RPC_ENUM_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"

namespace millrace {

// Which value of the core and which of the proto stand for each other.
template <typename Core, typename Proto>
using EnumTable = std::vector<std::pair<Core, Proto>>;

template <typename Core, typename Proto>
Proto ToProto(const EnumTable<Core, Proto>& table, Core value) {
  for (const auto& [core, proto] : table)
    if (core == value) return proto;
  return Proto{};
}

template <typename Core, typename Proto>
absl::StatusOr<Core> FromProto(const EnumTable<Core, Proto>& table, const std::string& field,
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
