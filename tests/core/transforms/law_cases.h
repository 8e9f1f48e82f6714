// SPDX-License-Identifier: Apache-2.0
// Every transform the laws are checked for. A new transform adds a line to Factories().
#ifndef MILLRACE_TESTS_CORE_TRANSFORMS_LAW_CASES_H_
#define MILLRACE_TESTS_CORE_TRANSFORMS_LAW_CASES_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/conditioners/convolution_network.h"
#include "core/transforms/act_norm.h"
#include "core/transforms/autoregressive.h"
#include "core/transforms/batch_norm.h"
#include "core/transforms/coupling.h"
#include "core/transforms/elementwise.h"
#include "core/transforms/first_columns.h"
#include "core/transforms/image_columns.h"
#include "core/transforms/inverted.h"
#include "core/transforms/lu_linear.h"
#include "core/transforms/mask.h"
#include "core/transforms/per_pixel.h"
#include "core/transforms/permutation.h"
#include "core/transforms/plu_linear.h"
#include "core/transforms/residual.h"
#include "core/transforms/vector_transform.h"
#include "tests/support/engines.h"

namespace millrace {

using Make = std::function<std::unique_ptr<const Transform>(int dim, ParameterLayout& layout)>;

struct Factory {
  std::string name;
  int context_dim;
  Make make;
  double scale = 1.0;  // of the rows that show what it does
  Interval domain = kAllReals;
  Interval range = kAllReals;
  std::vector<int> dims = {1, 2, 3, 7, 21, 43};
};

inline Factory MakeMaf(std::string name, std::vector<int> hidden_sizes, bool residual,
                       Activation activation, int context_dim, ScalarBijection bijection = {}) {
  return {std::move(name), context_dim, [=](int dim, ParameterLayout& layout) {
            const MadeSpec made{.dim = dim,
                                .context_dim = context_dim,
                                .hidden_sizes = hidden_sizes,
                                .residual = residual,
                                .activation = activation};
            return std::make_unique<Autoregressive>(made, bijection, "made.", layout);
          }};
}

inline Factory MakeInverted(const Factory& factory) {
  return {factory.name + "Inverted",
          factory.context_dim,
          [factory](int dim, ParameterLayout& layout) {
            return std::make_unique<Inverted>(factory.make(dim, layout));
          },
          factory.scale,
          factory.range,
          factory.domain,
          factory.dims};
}

inline Factory MakeElementwise(std::string name, ScalarBijection bijection, double scale = 1.0) {
  return {std::move(name),
          0,
          [bijection](int dim, ParameterLayout& layout) {
            return std::make_unique<Elementwise>(dim, bijection, "elementwise.", layout);
          },
          scale,
          bijection.domain(),
          bijection.range()};
}

inline Factory MakeCoupling(std::string name, Mask mask, bool flip, ScalarBijection bijection,
                            const NetworkSpec& network) {
  return {std::move(name), network.context_dim, [=](int dim, ParameterLayout& layout) {
            return std::make_unique<Coupling>(MovedColumns(mask, flip, /*draw=*/0, dim, 5),
                                              bijection, network, "coupling.", layout);
          }};
}

inline Factory MakeResidual(std::string name, const std::vector<int>& hidden_sizes,
                            int context_dim) {
  return {std::move(name), context_dim, [=](int dim, ParameterLayout& layout) {
            return std::make_unique<Residual>(dim, context_dim, hidden_sizes, "residual.", layout);
          }};
}

inline Factory MakeBatchNorm() {
  return {"BatchNorm", 0, [](int dim, ParameterLayout& layout) {
            return std::make_unique<BatchNorm>(dim, "b.", layout);
          }};
}

inline Factory MakeVector(std::string name, VectorBijection bijection) {
  return {std::move(name), 0, [bijection](int dim, ParameterLayout& layout) {
            return std::make_unique<VectorTransform>(dim, bijection, "vector.", layout);
          }};
}

inline Factory MakeSylvester(std::string name, int width) {
  return {
      std::move(name), 0, [width](int dim, ParameterLayout& layout) {
        const VectorBijection bijection{VectorBijection::Kind::kSylvester, std::min(width, dim)};
        return std::make_unique<VectorTransform>(dim, bijection, "vector.", layout);
      }};
}

// Of the last column and the first; of nothing where there is only one.
inline Factory MakeRotation() {
  return {"Rotation", 0, [](int dim, ParameterLayout& layout) -> std::unique_ptr<const Transform> {
            if (dim == 1) return std::make_unique<Permutation>(Permutation::Reverse(dim));
            const VectorBijection bijection{VectorBijection::Kind::kRotation, 1, dim - 1, 0};
            return std::make_unique<VectorTransform>(dim, bijection, "vector.", layout);
          }};
}

// Every structure with every bijection that a network may parametrise, under plain networks and
// residual ones with a context.
inline std::vector<Factory> ConditionedFactories() {
  using Kind = ScalarBijection::Kind;
  const std::pair<const char*, ScalarBijection> bijections[] = {
      {"Affine", {Kind::kAffine}},
      {"Additive", {Kind::kAdditive}},
      {"Scale", {Kind::kScale}},
      {"ShiftAndCube", {Kind::kShiftAndCube}},
      {"LinearSpline", {Kind::kLinearSpline, 3}},
      {"QuadraticSpline", {Kind::kQuadraticSpline, 3}},
      {"RationalQuadratic", {Kind::kRationalQuadratic, 5, 3.0}},
      {"NormalMixture", {Kind::kNormalMixture, 3}},
      {"InverseAffine", {Kind::kInverseAffine}},
      {"InverseRationalQuadratic", {Kind::kInverseRationalQuadratic, 5, 3.0}},
  };
  std::vector<Factory> factories;
  const auto add = [&](Factory factory, const ScalarBijection& bijection) {
    factory.domain = bijection.domain();
    factory.range = bijection.range();
    factory.dims = {1, 2, 5};
    // Away from where the cube's slope is 0.
    if (bijection.kind == Kind::kShiftAndCube) {
      factory.domain.low = 4.0;
      factory.range.low = 64.0;
    }
    factories.push_back(factory);
    factories.push_back(MakeInverted(factory));
  };
  const std::pair<const char*, Mask> masks[] = {
      {"Half", Mask::kHalf}, {"Alternating", Mask::kAlternating}, {"Random", Mask::kRandom}};
  std::size_t next = 0;  // every mask meets every network; every other bijection has them flipped
  for (const auto& [name, bijection] : bijections) {
    for (const bool residual : {false, true}) {
      for (const int context : {0, 2}) {
        const std::string network =
            std::string(residual ? "Residual" : "Plain") + (context > 0 ? "Conditional" : "");
        const std::vector<int> sizes(residual ? 3 : 2, 9);
        const Activation activation = context > 0 ? Activation::kTanh : Activation::kElu;
        add(MakeMaf(network + "Autoregressive" + name, sizes, residual, activation, context,
                    bijection),
            bijection);
        const auto& [mask_name, mask] = masks[next % 3];
        add(MakeCoupling(network + mask_name + "Coupling" + name, mask, next / 4 % 2 == 1,
                         bijection,
                         {.context_dim = context,
                          .hidden_sizes = sizes,
                          .residual = residual,
                          .activation = activation}),
            bijection);
        ++next;
      }
    }
  }
  return factories;
}

// An image of as many columns: 2 x 2, 3 x 4, and 3 x 3 and 4 x 5 with 2 channels.
inline ImageColumns ImageOf(int dim) {
  if (dim == 4) return {{2, 2}, 1};
  if (dim == 12) return {{3, 4}, 1};
  if (dim == 18) return {{3, 3}, 2};
  return {{4, 5}, 2};
}

inline Factory OfImages(std::string name, std::vector<int> dims, Make make) {
  Factory factory{std::move(name), 0, std::move(make)};
  factory.dims = std::move(dims);
  return factory;
}

inline Factory MakeConvolutionalCoupling(
    std::string name, const std::function<std::vector<bool>(const ImageColumns&)>& mask,
    std::vector<int> dims, ScalarBijection bijection, std::vector<int> hidden_sizes,
    bool residual = false) {
  return OfImages(std::move(name), std::move(dims), [=](int dim, ParameterLayout& layout) {
    const ImageColumns image = ImageOf(dim);
    const ConvolutionNetworkSpec network{.grid = image.grid,
                                         .moved = mask(image),
                                         .parameters = bijection.parameters(),
                                         .hidden_sizes = hidden_sizes,
                                         .residual = residual,
                                         .activation = Activation::kTanh};
    return std::make_unique<Coupling>(
        network.moved, bijection,
        std::make_unique<ConvolutionNetwork>(network, "coupling.", layout));
  });
}

inline std::vector<Factory> ImageFactories() {
  using Kind = ScalarBijection::Kind;
  const auto checkerboard = [](const ImageColumns& image) { return image.Checkerboard(false); };
  const auto channels = [](const ImageColumns& image) { return image.HalfOfChannels(true); };
  const auto edge = [](const ImageColumns& image) { return image.OddEdge(); };
  const auto per_pixel = [](const auto& make) {
    return [make](int dim, ParameterLayout& layout) {
      const ImageColumns image = ImageOf(dim);
      return std::make_unique<PerPixel>(image.grid.pixels(), make(image.channels, layout));
    };
  };
  return {
      MakeConvolutionalCoupling("Checkerboard", checkerboard, {4, 12, 18, 40}, {}, {5, 7}),
      MakeConvolutionalCoupling("ResidualCheckerboard", checkerboard, {12, 18}, {}, {6, 6, 6, 6, 6},
                                true),
      MakeConvolutionalCoupling("Channels", channels, {18, 40}, {}, {17, 3}),
      MakeConvolutionalCoupling("ChannelsSpline", channels, {18},
                                {Kind::kRationalQuadratic, 4, 3.0}, {6}),
      MakeConvolutionalCoupling("OddEdge", edge, {12, 18, 40}, {}, {}),
      OfImages("OneByOne", {4, 18, 40}, per_pixel([](int count, ParameterLayout& layout) {
                 return std::make_unique<PluLinear>(count, 4, "plu.", layout);
               })),
      OfImages("ChannelNorm", {4, 18, 40}, per_pixel([](int count, ParameterLayout& layout) {
                 return std::make_unique<ActNorm>(count, "norm.", layout);
               })),
      OfImages("Squeeze", {4},
               [](int dim, ParameterLayout&) {
                 return std::make_unique<Permutation>(ImageOf(dim).Squeezed());
               }),
      OfImages("EdgeLast", {12, 18, 40},
               [](int dim, ParameterLayout&) {
                 return std::make_unique<Permutation>(ImageOf(dim).EdgeLast());
               }),
      OfImages("FirstColumns", {12, 18},
               [](int dim, ParameterLayout& layout) {
                 return std::make_unique<FirstColumns>(
                     dim - 5, std::make_unique<LuLinear>(dim - 5, false, "lu.", layout));
               }),
  };
}

inline std::vector<Factory> Factories() {
  using Kind = ScalarBijection::Kind;
  std::vector<Factory> factories = {
      MakeMaf("MafRelu", {24, 19}, false, Activation::kRelu, 0),
      MakeMaf("MafTanhNarrow", {5}, false, Activation::kTanh, 0),
      MakeMaf("MafEluContext", {33, 17, 20}, false, Activation::kElu, 3),
      MakeMaf("MafIdentity", {16, 16}, false, Activation::kIdentity, 0),
      MakeMaf("ResMafRelu", {20, 20, 20}, true, Activation::kRelu, 0),
      MakeMaf("ResMafTanhContext", {13, 13, 13, 13, 13}, true, Activation::kTanh, 2),
      MakeMaf("MafAdditive", {12, 9}, false, Activation::kTanh, 1, {Kind::kAdditive}),
      MakeMaf("MafRationalQuadratic", {24, 24}, false, Activation::kTanh, 2,
              {Kind::kRationalQuadratic, 4, 2.0}),
      MakeMaf("MafNormalMixture", {24, 24}, false, Activation::kTanh, 2, {Kind::kNormalMixture, 3}),
      MakeInverted(MakeMaf("MafContext", {24, 19}, false, Activation::kTanh, 2)),
      MakeCoupling("RealNvpHalf", Mask::kHalf, false, {}, {.hidden_sizes = {20, 17}}),
      MakeCoupling("RealNvpAlternating", Mask::kAlternating, true, {},
                   {.context_dim = 2, .hidden_sizes = {11}, .activation = Activation::kElu}),
      MakeInverted(MakeCoupling(
          "ResRealNvpRandom", Mask::kRandom, false, {},
          {.hidden_sizes = {12, 12, 12}, .residual = true, .activation = Activation::kTanh})),
      {"ActNorm", 0,
       [](int dim, ParameterLayout& layout) {
         return std::make_unique<ActNorm>(dim, "a.", layout);
       }},
      MakeBatchNorm(),
      MakeInverted(MakeBatchNorm()),
      {"LuLinear", 0,
       [](int dim, ParameterLayout& layout) {
         return std::make_unique<LuLinear>(dim, false, "lu.", layout);
       }},
      {"PluLinear", 0,
       [](int dim, ParameterLayout& layout) {
         return std::make_unique<PluLinear>(dim, 4, "plu.", layout);
       }},
      MakeElementwise("Affine", {Kind::kAffine}),
      MakeElementwise("Additive", {Kind::kAdditive}),
      MakeElementwise("Scale", {Kind::kScale}),
      MakeElementwise("ShiftAndCube", {Kind::kShiftAndCube}, 10.0),
      MakeElementwise("Sigmoid", {Kind::kSigmoid}),
      MakeInverted(MakeElementwise("Sigmoid", {Kind::kSigmoid})),
      MakeElementwise("Tanh", {Kind::kTanh}),
      MakeElementwise("Softsign", {Kind::kSoftsign}),
      MakeElementwise("Softplus", {Kind::kSoftplus}),
      MakeInverted(MakeElementwise("Softplus", {Kind::kSoftplus})),
      MakeElementwise("NormalMixture", {Kind::kNormalMixture, 4}),
      MakeElementwise("LogTails", {Kind::kLogTails}, 5.0),
      MakeElementwise("LinearSpline", {Kind::kLinearSpline, 5}),
      MakeElementwise("QuadraticSpline", {Kind::kQuadraticSpline, 6}),
      MakeElementwise("RationalQuadratic", {Kind::kRationalQuadratic, 7, 3.0}, 2.0),
      MakeVector("Planar", {VectorBijection::Kind::kPlanar}),
      MakeInverted(MakeVector("Planar", {VectorBijection::Kind::kPlanar})),
      MakeVector("Radial", {VectorBijection::Kind::kRadial}),
      MakeInverted(MakeVector("Radial", {VectorBijection::Kind::kRadial})),
      MakeVector("SylvesterNarrow", {VectorBijection::Kind::kSylvester, 1}),
      MakeSylvester("Sylvester", 5),
      MakeInverted(MakeSylvester("SylvesterWide", 9)),
      MakeRotation(),
      MakeResidual("Residual", {14, 9}, 0),
      MakeResidual("ResidualContext", {11}, 2),
      MakeInverted(MakeResidual("ResidualContext", {7, 12, 5}, 3)),
      {"Reverse", 0,
       [](int dim, ParameterLayout&) {
         return std::make_unique<Permutation>(Permutation::Reverse(dim));
       }},
      {"RandomPermutation", 0,
       [](int dim, ParameterLayout&) {
         return std::make_unique<Permutation>(Permutation::Random(dim, 11, 3));
       }},
  };
  for (Factory& factory : ImageFactories()) factories.push_back(std::move(factory));
  for (Factory& factory : ConditionedFactories()) factories.push_back(std::move(factory));
  return factories;
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
