// SPDX-License-Identifier: Apache-2.0
// Each kernel of the processor beside the same of the plain kernels: on ranges, shapes and starts
// that transforms may ask for, whether or not one does today.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "core/exec/arena.h"
#include "tests/support/engines.h"
#include "tests/support/host_block.h"
#include "tests/support/numeric.h"

namespace millrace {
namespace {

constexpr int kRowCounts[] = {0, 1, 15, 16, 17, 64, 65};
constexpr double kTolerance = 2e-5;

// A dense layer with a staircase, its parameters and one block on each side.
struct Problem {
  explicit Problem(int rows, int inputs = 37, int outputs = 29) : random(rows + 1) {
    layer.weight = layout.Add("w", outputs, inputs, true);
    layer.bias = layout.Add("b", 1, outputs, false);
    for (int o = 0; o < outputs; ++o) extent.push_back(o * inputs / outputs);
    layer.extent = extent;
    parameters.assign(layout.size(), 0.0);
    for (int o = 0; o < outputs; ++o) {
      parameters[layer.bias.offset + o] = RandomNormal(random);
      for (int i = 0; i < extent[o]; ++i)
        parameters[layer.weight.offset + static_cast<std::size_t>(o) * layer.weight.ld + i] =
            RandomNormal(random, 0.3);
    }
    in = RandomRows(random, rows, inputs);
    out = RandomRows(random, rows, outputs);
  }

