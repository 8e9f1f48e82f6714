// SPDX-License-Identifier: Apache-2.0
#include "core/data/column_names.h"

#include <cstddef>
#include <numeric>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"

namespace millrace {

absl::StatusOr<std::vector<int>> MatchNames(std::span<const std::string> own,
                                            std::span<const std::string> names,
                                            absl::string_view field) {
  std::vector<int> order(own.size());
  std::iota(order.begin(), order.end(), 0);
  if (names.empty()) return order;
  std::unordered_map<std::string, int> given;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!given.emplace(names[i], static_cast<int>(i)).second)
      return InvalidArgument(absl::StrCat(field, "[", i, "]"), names[i], "each name once");
  }
  for (std::size_t j = 0; j < own.size(); ++j) {
    const auto found = given.find(own[j]);
    if (found == given.end())
      return InvalidArgument(
          field, "", absl::StrCat("column '", PrintableValue(own[j]), "' of the model among them"));
    order[j] = found->second;
    given.erase(found);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (given.contains(names[i]))
      return InvalidArgument(absl::StrCat(field, "[", i, "]"), names[i], "a column of the model");
  }
  return order;
}

}  // namespace millrace
