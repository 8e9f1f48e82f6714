// SPDX-License-Identifier: Apache-2.0
// The laws every transform obeys (core/transforms/transform.h), on every kind of kernels. What is
// exact comes from central differences in double through the plain kernels, whatever kernels are
// under test.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "tests/core/transforms/law_cases.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

constexpr int kRowCounts[] = {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65};
constexpr int kMostRows = 65;
constexpr Direction kDirections[] = {Direction::kForward, Direction::kInverse};
constexpr double kStep = 1e-6;

// The real number x where `interval` has a place for it: a number that floats hold.
float Into(Interval interval, double x) {
  if (interval == kAllReals) return static_cast<float>(x);
  if (std::isinf(interval.high)) return static_cast<float>(interval.low + std::exp(x));
  return static_cast<float>(interval.low + (interval.high - interval.low) / (1.0 + std::exp(-x)));
}

class LawsTest : public testing::TestWithParam<LawCase> {
 protected:
  // Makes the transform for rows of `dim` columns, with parameters.
  void Use(int dim) {
    dim_ = dim;
    layout_ = {};
    transform_ = GetParam().factory.make(dim, layout_);
    trained_ = RandomParameters(*transform_, layout_, dim, context_dim(), 5);
    initial_ = InitialParameters(*transform_, layout_, 6);
  }

  int dim() const { return dim_; }
  int context_dim() const { return GetParam().factory.context_dim; }
  const Engine& engine() const { return GetParam().engine; }

  // What `direction` is meant for.
  Interval DomainOf(Direction direction) const {
    const Factory& factory = GetParam().factory;
    return direction == Direction::kForward ? factory.domain : factory.range;
  }
  Point RandomPoint(Direction direction, const std::vector<double>& parameters, int rows) {
    Rows<double> values = RandomRows(random_, rows, dim(), GetParam().factory.scale);
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < dim(); ++c) values(r, c) = Into(DomainOf(direction), values(r, c));
    return {parameters, std::move(values), RandomRows(random_, rows, context_dim())};
  }
  Functional RandomFunctional(int rows) {
    const Rows<double> w = RandomRows(random_, rows, 1);
    return {RandomRows(random_, rows, dim()), {w.data(), w.data() + rows}};
  }

  Image Run(Direction direction, const Point& point) const {
    return Apply(*engine().kernels, *transform_, direction, point);
  }
  Derivatives RunAdjoint(Direction direction, const Point& point, const Functional& f) const {
    return WithoutStatistics(Adjoint(*engine().kernels, *transform_, direction, point, f));
  }
  // What adjoints add for running statistics is no gradient.
  Derivatives WithoutStatistics(Derivatives derivatives) const {
    for (const ParameterLayout::Entry& entry : layout_.entries())
      if (entry.statistic)
        std::fill_n(derivatives.parameters.data() + entry.slice.offset, entry.slice.extent(), 0.0);
    return derivatives;
  }
  Image Exact(Direction direction, const Point& point) const {
    return Apply(*PlainEngine().kernels, *transform_, direction, point);
  }

  int dim_ = 0;
  ParameterLayout layout_;
  std::unique_ptr<const Transform> transform_;
  std::mt19937_64 random_{7};
  std::vector<double> trained_;
  std::vector<double> initial_;
};

Direction Opposite(Direction direction) {
  return direction == Direction::kForward ? Direction::kInverse : Direction::kForward;
}

double Scale(std::span<const double> values) { return std::max(1.0, MaxAbs(values)); }

TEST_P(LawsTest, InverseUndoesForward) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    for (const auto& parameters : {initial_, trained_}) {
      for (const int rows : kRowCounts) {
        for (const Direction direction : kDirections) {
          const Point point = RandomPoint(direction, parameters, rows);
          const Image there = Run(direction, point);
          const Image back = Run(Opposite(direction), {parameters, there.rows, point.context});
          const double scale = std::max(Scale(Values(point.rows)), Scale(Values(there.rows)));
          ASSERT_LE(MaxAbsDifference(Values(back.rows), Values(point.rows)),
                    engine().value_tolerance * scale)
              << rows << " rows";
          for (int r = 0; r < rows; ++r)
            ASSERT_NEAR(there.log_det[r] + back.log_det[r], 0.0, engine().value_tolerance * dim());
        }
      }
    }
  }
}

// Of row `row` of the image, in double.
Rows<double> Jacobian(const Transform& transform, Direction direction, const Point& point,
                      int row) {
  const int dim = point.rows.cols();
  Point moved{point.parameters, Rows<double>(2 * dim, dim),
              Rows<double>(2 * dim, point.context.cols())};
  for (int k = 0; k < 2 * dim; ++k) {
    for (int c = 0; c < dim; ++c) moved.rows(k, c) = point.rows(row, c);
    for (int c = 0; c < point.context.cols(); ++c) moved.context(k, c) = point.context(row, c);
    moved.rows(k, k / 2) += k % 2 == 0 ? kStep : -kStep;
  }
  const Image image = Apply(*PlainEngine().kernels, transform, direction, moved);
  Rows<double> jacobian(dim, dim);
  for (int i = 0; i < dim; ++i)
    for (int j = 0; j < dim; ++j)
      jacobian(i, j) = (image.rows(2 * j, i) - image.rows(2 * j + 1, i)) / (2 * kStep);
  return jacobian;
}

