// SPDX-License-Identifier: Apache-2.0
// The formulas of bijections of whole rows: adjoints against dual numbers, inverses, and parameters
// of any size.
#include "core/math/vector_bijection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/math/planar.h"
#include "core/math/radial.h"
#include "core/math/rotation.h"
#include "core/math/sylvester.h"
#include "tests/support/dual.h"
#include "tests/support/numeric.h"

namespace millrace {
namespace {

// test(formula, dim, name) for every formula in several sizes.
template <typename Test>
void ForEachMap(const Test& test) {
  for (const int dim : {1, 2, 5}) {
    test(PlanarMap(dim), dim, "planar");
    test(RadialMap{dim}, dim, "radial");
    for (const int width : {1, 2, 5})
      if (width <= dim) test(SylvesterMap(dim, width), dim, "sylvester");
    if (dim > 1) test(RotationMap{dim - 1, 0}, dim, "rotation");
  }
}

template <typename To, typename From>
std::vector<To> As(const std::vector<From>& values) {
  std::vector<To> result;
  for (const From& v : values) result.push_back(To(v));
  return result;
}

template <typename T, typename F>
std::vector<T> Prepare(const F& f, const std::vector<T>& theta) {
  std::vector<T> p(f.prepared()), work(f.workspace());
  f.Prepare(theta.data(), p.data(), work.data());
  return p;
}

template <typename T>
struct Point {
  std::vector<T> row;
  T log_det;
};

template <typename T, typename F>
Point<T> Forward(const F& f, const std::vector<T>& theta, std::vector<T> x) {
  const std::vector<T> p = Prepare(f, theta);
  const T log_det = f.Forward(p.data(), ArrayRow<T>{x.data()});
  return {x, log_det};
}

template <typename T, typename F>
Point<T> Inverse(const F& f, const std::vector<T>& theta, std::vector<T> z) {
  const std::vector<T> p = Prepare(f, theta);
  const T log_det = f.Inverse(p.data(), ArrayRow<T>{z.data()});
  return {z, log_det};
}

std::vector<double> Normals(std::mt19937_64& random, int size, double scale) {
  std::vector<double> values(size);
  for (double& v : values) v = RandomNormal(random, scale);
  return values;
}

// Column j: the derivatives of z and, below, of log_det by x_j.
template <typename F>
Rows<double> Derivatives(const F& f, const std::vector<double>& theta,
                         const std::vector<double>& x) {
  const int dim = static_cast<int>(x.size());
  Rows<double> jacobian(dim + 1, dim);
  for (int j = 0; j < dim; ++j) {
    std::vector<Dual> variable = As<Dual>(x);
    variable[j].slope = 1.0;
    const Point<Dual> z = Forward(f, As<Dual>(theta), variable);
    for (int i = 0; i < dim; ++i) jacobian(i, j) = z.row[i].slope;
    jacobian(dim, j) = z.log_det.slope;
  }
  return jacobian;
}

double Dot(const std::vector<double>& a, const std::vector<Dual>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i].slope;
  return sum;
}

TEST(VectorBijectionTest, LogDetIsThatOfTheJacobian) {
  std::mt19937_64 random(1);
  ForEachMap([&](const auto& f, int dim, const char* name) {
    for (const double scale : {0.3, 3.0}) {
      const std::vector<double> theta = Normals(random, f.parameters(), scale);
      const std::vector<double> x = Normals(random, dim, 1.0);
      const Rows<double> all = Derivatives(f, theta, x);
      Rows<double> jacobian(dim, dim);
      for (int i = 0; i < dim; ++i)
        for (int j = 0; j < dim; ++j) jacobian(i, j) = all(i, j);
      EXPECT_NEAR(Forward(f, theta, x).log_det, LogAbsDeterminant(jacobian), 1e-9)
          << name << " " << dim;
    }
  });
}

TEST(VectorBijectionTest, InverseUndoesForward) {
  std::mt19937_64 random(2);
  ForEachMap([&](const auto& f, int dim, const char* name) {
    for (const double scale : {0.3, 1.0, 3.0, 30.0}) {
      for (int i = 0; i < 50; ++i) {
        const std::vector<double> theta = Normals(random, f.parameters(), scale);
        const std::vector<double> x = Normals(random, dim, 3.0);
        const Point<double> z = Forward(f, theta, x);
        const Point<double> back = Inverse(f, theta, z.row);
        // A slope of 1/1000 costs three digits.
        EXPECT_LE(MaxAbsDifference(back.row, x), 1e-9 * std::max(1.0, MaxAbs(z.row)))
            << name << " " << dim << " " << scale;
        EXPECT_NEAR(back.log_det, -z.log_det, 1e-8) << name << " " << dim << " " << scale;
      }
    }
  });
}

TEST(VectorBijectionTest, FloatsRoundTrip) {
  std::mt19937_64 random(3);
  ForEachMap([&](const auto& f, int dim, const char* name) {
    for (int i = 0; i < 200; ++i) {
      const std::vector<float> p = As<float>(Prepare(f, Normals(random, f.parameters(), 0.7)));
      const std::vector<double> x = Normals(random, dim, 3.0);
      std::vector<float> z = As<float>(x);
      const ArrayRow<float> row{z.data()};
      const float log_det = f.Forward(p.data(), row);
      EXPECT_NEAR(f.Inverse(p.data(), row), -log_det, 1e-4) << name << " " << dim;
      EXPECT_LE(MaxAbsDifference(As<double>(z), x), 1e-4) << name << " " << dim;
    }
  });
}

TEST(VectorBijectionTest, AdjointAgreesWithDualNumbers) {
  std::mt19937_64 random(4);
  ForEachMap([&](const auto& f, int dim, const char* name) {
    for (const double scale : {0.3, 1.0, 3.0}) {
      const std::vector<double> theta = Normals(random, f.parameters(), scale);
      std::vector<double> x = Normals(random, dim, 1.0);
      const std::vector<double> z_bar = Normals(random, dim, 1.0);
      const double log_det_bar = RandomNormal(random);

      std::vector<double> p(f.prepared()), work(f.workspace());
      f.Prepare(theta.data(), p.data(), work.data());
      std::vector<double> grad = z_bar, p_bar(f.prepared()), theta_bar(f.parameters());
      f.Adjoint(p.data(), ArrayRow<double>{x.data()}, ArrayRow<double>{grad.data()}, log_det_bar,
                p_bar.data());
      f.PrepareAdjoint(theta.data(), p.data(), work.data(), p_bar.data(), theta_bar.data());

      const Rows<double> all = Derivatives(f, theta, x);
      const double size = std::max({1.0, MaxAbs(grad), MaxAbs(theta_bar)});
      for (int j = 0; j < dim; ++j) {
        double exact = log_det_bar * all(dim, j);
        for (int i = 0; i < dim; ++i) exact += z_bar[i] * all(i, j);
        EXPECT_NEAR(grad[j], exact, 1e-10 * size) << name << " " << dim << ", x " << j;
      }
      for (int k = 0; k < f.parameters(); ++k) {
        std::vector<Dual> variable = As<Dual>(theta);
        variable[k].slope = 1.0;
        const Point<Dual> z = Forward(f, variable, As<Dual>(x));
        EXPECT_NEAR(theta_bar[k], Dot(z_bar, z.row) + log_det_bar * z.log_det.slope, 1e-10 * size)
            << name << " " << dim << ", theta " << k;
      }
    }
  });
}

TEST(VectorBijectionTest, TransposedSolveUndoesTheTransposedJacobian) {
  std::mt19937_64 random(5);
  ForEachMap([&](const auto& f, int dim, const char* name) {
    const std::vector<double> theta = Normals(random, f.parameters(), 1.0);
    std::vector<double> x = Normals(random, dim, 1.0);
    const std::vector<double> g = Normals(random, dim, 1.0);
    const std::vector<double> p = Prepare(f, theta);
    std::vector<double> v = g;
    f.TransposedSolve(p.data(), ArrayRow<double>{x.data()}, ArrayRow<double>{v.data()});
    const Rows<double> all = Derivatives(f, theta, x);
    for (int j = 0; j < dim; ++j) {
      double product = 0.0;
      for (int i = 0; i < dim; ++i) product += all(i, j) * v[i];
      EXPECT_NEAR(product, g[j], 1e-9 * std::max(1.0, MaxAbs(v))) << name << " " << dim;
    }
  });
}

// No theta, however large or small, makes a direction collapse or a row infinite.
TEST(VectorBijectionTest, EveryThetaIsInvertible) {
  std::mt19937_64 random(6);
  ForEachMap([&](const auto& f, int dim, const char* name) {
    for (const double scale : {0.0, 1e-30, 1e-16, 1e-8, 1e2, 1e4}) {
      for (int i = 0; i < 100; ++i) {
        const std::vector<float> p = As<float>(Prepare(f, Normals(random, f.parameters(), scale)));
        std::vector<float> x = As<float>(Normals(random, dim, 1.0));
        const ArrayRow<float> row{x.data()};
        const float log_det = f.Forward(p.data(), row);
        EXPECT_GE(log_det, 2 * dim * std::log(5e-4)) << name << " " << scale;
        EXPECT_TRUE(std::isfinite(log_det)) << name << " " << scale;
        for (const float v : x) EXPECT_TRUE(std::isfinite(v)) << name << " " << scale;
        EXPECT_TRUE(std::isfinite(f.Inverse(p.data(), row))) << name << " " << scale;
        for (const float v : x) EXPECT_TRUE(std::isfinite(v)) << name << " " << scale;
        std::vector<float> grad(dim, 1.0f), p_bar(f.prepared());
        f.Adjoint(p.data(), row, ArrayRow<float>{grad.data()}, 1.0f, p_bar.data());
        for (const float v : grad) EXPECT_TRUE(std::isfinite(v)) << name << " " << scale;
        for (const float v : p_bar) EXPECT_TRUE(std::isfinite(v)) << name << " " << scale;
      }
    }
  });
}

// As Rezende and Mohamed write it, w.u would fall below -1 for this theta.
TEST(VectorBijectionTest, PlanarKeepsItsDirectionFromTurningBack) {
  const PlanarMap planar(2);
  const std::vector<double> p = Prepare(planar, std::vector<double>{1.0, 2.0, -3.0, -4.0, 0.5});
  const double product = p[planar.offset_a(0)] * p[planar.offset_b(0)] +
                         p[planar.offset_a(0) + 1] * p[planar.offset_b(0) + 1];
  EXPECT_GE(product, -1.0 + LowRank::kLeastSlope);
  EXPECT_NEAR(product, p[planar.offset_c()], 1e-12);
  // Across w, u is v: (-2, 1) is.
  EXPECT_NEAR(-2 * p[planar.offset_a(0)] + p[planar.offset_a(0) + 1], -2 * -3.0 - 4.0, 1e-12);
}

TEST(VectorBijectionTest, SylvesterColumnsAreOrthonormal) {
  std::mt19937_64 random(7);
  const SylvesterMap sylvester(6, 3);
  std::vector<double> p(sylvester.prepared()), q(sylvester.workspace());
  sylvester.Prepare(Normals(random, sylvester.parameters(), 1.0).data(), p.data(), q.data());
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      double product = 0.0;
      for (int c = 0; c < 6; ++c) product += q[i * 6 + c] * q[j * 6 + c];
      EXPECT_NEAR(product, i == j, 1e-12);
    }
}

TEST(VectorBijectionTest, TanhRootSolvesItsEquation) {
  for (const double s : {-0.999, -0.99, -0.5, -1e-3, 0.0, 1e-3, 1.0, 10.0, 1e3, 1e6}) {
    for (const double a : {0.0, 1e-6, 1e-3, 0.1, 0.5, 1.0, 3.0, 7.0, 30.0, 1e6}) {
      for (const double sign : {1.0, -1.0}) {
        const double y = sign * (a + s * std::tanh(a));
        const double exact = TanhRoot(s, y);
        EXPECT_NEAR(exact + s * std::tanh(exact), y, 1e-14 * (std::fabs(y) + std::fabs(s)))
            << s << " " << a;
        const float found = TanhRoot(static_cast<float>(s), static_cast<float>(y));
        EXPECT_NEAR(found + s * std::tanh(found), y, 4e-7 * (std::fabs(y) + std::fabs(s)))
            << s << " " << a;
      }
    }
  }
}

}  // namespace
}  // namespace millrace
