// SPDX-License-Identifier: Apache-2.0
// The flow for a table nobody tuned for, with what the caller fixes.
#ifndef MILLRACE_CORE_TRAIN_FLOW_CHOICE_H_
#define MILLRACE_CORE_TRAIN_FLOW_CHOICE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/flow/flow_spec.h"

namespace millrace {

// What a caller fixes of a StackSpec; unset fields are chosen from the number of rows and columns.
struct StackChoice {
  std::optional<Architecture> architecture = std::nullopt;
  std::optional<int> layers = std::nullopt;  // [1, StackSpec::kMaxLayers]
  std::optional<std::vector<int>> hidden_sizes = std::nullopt;
  std::optional<bool> residual = std::nullopt;
  std::optional<Mixing> mixing = std::nullopt;
  std::optional<Activation> activation = std::nullopt;
  std::optional<bool> act_norm = std::nullopt;
  std::optional<bool> batch_norm = std::nullopt;
  std::optional<bool> whiten = std::nullopt;       // by default unless mixing is none
  std::optional<bool> heavy_tails = std::nullopt;  // by default
  std::optional<Mask> mask = std::nullopt;
  std::optional<int> bins = std::nullopt;
  std::optional<double> bound = std::nullopt;
  std::optional<int> components = std::nullopt;
  std::optional<int> width = std::nullopt;
  std::optional<int> levels = std::nullopt;  // of images
  std::optional<bool> additive = std::nullopt;
  std::optional<bool> weight_norm = std::nullopt;
  friend bool operator==(const StackChoice&, const StackChoice&) = default;
};

struct FlowChoice {
  StackChoice stack;  // without a chain
  // What the rows are images of: the default is then Glow, and only layers of images are allowed.
  std::optional<ImageShape> image = std::nullopt;
  std::optional<std::vector<LayerSpec>> chain = std::nullopt;  // taken as it is
  std::optional<BaseSpec> base = std::nullopt;                 // by default standard normal
  friend bool operator==(const FlowChoice&, const FlowChoice&) = default;
};

// The flow for `rows` rows of `dim` columns under a condition of `context_dim`. INVALID_ARGUMENT,
// naming the field, when the choice contradicts itself or sets what its architecture has no use
// for.
absl::StatusOr<FlowSpec> ChooseFlow(const FlowChoice& choice, std::int64_t rows, int dim,
                                    int context_dim, std::uint64_t seed);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_FLOW_CHOICE_H_
