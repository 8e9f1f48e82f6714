// SPDX-License-Identifier: Apache-2.0
// What makes a network a MADE: who depends on whom, exactly. Its adjoints are checked as those of
// the autoregressive transform, in tests/core/transforms/laws_test.cc.
#include "core/conditioners/made.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "core/transforms/autoregressive.h"
#include "tests/support/engines.h"
#include "tests/support/host_block.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

TEST(DegreesTest, AreSortedSpreadAndIncludeBothEnds) {
  for (const int dim : {1, 2, 3, 7, 43}) {
    for (const int context_dim : {0, 2}) {
      const int lowest = context_dim > 0 || dim == 1 ? 0 : 1;
      for (const int hidden : {1, 2, 3, 8, 42, 43, 100}) {
        const std::vector<int> degrees = Made::Degrees(hidden, dim, context_dim);
        ASSERT_EQ(degrees.size(), static_cast<std::size_t>(hidden));
        EXPECT_TRUE(std::is_sorted(degrees.begin(), degrees.end()));
        EXPECT_EQ(degrees.back(), dim - 1) << "some column would go unused";
        if (hidden > 1) {
          EXPECT_EQ(degrees.front(), lowest);
        }
        if (hidden < dim) continue;
        // Enough units: every degree has its share, the two ends at least half of it.
        const double share = static_cast<double>(hidden) / (dim - lowest);
        for (int k = lowest; k < dim; ++k)
          EXPECT_GE(std::count(degrees.begin(), degrees.end(), k), std::floor(share / 2)) << k;
      }
    }
  }
}

struct Network {
  std::vector<int> hidden_sizes;
  bool residual;
};

const Network kNetworks[] = {{{64}, false},
                             {{48, 56}, false},
                             {{48}, true},
                             {{48, 48, 48, 48, 48}, true},
                             // fewer units than most rows have columns
                             {{1}, false},
                             {{5}, false},
                             {{6, 3}, false}};

using Case = std::tuple<Activation, Engine>;

class MadeTest : public testing::TestWithParam<Case> {
 protected:
  static constexpr int kRows = 20;

  // Calls `check` for every network, number of columns and width of context, in turn the fixture's.
  template <typename Check>
  void ForEachMade(const Check& check) {
    for (const Network& network : kNetworks) {
      for (const int dim : {1, 2, 7, 21}) {
        for (const int context_dim : {0, 2}) {
          spec_ = {.dim = dim,
                   .context_dim = context_dim,
                   .hidden_sizes = network.hidden_sizes,
                   .residual = network.residual,
                   .activation = std::get<Activation>(GetParam())};
          layout_ = {};
          ParameterLayout same_layout;
          made_.emplace(spec_, "made.", layout_);
          transform_.emplace(spec_, ScalarBijection{}, "made.", same_layout);
          parameters_ = RandomParameters(*transform_, layout_, dim, context_dim, 9);
          SCOPED_TRACE(testing::Message() << dim << " columns, context of " << context_dim << ", "
                                          << testing::PrintToString(spec_.hidden_sizes)
                                          << (spec_.residual ? " residual" : ""));
          check();
        }
      }
    }
  }

  const Kernels& kernels() const { return *std::get<Engine>(GetParam()).kernels; }

  Rows<double> Theta(const Point& point) const {
    Arena arena(kernels().element_size());
    const HostParameters weights(kernels(), point.parameters);
    Pass pass{kernels(), arena, weights.weights()};
    pass.context = NewBlock(kernels(), arena, point.context.view());
    const Matrix x = NewBlock(kernels(), arena, point.rows.view());
    const Matrix theta = arena.NewMatrix(x.rows, made_->theta_cols());
    made_->Forward(pass, x, theta);
    return ReadBlock(kernels(), theta);
  }
  Slice Find(const std::string& name) const {
    for (const auto& entry : layout_.entries())
      if (entry.name == name) return entry.slice;
    ADD_FAILURE() << "no parameter " << name;
    return {};
  }
  Point RandomPoint(int rows) {
    return {parameters_, RandomRows(random_, rows, spec_.dim),
            RandomRows(random_, rows, spec_.context_dim)};
  }

  MadeSpec spec_;
  ParameterLayout layout_;
  std::optional<Made> made_;
  std::optional<Autoregressive> transform_;
  std::mt19937_64 random_{4};
  std::vector<double> parameters_;
};

// Whether any parameter of column i differs between two thetas.
bool Differs(const Rows<double>& a, const Rows<double>& b, int i) {
  for (int r = 0; r < a.rows(); ++r)
    for (int p = 0; p < 2; ++p)
      if (a(r, 2 * i + p) != b(r, 2 * i + p)) return true;
  return false;
}

TEST_P(MadeTest, ColumnsDependOnAllEarlierOnesAndNoOther) {
  ForEachMade([&] {
    const Point point = RandomPoint(kRows);
    const Rows<double> theta = Theta(point);
    for (int j = 0; j < spec_.dim; ++j) {
      Point moved = point;
      for (int r = 0; r < kRows; ++r) moved.rows(r, j) = r % 2 == 0 ? 10.0 : -10.0;
      const Rows<double> moved_theta = Theta(moved);
      for (int i = 0; i <= j; ++i) EXPECT_FALSE(Differs(theta, moved_theta, i)) << i << " on " << j;
      // Wide networks connect every pair; narrow ones at least use every column but the last.
      const bool wide = spec_.hidden_sizes.back() >= 2 * spec_.dim;
      for (int i = wide ? j + 1 : spec_.dim - 1; i > j && i < spec_.dim; ++i)
        EXPECT_TRUE(Differs(theta, moved_theta, i)) << i << " on " << j;
    }
  });
}