TEST_P(LawsTest, LogDetIsThatOfTheJacobian) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    for (const auto& parameters : {initial_, trained_}) {
      for (const Direction direction : kDirections) {
        const Point point = RandomPoint(direction, parameters, 3);
        const Image image = Run(direction, point);
        for (int r = 0; r < 3; ++r) {
          const double exact = LogAbsDeterminant(Jacobian(*transform_, direction, point, r));
          EXPECT_NEAR(image.log_det[r], exact,
                      std::max(engine().value_tolerance, 1e-6) * std::max(1.0, std::fabs(exact)));
        }
      }
    }
  }
}

TEST_P(LawsTest, IsTriangularWhereItSaysSo) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    const Point point = RandomPoint(Direction::kForward, trained_, 1);
    const Rows<double> jacobian = Jacobian(*transform_, Direction::kForward, point, 0);
    bool triangular = true;
    for (int i = 0; i < dim(); ++i)
      for (int j = i + 1; j < dim(); ++j) triangular = triangular && jacobian(i, j) == 0.0;
    EXPECT_EQ(transform_->IsTriangular(AsFloats(trained_).span()) || dim() == 1, triangular);
  }
}

// Backward and InverseBackward against differences of <u, rows> + <w, log_det>, for up to `kProbes`
// of the numbers in each parameter, of the inputs and of the context.
TEST_P(LawsTest, BackwardIsTheAdjoint) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    constexpr int kRowsHere = 5;
    constexpr std::size_t kProbes = 24;
    for (const auto& parameters : {initial_, trained_}) {
      for (const Direction direction : kDirections) {
        Point point = RandomPoint(direction, parameters, kRowsHere);
        const Functional f = RandomFunctional(kRowsHere);
        const Derivatives actual = RunAdjoint(direction, point, f);
        const auto probe = [&](const char* what, double* variables, const double* derivatives,
                               std::size_t begin, std::size_t size, double largest) {
          std::vector<std::size_t> chosen(size);
          std::iota(chosen.begin(), chosen.end(), begin);
          std::shuffle(chosen.begin(), chosen.end(), random_);
          chosen.resize(std::min(size, kProbes));
          for (const std::size_t i : chosen) {
            const double exact =
                CentralDifference(variables[i], kStep, [&] { return f(Exact(direction, point)); });
            ASSERT_NEAR(derivatives[i], exact, engine().gradient_tolerance * largest)
                << what << " " << i << (direction == Direction::kForward ? " forward" : " inverse");
          }
        };
        probe("input", point.rows.data(), actual.rows.data(), 0, Values(point.rows).size(),
              Scale(Values(actual.rows)));
        probe("context", point.context.data(), actual.context.data(), 0,
              Values(point.context).size(), Scale(Values(actual.context)));
        for (const auto& [name, slice, decays, statistic, gain] : layout_.entries())
          if (!statistic)
            probe(name.c_str(), point.parameters.data(), actual.parameters.data(), slice.offset,
                  slice.extent(), Scale(actual.parameters));
      }
    }
  }
}

// Splitting a batch, or changing the order of its rows, changes no bit of a row's results.
TEST_P(LawsTest, RowsDoNotDependOnTheirNeighbours) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    const Functional f = RandomFunctional(kMostRows);
    const auto take = [](const Rows<double>& rows, const std::vector<int>& which) {
      Rows<double> taken(static_cast<int>(which.size()), rows.cols());
      for (std::size_t i = 0; i < which.size(); ++i)
        for (int c = 0; c < rows.cols(); ++c) taken(i, c) = rows(which[i], c);
      return taken;
    };
    std::vector<std::vector<int>> selections;
    for (const int rows : kRowCounts) {
      std::vector<int> order(kMostRows);
      std::iota(order.begin(), order.end(), 0);
      selections.emplace_back(order.begin(), order.begin() + rows);
      std::shuffle(order.begin(), order.end(), random_);
      selections.emplace_back(order.begin(), order.begin() + rows);
    }
    for (const Direction direction : kDirections) {
      const Point all = RandomPoint(direction, trained_, kMostRows);
      const Image image = Run(direction, all);
      const Derivatives adjoint = RunAdjoint(direction, all, f);
      for (const std::vector<int>& which : selections) {
        const Point part{trained_, take(all.rows, which), take(all.context, which)};
        Functional part_f{take(f.u, which), {}};
        for (const int r : which) part_f.w.push_back(f.w[r]);
        const Image part_image = Run(direction, part);
        const Derivatives part_adjoint = RunAdjoint(direction, part, part_f);
        for (std::size_t i = 0; i < which.size(); ++i) {
          ASSERT_EQ(part_image.log_det[i], image.log_det[which[i]]) << which.size() << " rows";
          for (int c = 0; c < dim(); ++c) {
            ASSERT_EQ(part_image.rows(i, c), image.rows(which[i], c)) << which.size() << " rows";
            ASSERT_EQ(part_adjoint.rows(i, c), adjoint.rows(which[i], c))
                << which.size() << " rows";
          }
          for (int c = 0; c < context_dim(); ++c)
            ASSERT_EQ(part_adjoint.context(i, c), adjoint.context(which[i], c));
        }
      }
    }
  }
}

