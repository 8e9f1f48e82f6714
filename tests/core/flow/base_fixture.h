// SPDX-License-Identifier: Apache-2.0
// Every base on every engine, and what one computes, in double.
#ifndef MILLRACE_TESTS_CORE_FLOW_BASE_FIXTURE_H_
#define MILLRACE_TESTS_CORE_FLOW_BASE_FIXTURE_H_

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/exec/arena.h"
#include "core/exec/pass.h"
#include "core/flow/base_distribution.h"
#include "tests/support/engines.h"
#include "tests/support/host_block.h"
#include "tests/support/numeric.h"

namespace millrace {

struct BaseCase {
  std::string name;
  BaseSpec spec;
  Engine engine;

  friend std::ostream& operator<<(std::ostream& out, const BaseCase& c) { return out << c.name; }
};

inline std::vector<BaseCase> BaseCases() {
  const std::vector<std::pair<std::string, BaseSpec>> specs = {
      {"StandardNormal", {.kind = BaseSpec::Kind::kStandardNormal}},
      {"DiagonalNormal", {.kind = BaseSpec::Kind::kDiagonalNormal}},
      {"Uniform", {.kind = BaseSpec::Kind::kUniform, .low = -1.5, .high = 2.0}},
      {"Logistic", {.kind = BaseSpec::Kind::kLogistic}},
      {"StudentT", {.kind = BaseSpec::Kind::kStudentT}},
      {"NormalMixture", {.kind = BaseSpec::Kind::kNormalMixture, .components = 5}},
      {"OneNormal", {.kind = BaseSpec::Kind::kNormalMixture, .components = 1}},
  };
  std::vector<BaseCase> cases;
  for (const auto& [name, spec] : specs)
    for (const Engine& engine : AllEngines())
      cases.push_back({name + "_" + engine.name, spec, engine});
  return cases;
}

// task(pass) with the parameters on the kernels.
template <typename Task>
auto RunPass(const Kernels& kernels, const std::vector<double>& parameters, const Task& task) {
  Arena arena(kernels.element_size());
  const HostParameters host(kernels, parameters);
  Pass pass{.kernels = kernels, .arena = arena, .weights = host.weights()};
  return task(pass);
}

// A base of some columns with parameters, on some kernels.
class Base {
 public:
  Base(const BaseSpec& spec, int dim) : distribution_(spec, dim, layout_), dim_(dim) {}

  std::vector<double> InitialParameters() const {
    ParameterValues values(layout_.size());
    distribution_.Initialise(3, values.span());
    return {values.data(), values.data() + values.size()};
  }
  // Random, zero in padding.
  std::vector<double> RandomParameters() const {
    std::mt19937_64 random(5);
    std::vector<double> values(layout_.size(), 0.0);
    for (const ParameterLayout::Entry& entry : layout_.entries()) {
      const Slice& slice = entry.slice;
      for (int r = 0; r < slice.rows; ++r)
        for (int c = 0; c < slice.cols; ++c)
          values[slice.offset + static_cast<std::size_t>(r) * slice.ld + c] =
              RandomNormal(random, 0.7);
    }
    return values;
  }

  std::vector<double> LogDensity(const Kernels& kernels, const std::vector<double>& parameters,
                                 const Rows<double>& z) const {
    return RunPass(kernels, parameters, [&](Pass& pass) {
      const Vector log_p = NewVector(pass.arena, std::vector<double>(z.rows(), 0.25));
      distribution_.LogDensity(pass, NewBlock(kernels, pass.arena, z.view()), log_p);
      std::vector<double> values(log_p.data, log_p.data + z.rows());
      for (double& v : values) v -= 0.25;  // it adds
      return values;
    });
  }
  // [rows, dim]
  Rows<double> Terms(const Kernels& kernels, const std::vector<double>& parameters,
                     const Rows<double>& z) const {
    return RunPass(kernels, parameters, [&](Pass& pass) {
      pass.column_log_det = pass.arena.NewVectors(z.rows(), dim_);
      std::fill_n(pass.column_log_det.data, pass.column_log_det.extent(), 0.0);
      distribution_.LogDensity(pass, NewBlock(kernels, pass.arena, z.view()), {});
      Rows<double> terms(z.rows(), dim_);
      for (int r = 0; r < z.rows(); ++r)
        for (int c = 0; c < dim_; ++c) terms(r, c) = pass.column_log_det[c].data[r];
      return terms;
    });
  }
  struct Gradient {
    std::vector<double> parameters;
    Rows<double> z;
  };
  Gradient LogDensityBackward(const Kernels& kernels, const std::vector<double>& parameters,
                              const Rows<double>& z, const std::vector<double>& bar) const {
    HostParameters gradients(kernels, std::vector<double>(layout_.size(), 0.0));
    return RunPass(kernels, parameters, [&](Pass& pass) {
      pass.gradients = gradients.gradients();
      const Matrix block = NewBlock(kernels, pass.arena, z.view());
      distribution_.LogDensityBackward(pass, block, NewVector(pass.arena, bar));
      return Gradient{gradients.values(), ReadBlock(kernels, block)};
    });
  }
  Rows<double> Sample(const Kernels& kernels, const std::vector<double>& parameters,
                      std::uint64_t first, int rows, double temperature = 1.0,
                      std::uint64_t seed = 7) const {
    return RunPass(kernels, parameters, [&](Pass& pass) {
      const Matrix z = pass.arena.NewMatrix(rows, dim_);
      distribution_.Sample(pass, seed, first, temperature, z);
      return ReadBlock(kernels, z);
    });
  }
  Rows<double> Sample(const Kernels& kernels, const std::vector<double>& parameters,
                      std::span<const SampleKey> keys) const {
    return RunPass(kernels, parameters, [&](Pass& pass) {
      const Matrix z = pass.arena.NewMatrix(static_cast<int>(keys.size()), dim_);
      distribution_.Sample(pass, keys, z);
      return ReadBlock(kernels, z);
    });
  }
  std::vector<double> SampleBackward(const Kernels& kernels, const std::vector<double>& parameters,
                                     const Rows<double>& grad) const {
    HostParameters gradients(kernels, std::vector<double>(layout_.size(), 0.0));
    return RunPass(kernels, parameters, [&](Pass& pass) {
      pass.gradients = gradients.gradients();
      const Matrix z = pass.arena.NewMatrix(grad.rows(), dim_);
      distribution_.Sample(pass, 7, 0, 1.0, z);
      distribution_.SampleBackward(pass, 7, 0, z, NewBlock(kernels, pass.arena, grad.view()));
      return gradients.values();
    });
  }

  const ParameterLayout& layout() const { return layout_; }

 private:
  ParameterLayout layout_;
  BaseDistribution distribution_;
  int dim_;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_FLOW_BASE_FIXTURE_H_