TEST_P(MadeTest, ContextReachesEveryColumn) {
  ForEachMade([&] {
    // The few ReLU units of narrow, stacked layers may be idle on every row.
    const bool few = spec_.hidden_sizes.size() > 1 && spec_.hidden_sizes.back() < 10;
    if (few && spec_.activation == Activation::kRelu) return;
    const Point point = RandomPoint(kRows);
    const Rows<double> theta = Theta(point);
    for (int k = 0; k < spec_.context_dim; ++k) {
      Point moved = point;
      for (int r = 0; r < kRows; ++r) moved.context(r, k) = r % 2 == 0 ? 10.0 : -10.0;
      const Rows<double> moved_theta = Theta(moved);
      // A single unit has the highest degree: only the last column's parameters may use it.
      const bool single =
          *std::min_element(spec_.hidden_sizes.begin(), spec_.hidden_sizes.end()) == 1;
      for (int i = single ? spec_.dim - 1 : 0; i < spec_.dim; ++i)
        EXPECT_TRUE(Differs(theta, moved_theta, i)) << i;
    }
  });
}

// The inverse finds each hidden unit once; D whole passes of the network find the same rows.
TEST_P(MadeTest, IncrementalInverseIsTheInverseByPasses) {
  ForEachMade([&] {
    const Point latent = RandomPoint(kRows);
    const Image incremental = Apply(kernels(), *transform_, Direction::kInverse, latent);
    Image passes{Rows<double>(kRows, spec_.dim), std::vector<double>(kRows)};
    for (int pass = 0; pass < spec_.dim; ++pass) {
      const Rows<double> theta = Theta({parameters_, passes.rows, latent.context});
      std::fill(passes.log_det.begin(), passes.log_det.end(), 0.0);
      for (int r = 0; r < kRows; ++r) {
        for (int i = 0; i < spec_.dim; ++i) {
          const double a = theta(r, 2 * i + 1);
          const double s = a / (1 + std::fabs(a) / std::log(1000.0));
          passes.rows(r, i) = (latent.rows(r, i) - theta(r, 2 * i)) * std::exp(-s);
          passes.log_det[r] -= s;
        }
      }
    }
    const double tolerance = kernels().element_size() == sizeof(float) ? 1e-4 : 1e-6;
    const double scale = std::max(1.0, MaxAbs(Values(passes.rows)));
    EXPECT_LE(MaxAbsDifference(Values(incremental.rows), Values(passes.rows)), tolerance * scale);
    EXPECT_LE(MaxAbsDifference(incremental.log_det, passes.log_det), tolerance * scale);
  });
}

TEST_P(MadeTest, StartsAsTheIdentity) {
  ForEachMade([&] {
    Point point = RandomPoint(kRows);
    point.parameters = InitialParameters(*transform_, layout_, 3);
    EXPECT_EQ(MaxAbs(Values(Theta(point))), 0.0);
  });
}

TEST_P(MadeTest, InitialParametersAreAFunctionOfTheSeed) {
  ForEachMade([&] {
    if (spec_.dim == 1 && spec_.context_dim == 0) return;  // no weight before the last layer
    const auto initial = [&](int seed) { return InitialParameters(*transform_, layout_, seed); };
    EXPECT_EQ(initial(3), initial(3));
    EXPECT_NE(initial(3), initial(4));
  });
}

// Outside the masks, written down from the degrees, both the initial parameters and every gradient
// are zero; inside, every parameter has a say.
TEST_P(MadeTest, NothingStandsOutsideTheMasks) {
  ForEachMade([&] {
    const std::vector<double> initial = InitialParameters(*transform_, layout_, 3);
    const Functional f{RandomRows(random_, kRows, spec_.dim), std::vector<double>(kRows, 1.0)};
    const std::vector<double> gradient =
        Adjoint(kernels(), *transform_, Direction::kForward, RandomPoint(kRows), f).parameters;
    const bool never_idle = std::get<Activation>(GetParam()) != Activation::kRelu;
    std::vector<int> before(spec_.dim);  // degrees of the inputs of a layer
    std::iota(before.begin(), before.end(), 1);
    for (std::size_t l = 0; l <= spec_.hidden_sizes.size(); ++l) {
      const bool output = l == spec_.hidden_sizes.size();
      const std::string name =
          output ? "made.output.weight" : "made.hidden." + std::to_string(l) + ".weight";
      const Slice slice = Find(name);
      const std::vector<int> degrees =
          output ? std::vector<int>() : Made::Degrees(slice.rows, spec_.dim, spec_.context_dim);
      for (int o = 0; o < slice.rows; ++o) {
        for (int i = 0; i < slice.ld; ++i) {
          const std::size_t at = slice.offset + static_cast<std::size_t>(o) * slice.ld + i;
          if (i < slice.cols && before[i] <= (output ? o / 2 : degrees[o])) {
            EXPECT_TRUE(gradient[at] != 0.0 || !never_idle) << name << " " << o << " " << i;
          } else {
            EXPECT_EQ(initial[at], 0.0) << name << " " << o << " " << i;
            EXPECT_EQ(gradient[at], 0.0) << name << " " << o << " " << i;
          }
        }
      }
      before = degrees;
    }
  });
}

std::string Name(const testing::TestParamInfo<Case>& tested) {
  static constexpr const char* kNames[] = {"Identity", "Relu", "Tanh", "Elu"};
  return std::string(kNames[static_cast<int>(std::get<Activation>(tested.param))]) + "_" +
         std::get<Engine>(tested.param).name;
}

INSTANTIATE_TEST_SUITE_P(All, MadeTest,
                         testing::Combine(testing::Values(Activation::kIdentity, Activation::kRelu,
                                                          Activation::kTanh, Activation::kElu),
                                          testing::ValuesIn(AllEngines())),
                         Name);

}  // namespace
}  // namespace millrace