TEST_P(LawsTest, AdjointOfNothingIsZero) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    const Functional zero{Rows<double>(17, dim()), std::vector<double>(17, 0.0)};
    for (const Direction direction : kDirections) {
      const Point point = RandomPoint(direction, trained_, 17);
      const Derivatives none = RunAdjoint(direction, point, zero);
      EXPECT_EQ(MaxAbs(none.parameters), 0.0);
      EXPECT_EQ(MaxAbs(Values(none.rows)), 0.0);
      EXPECT_EQ(MaxAbs(Values(none.context)), 0.0);
    }
  }
}

TEST_P(LawsTest, AgreesWithPlainKernels) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    for (const auto& parameters : {initial_, trained_}) {
      const Functional f = RandomFunctional(kMostRows);
      for (const Direction direction : kDirections) {
        const Point point = RandomPoint(direction, parameters, kMostRows);
        const Image image = Run(direction, point);
        const Image exact = Exact(direction, point);
        EXPECT_LE(MaxAbsDifference(Values(image.rows), Values(exact.rows)),
                  engine().value_tolerance * Scale(Values(exact.rows)));
        EXPECT_LE(MaxAbsDifference(image.log_det, exact.log_det),
                  engine().value_tolerance * Scale(exact.log_det));
        const Derivatives adjoint = RunAdjoint(direction, point, f);
        const Derivatives exact_adjoint =
            WithoutStatistics(Adjoint(*PlainEngine().kernels, *transform_, direction, point, f));
        EXPECT_LE(MaxAbsDifference(Values(adjoint.rows), Values(exact_adjoint.rows)),
                  engine().gradient_tolerance * Scale(Values(exact_adjoint.rows)));
        EXPECT_LE(MaxAbsDifference(Values(adjoint.context), Values(exact_adjoint.context)),
                  engine().gradient_tolerance * Scale(Values(exact_adjoint.context)));
        EXPECT_LE(MaxAbsDifference(adjoint.parameters, exact_adjoint.parameters),
                  engine().gradient_tolerance * Scale(exact_adjoint.parameters));
      }
    }
  }
}

// Finite for every row of the domain within 1e6, zeros and subnormals among them, whatever the
// parameters.
TEST_P(LawsTest, ExtremeInputsStayFinite) {
  for (const int columns : GetParam().factory.dims) {
    SCOPED_TRACE(columns);
    Use(columns);
    constexpr double kExtremes[] = {1e6,           -1e6,  0.0,     FLT_TRUE_MIN,
                                    -FLT_TRUE_MIN, 1e-39, FLT_MIN, 1.0};
    constexpr int kRowsHere = 32;
    Point point = RandomPoint(Direction::kForward, trained_, kRowsHere);
    const Interval domain = DomainOf(Direction::kForward);
    std::uniform_int_distribution<int> pick(0, std::size(kExtremes) - 1);
    for (int r = 0; r < kRowsHere; ++r)
      for (int c = 0; c < dim(); ++c)
        point.rows(r, c) = std::clamp(
            r < static_cast<int>(std::size(kExtremes)) ? kExtremes[r] : kExtremes[pick(random_)],
            domain.low, domain.high);
    const auto finite = [](std::span<const double> values) {
      return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
    };
    for (const auto& parameters : {initial_, trained_}) {
      point.parameters = parameters;
      const Image image = Run(Direction::kForward, point);
      EXPECT_TRUE(finite(Values(image.rows)) && finite(image.log_det));
      const Derivatives adjoint =
          RunAdjoint(Direction::kForward, point, RandomFunctional(kRowsHere));
      EXPECT_TRUE(finite(Values(adjoint.rows)) && finite(adjoint.parameters));
    }
    point.parameters = initial_;
    const Image image = Run(Direction::kForward, point);
    const Image back = Run(Direction::kInverse, {initial_, image.rows, point.context});
    EXPECT_TRUE(finite(Values(back.rows)) && finite(back.log_det));
    // Within a bounded range they are too close together for floats. Where columns are mixed,
    // rounding is that of the length of a row.
    if (domain == kAllReals && DomainOf(Direction::kInverse) == kAllReals) {
      EXPECT_LE(MaxAbsDifference(Values(back.rows), Values(point.rows)),
                1e6 * std::sqrt(dim()) * 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LawsTest, testing::ValuesIn(LawCases()),
                         [](const auto& tested) { return tested.param.name(); });

}  // namespace
}  // namespace millrace