  std::mt19937_64 random;
  ParameterLayout layout;
  DenseLayer layer;
  std::vector<int> extent;
  std::vector<double> parameters;
  Rows<double> in;
  Rows<double> out;
};

// What `task(kernels, arena)` gives on the processor must be what it gives in double.
template <typename Task>
void ExpectSame(const Task& task, double tolerance = kTolerance) {
  Arena plain_arena(sizeof(double));
  Arena cpu_arena(sizeof(float));
  const std::vector<double> expected = task(*PlainEngine().kernels, plain_arena);
  const std::vector<double> actual = task(*CpuEngine().kernels, cpu_arena);
  EXPECT_LE(MaxAbsDifference(actual, expected), tolerance * std::max(1.0, MaxAbs(expected)));
}

std::vector<double> Read(const Kernels& kernels, ConstMatrix m) {
  const Rows<double> rows = ReadBlock(kernels, m);
  const auto values = Values(rows);
  return {values.begin(), values.end()};
}

TEST(KernelsTest, LoadAndStoreTranspose) {
  std::mt19937_64 random(1);
  for (const int rows : kRowCounts) {
    for (const int cols : {1, 2, 3, 4, 5, 8, 43}) {
      std::vector<float> host(rows * cols), back(rows * cols);
      for (float& v : host) v = static_cast<float>(RandomNormal(random));
      for (const Engine& engine : AllEngines()) {
        Arena arena(engine.kernels->element_size());
        const Matrix block = arena.NewMatrix(rows, cols);
        engine.kernels->Load(host.data(), block);
        const Rows<double> read = ReadBlock(*engine.kernels, block);
        for (int i = 0; i < rows * cols; ++i) ASSERT_EQ(read.data()[i], host[i]);
        engine.kernels->Store(block, back.data());
        ASSERT_EQ(back, host);
      }
    }
  }
}

TEST(KernelsTest, ElementwiseAndMoves) {
  std::mt19937_64 random(2);
  for (const int rows : kRowCounts) {
    const Rows<double> a = RandomRows(random, rows, 7);
    const Rows<double> b = RandomRows(random, rows, 7);
    std::vector<int> order = {3, 0, 6, 1, 5, 2, 4};
    ExpectSame([&](const Kernels& kernels, Arena& arena) {
      const Matrix x = NewBlock(kernels, arena, a.view());
      const Matrix y = NewBlock(kernels, arena, b.view());
      const Matrix gathered = arena.NewMatrix(rows, 7);
      kernels.Add(x, y);
      kernels.Negate(y);
      kernels.Gather(y, order, gathered);
      kernels.Copy(gathered.Columns(1, 3), x.Columns(4, 3));
      kernels.Fill(2.5, gathered.Columns(0, 1));
      kernels.Scatter(gathered, order, y);
      std::vector<double> all = Read(kernels, x);
      for (const double v : Read(kernels, y)) all.push_back(v);
      return all;
    });
  }
}

TEST(KernelsTest, DenseOverRanges) {
  for (const int rows : kRowCounts) {
    const Problem p(rows);
    for (const DenseStart start : {DenseStart::kBias, DenseStart::kZero, DenseStart::kAccumulate}) {
      for (const DenseRange range :
           {DenseRange{0, 29, 0, 37}, DenseRange{5, 18, 0, 37}, DenseRange{0, 29, 11, 20},
            DenseRange{7, 8, 3, 4}, DenseRange{4, 4, 0, 37}, DenseRange{2, 9, 30, 37}}) {
        for (const Activation activation :
             {Activation::kIdentity, Activation::kRelu, Activation::kTanh, Activation::kElu}) {
          ExpectSame([&](const Kernels& kernels, Arena& arena) {
            const HostParameters weights(kernels, p.parameters);
            const Matrix out = NewBlock(kernels, arena, p.out.view());
            kernels.Dense(p.layer, range, weights.weights(), NewBlock(kernels, arena, p.in.view()),
                          start, activation, out);
            return Read(kernels, out);
          });
        }
      }
    }
  }
}

TEST(KernelsTest, DenseInputAdjointOverRanges) {
  for (const int rows : kRowCounts) {
    const Problem p(rows);
    for (const bool accumulate : {false, true}) {
      for (const DenseRange range : {DenseRange{0, 29, 0, 37}, DenseRange{5, 18, 0, 37},
                                     DenseRange{0, 29, 11, 20}, DenseRange{7, 8, 3, 4}}) {
        ExpectSame([&](const Kernels& kernels, Arena& arena) {
          const HostParameters weights(kernels, p.parameters);
          const Matrix in_bar = NewBlock(kernels, arena, p.in.view());
          kernels.DenseInputAdjoint(p.layer, range, weights.weights(),
                                    NewBlock(kernels, arena, p.out.view()), accumulate, in_bar);
          return Read(kernels, in_bar);
        });
      }
    }
  }
}

// Gradients are added to, with a sign, and what the mask takes away stays zero.
TEST(KernelsTest, DenseWeightAdjointAdds) {
  for (const int rows : kRowCounts) {
    for (const bool masked : {false, true}) {
      Problem p(rows);
      if (!masked) p.layer.extent = {};
      ExpectSame([&](const Kernels& kernels, Arena& arena) {
        HostParameters gradients(kernels, p.parameters);
        const Matrix in = NewBlock(kernels, arena, p.in.view());
        const Matrix out_bar = NewBlock(kernels, arena, p.out.view());
        kernels.DenseWeightAdjoint(p.layer, in, out_bar, 1.0f, arena, gradients.gradients());
        kernels.DenseWeightAdjoint(p.layer, in, out_bar, -1.0f, arena, gradients.gradients());
        kernels.DenseWeightAdjoint(p.layer, in, out_bar, -1.0f, arena, gradients.gradients());
        return gradients.values();
      });
    }
  }
}

TEST(KernelsTest, ActivationsAndTheirAdjoints) {
  for (const int rows : kRowCounts) {
    const Problem p(rows);
    for (const Activation activation :
         {Activation::kIdentity, Activation::kRelu, Activation::kTanh, Activation::kElu}) {
      ExpectSame([&](const Kernels& kernels, Arena& arena) {
        const Matrix value = NewBlock(kernels, arena, p.in.view());
        kernels.Activate(activation, value);
        const Matrix bar = NewBlock(kernels, arena, p.in.view());
        kernels.ActivationAdjoint(activation, value, bar);
        std::vector<double> all = Read(kernels, value);
        for (const double v : Read(kernels, bar)) all.push_back(v);
        return all;
      });
    }
  }
}

TEST(KernelsTest, BroadcastAndItsAdjoint) {
  for (const int rows : kRowCounts) {
    const Problem p(rows);
    ExpectSame([&](const Kernels& kernels, Arena& arena) {
      HostParameters parameters(kernels, p.parameters);
      const Matrix theta = arena.NewMatrix(rows, p.layer.bias.cols);
      kernels.Broadcast(p.layer.bias, parameters.weights(), theta);
      std::vector<double> all = Read(kernels, theta);
      kernels.BroadcastAdjoint(p.layer.bias, NewBlock(kernels, arena, p.out.view()), -1.0f,
                               parameters.gradients());
      for (const double v : parameters.values()) all.push_back(v);
      return all;
    });
  }
}

TEST(KernelsTest, LogTailsAndTheirAdjoints) {
  constexpr ScalarBijection kLogTails{ScalarBijection::Kind::kLogTails};
  std::mt19937_64 random(3);
  for (const int rows : kRowCounts) {
    for (const double scale : {1.0, 6.0, 300.0}) {
      const Rows<double> values = RandomRows(random, rows, 5, scale);
      const Rows<double> bars = RandomRows(random, rows, 5);
      const std::vector<double> weight(rows, 0.7);
      ExpectSame([&](const Kernels& kernels, Arena& arena) {
        const Vector log_det = NewVector(arena, weight);
        const Matrix x = NewBlock(kernels, arena, values.view());
        const Matrix adjoint = NewBlock(kernels, arena, bars.view());
        const Matrix solved = NewBlock(kernels, arena, bars.view());
        kernels.BijectionAdjoint(kLogTails, {}, x, NewVector(arena, weight), adjoint, {});
        kernels.BijectionAdjointSolve(kLogTails, {}, x, NewVector(arena, weight), solved, {});
        kernels.BijectionForward(kLogTails, {}, x, log_det);
        std::vector<double> all = Read(kernels, x);
        for (const Matrix& bar : {adjoint, solved})
          for (const double v : Read(kernels, bar)) all.push_back(v);
        kernels.BijectionInverse(kLogTails, {}, x, log_det);
        for (const double v : Read(kernels, x)) all.push_back(v);
        all.insert(all.end(), log_det.data, log_det.data + rows);
        return all;
      });
    }
  }
}

// What has overflowed stays so, on every kind of kernels: its density is 0, not a number.
TEST(KernelsTest, LogTailsOfWhatIsNotFinite) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Rows<double> values(3, 1);
  values(0, 0) = kInfinity, values(1, 0) = -kInfinity, values(2, 0) = std::nan("");
  for (const Engine& engine : AllEngines()) {
    Arena arena(engine.kernels->element_size());
    const Matrix x = NewBlock(*engine.kernels, arena, values.view());
    const std::vector<double> zeros(3, 0.0);
    const Vector log_det = NewVector(arena, zeros);
    engine.kernels->BijectionForward({ScalarBijection::Kind::kLogTails}, {}, x, log_det);
    const std::vector<double> z = Read(*engine.kernels, x);
    EXPECT_EQ(z[0], kInfinity) << engine.name;
    EXPECT_EQ(z[1], -kInfinity) << engine.name;
    EXPECT_TRUE(std::isnan(z[2])) << engine.name;
    EXPECT_EQ(log_det.data[0], -kInfinity) << engine.name;
  }
}

TEST(KernelsTest, BaseLogDensityAndItsAdjoint) {
  for (const int rows : kRowCounts) {
    const Problem p(rows);
    ExpectSame([&](const Kernels& kernels, Arena& arena) {
      const std::vector<double> start(rows, 0.5);
      const Vector log_p = NewVector(arena, start);
      const Matrix z = NewBlock(kernels, arena, p.in.view());
      kernels.BaseLogDensity({}, {}, z, arena, log_p, {});
      std::vector<double> all(log_p.data, log_p.data + rows);
      // In place, as flows use it.
      kernels.BaseLogDensityAdjoint({}, {}, z, NewVector(arena, start), arena, z, {});
      for (const double v : Read(kernels, z)) all.push_back(v);
      return all;
    });
  }
}

std::vector<SampleKey> KeysFrom(std::uint64_t seed, std::uint64_t first, int rows,
                                double temperature = 1.0) {
  std::vector<SampleKey> keys;
  for (int r = 0; r < rows; ++r) keys.push_back({seed, first + r, temperature});
  return keys;
}

TEST(KernelsTest, SampleBaseAgrees) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1} << 40}) {
    for (const std::uint64_t first : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 7}) {
      ExpectSame(
          [&](const Kernels& kernels, Arena& arena) {
            const Matrix z = arena.NewMatrix(65, 7);
            kernels.SampleBase({}, {}, KeysFrom(seed, first, 65, 1.5), z);
            return Read(kernels, z);
          },
          1e-3);  // float words near 1 have few bits left in the radius
    }
  }
}

TEST(KernelsTest, SamplesDependOnSeedRowAndColumnOnly) {
  for (const Engine& engine : AllEngines()) {
    Arena arena(engine.kernels->element_size());
    const auto draw = [&](std::uint64_t first, int rows, int cols) {
      const Matrix z = arena.NewMatrix(rows, cols);
      engine.kernels->SampleBase({}, {}, KeysFrom(3, first, rows), z);
      return ReadBlock(*engine.kernels, z);
    };
    const Rows<double> all = draw(100, 70, 9);
    for (const int rows : {1, 2, 15, 16, 33})
      for (const int first : {0, 1, 13, 37})
        for (const int cols : {1, 2, 3, 4, 5, 9}) {
          const Rows<double> part = draw(100 + first, rows, cols);
          for (int r = 0; r < rows; ++r)
            for (int c = 0; c < cols; ++c) ASSERT_EQ(part(r, c), all(first + r, c));
        }
  }
}

}  // namespace
}  // namespace millrace
