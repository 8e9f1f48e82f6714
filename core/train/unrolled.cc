// SPDX-License-Identifier: Apache-2.0
#include "core/train/unrolled.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/check.h"
#include "core/flow/architectures.h"

namespace millrace {
namespace {

using Kind = ScalarBijection::Kind;

// Where a layer of the unrolled chain has its parameters from.
struct Source {
  int layer = 0;  // of the teacher
  int begin = 0;  // columns that it moves, [begin, end); the others it leaves alone
  int end = 0;
};

std::optional<Kind> InverseKind(Kind kind) {
  switch (kind) {
    case Kind::kAffine:
      return Kind::kInverseAffine;
    case Kind::kInverseAffine:
      return Kind::kAffine;
    case Kind::kRationalQuadratic:
      return Kind::kInverseRationalQuadratic;
    case Kind::kInverseRationalQuadratic:
      return Kind::kRationalQuadratic;
    default:
      return std::nullopt;
  }
}

bool NeedsSweep(const LayerSpec& layer) { return layer.autoregressive && !layer.inverse; }

// For each layer of the unrolled chain, data first: the pair that is found last comes first.
std::vector<Source> Sources(const std::vector<LayerSpec>& teacher, int dim) {
  std::vector<Source> sources;
  for (int i = 0; i < static_cast<int>(teacher.size()); ++i) {
    if (!NeedsSweep(teacher[i])) {
      sources.push_back({i, 0, dim});
      continue;
    }
    for (int pair = (dim + 1) / 2; pair-- > 0;)
      sources.push_back({i, 2 * pair, std::min(2 * pair + 2, dim)});
  }
  return sources;
}

// Zeros the outputs of a network that parametrise columns outside [begin, end). Outputs are the
// rows of a weight matrix or the columns of a bias, as many for each column of the flow.
void ZeroOutside(const Source& source, int dim, const Slice& slice, bool bias, float* values) {
  const int outputs = bias ? slice.cols : slice.rows;
  for (int k = 0; k < outputs; ++k) {
    const int column = k / (outputs / dim);
    if (column >= source.begin && column < source.end) continue;
    std::fill_n(bias ? values + k : values + static_cast<std::size_t>(k) * slice.ld,
                bias ? 1 : slice.ld, 0.0f);
  }
}

}  // namespace

bool CanUnroll(const FlowSpec& teacher) {
  const std::vector<LayerSpec> chain = ChainOf(teacher);
  const auto can = [](const LayerSpec& layer) {
    if (NeedsSweep(layer)) return InverseKind(layer.autoregressive->bijection.kind).has_value();
    return !layer.linear || layer.linear->start != LinearLayer::Start::kRotation;
  };
  return teacher.dim <= kMaxUnrolledDim && std::ranges::any_of(chain, NeedsSweep) &&
         std::ranges::all_of(chain, can) && Validate(Unrolled(teacher)).ok();
}

FlowSpec Unrolled(const FlowSpec& teacher) {
  const std::vector<LayerSpec> layers = ChainOf(teacher);
  FlowSpec unrolled = teacher;
  unrolled.stack.reset();
  std::vector<LayerSpec>& chain = unrolled.chain.emplace();
  for (const Source& source : Sources(layers, teacher.dim)) {
    LayerSpec& layer = chain.emplace_back(layers[source.layer]);
    if (!NeedsSweep(layer)) continue;
    ScalarBijection& bijection = layer.autoregressive->bijection;
    bijection.kind = *InverseKind(bijection.kind);
    layer.inverse = true;
  }
  return unrolled;
}

ParameterValues UnrolledParameters(const Flow& teacher, std::span<const float> parameters,
                                   const Flow& unrolled) {
  const std::vector<LayerSpec> layers = ChainOf(teacher.spec());
  const std::vector<Source> sources = Sources(layers, teacher.dim());
  std::unordered_map<std::string, Slice> of_teacher;
  for (const auto& entry : teacher.layout().entries()) of_teacher[entry.name] = entry.slice;
  ParameterValues values(unrolled.layout().size());
  for (const auto& entry : unrolled.layout().entries()) {
    // "<layer>.<transform>.<name>", or the base's.
    const std::size_t dot = entry.name.find('.');
    int place = 0;
    const bool of_layer = absl::SimpleAtoi(absl::string_view(entry.name).substr(0, dot), &place);
    const Source source = of_layer ? sources[place] : Source{};
    const Slice from = of_teacher.at(
        of_layer ? absl::StrCat(source.layer, absl::string_view(entry.name).substr(dot))
                 : entry.name);
    MILLRACE_CHECK(from.rows == entry.slice.rows && from.cols == entry.slice.cols);
    float* const to = values.data() + entry.slice.offset;
    std::copy_n(parameters.data() + from.offset, from.extent(), to);
    if (of_layer && NeedsSweep(layers[source.layer]) && absl::StrContains(entry.name, ".output."))
      ZeroOutside(source, teacher.dim(), entry.slice, absl::EndsWith(entry.name, ".bias"), to);
  }
  return values;
}

}  // namespace millrace
