// SPDX-License-Identifier: Apache-2.0
// Every transform the laws are checked for. A new transform adds a line to Factories().
#ifndef MILLRACE_TESTS_CORE_TRANSFORMS_LAW_CASES_H_
#define MILLRACE_TESTS_CORE_TRANSFORMS_LAW_CASES_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/transforms/act_norm.h"
#include "core/transforms/autoregressive.h"
#include "core/transforms/elementwise.h"
#include "core/transforms/lu_linear.h"
#include "core/transforms/permutation.h"
#include "tests/support/engines.h"

namespace millrace {

using Make = std::function<std::unique_ptr<const Transform>(int dim, ParameterLayout& layout)>;

struct Factory {
  std::string name;
  int context_dim;
  Make make;
  double scale = 1.0;  // of the rows that show what it does
};

inline Factory MakeMaf(std::string name, std::vector<int> hidden_sizes, bool residual,
                       Activation activation, int context_dim) {
  return {std::move(name), context_dim, [=](int dim, ParameterLayout& layout) {
            const MadeSpec made{.dim = dim,
                                .context_dim = context_dim,
                                .hidden_sizes = hidden_sizes,
                                .residual = residual,
                                .activation = activation};
            return std::make_unique<Autoregressive>(made, ScalarBijection{}, "made.", layout);
          }};
}

inline std::vector<Factory> Factories() {
  return {
      MakeMaf("MafRelu", {24, 19}, false, Activation::kRelu, 0),
      MakeMaf("MafTanhNarrow", {5}, false, Activation::kTanh, 0),
      MakeMaf("MafEluContext", {33, 17, 20}, false, Activation::kElu, 3),
      MakeMaf("MafIdentity", {16, 16}, false, Activation::kIdentity, 0),
      MakeMaf("ResMafRelu", {20, 20, 20}, true, Activation::kRelu, 0),
      MakeMaf("ResMafTanhContext", {13, 13, 13, 13, 13}, true, Activation::kTanh, 2),
      {"ActNorm", 0,
       [](int dim, ParameterLayout& layout) {
         return std::make_unique<ActNorm>(dim, "a.", layout);
       }},
      {"LuLinear", 0,
       [](int dim, ParameterLayout& layout) {
         return std::make_unique<LuLinear>(dim, false, "lu.", layout);
       }},
      {"LogTails", 0,
       [](int, ParameterLayout&) {
         return std::make_unique<Elementwise>(ScalarBijection{ScalarBijection::Kind::kLogTails});
       },
       5.0},
      {"Reverse", 0,
       [](int dim, ParameterLayout&) {
         return std::make_unique<Permutation>(Permutation::Reverse(dim));
       }},
      {"RandomPermutation", 0,
       [](int dim, ParameterLayout&) {
         return std::make_unique<Permutation>(Permutation::Random(dim, 11, 3));
       }},
  };
}

struct LawCase {
  Factory factory;
  Engine engine;

  std::string name() const { return factory.name + "_" + engine.name; }
  friend std::ostream& operator<<(std::ostream& out, const LawCase& c) { return out << c.name(); }
};

inline std::vector<LawCase> LawCases() {
  std::vector<LawCase> cases;
  for (const Factory& factory : Factories())
    for (const Engine& engine : AllEngines()) cases.push_back({factory, engine});
  return cases;
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_TRANSFORMS_LAW_CASES_H_
