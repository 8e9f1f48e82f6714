// SPDX-License-Identifier: Apache-2.0
#include "core/io/flow_json.h"

#include "core/flow/architectures.h"

namespace millrace {

// The overloads that the archives look up. Keys and names are the file format.

static NameTable<Mixing> EnumNames(Mixing) {
  return {{Mixing::kNone, "none"},
          {Mixing::kReverse, "reverse"},
          {Mixing::kRandom, "random"},
          {Mixing::kLu, "lu"}};
}

static NameTable<Activation> EnumNames(Activation) {
  return {{Activation::kIdentity, "identity"},
          {Activation::kRelu, "relu"},
          {Activation::kTanh, "tanh"},
          {Activation::kElu, "elu"}};
}

static NameTable<Architecture> EnumNames(Architecture) {
  NameTable<Architecture> names;
  for (const Architecture architecture : AllArchitectures())
    names.emplace_back(architecture, NameOf(architecture));
  return names;
}

static NameTable<ScalarBijection::Kind> EnumNames(ScalarBijection::Kind) {
  using Kind = ScalarBijection::Kind;
  return {{Kind::kAffine, "affine"},
          {Kind::kAdditive, "additive"},
          {Kind::kScale, "scale"},
          {Kind::kShiftAndCube, "shift_and_cube"},
          {Kind::kSigmoid, "sigmoid"},
          {Kind::kTanh, "tanh"},
          {Kind::kSoftsign, "softsign"},
          {Kind::kSoftplus, "softplus"},
          {Kind::kLogTails, "log_tails"},
          {Kind::kLinearSpline, "linear_spline"},
          {Kind::kQuadraticSpline, "quadratic_spline"},
          {Kind::kRationalQuadratic, "rational_quadratic"},
          {Kind::kNormalMixture, "normal_mixture"},
          {Kind::kInverseAffine, "inverse_affine"},
          {Kind::kInverseRationalQuadratic, "inverse_rational_quadratic"}};
}

static NameTable<Mask> EnumNames(Mask) {
  return {{Mask::kHalf, "half"},         {Mask::kAlternating, "alternating"},
          {Mask::kRandom, "random"},     {Mask::kCheckerboard, "checkerboard"},
          {Mask::kChannels, "channels"}, {Mask::kNone, "none"}};
}

static NameTable<LinearLayer::Start> EnumNames(LinearLayer::Start) {
  return {{LinearLayer::Start::kIdentity, "identity"},
          {LinearLayer::Start::kWhiten, "whiten"},
          {LinearLayer::Start::kRotation, "rotation"}};
}

static NameTable<VectorBijection::Kind> EnumNames(VectorBijection::Kind) {
  return {{VectorBijection::Kind::kPlanar, "planar"},
          {VectorBijection::Kind::kRadial, "radial"},
          {VectorBijection::Kind::kSylvester, "sylvester"},
          {VectorBijection::Kind::kRotation, "rotation"}};
}

static NameTable<BaseSpec::Kind> EnumNames(BaseSpec::Kind) {
  using Kind = BaseSpec::Kind;
  return {{Kind::kStandardNormal, "standard_normal"},
          {Kind::kDiagonalNormal, "diagonal_normal"},
          {Kind::kUniform, "uniform"},
          {Kind::kLogistic, "logistic"},
          {Kind::kStudentT, "student_t"},
          {Kind::kNormalMixture, "normal_mixture"}};
}

template <typename Archive>
void Describe(Archive& archive, StackSpec& spec) {
  archive.Field("architecture", spec.architecture);
  archive.Field("layers", spec.layers);
  archive.Field("hidden_sizes", spec.hidden_sizes);
  archive.Field("residual", spec.residual);
  archive.Field("mixing", spec.mixing);
  archive.Field("activation", spec.activation);
  archive.Field("act_norm", spec.act_norm);
  archive.Field("batch_norm", spec.batch_norm);
  archive.Field("whiten", spec.whiten);
  archive.Field("heavy_tails", spec.heavy_tails);
  archive.Field("mask", spec.mask);
  archive.Field("bins", spec.bins);
  archive.Field("bound", spec.bound);
  archive.Field("components", spec.components);
  archive.Field("width", spec.width);
  archive.Field("levels", spec.levels, 3);
  archive.Field("additive", spec.additive, false);
  archive.Field("weight_norm", spec.weight_norm, false);
}

template <typename Archive>
void Describe(Archive& archive, ImageShape& image) {
  archive.Field("height", image.height);
  archive.Field("width", image.width);
  archive.Field("channels", image.channels);
}

template <typename Archive>
void Describe(Archive& archive, ScalarBijection& bijection) {
  archive.Field("kind", bijection.kind);
  archive.Field("bins", bijection.bins);
  archive.Field("bound", bijection.bound);
}

template <typename Archive>
void Describe(Archive& archive, NetworkShape& network) {
  archive.Field("hidden_sizes", network.hidden_sizes);
  archive.Field("residual", network.residual);
  archive.Field("activation", network.activation);
  archive.Field("weight_norm", network.weight_norm, false);
}

template <typename Archive>
void Describe(Archive& archive, AutoregressiveLayer& layer) {
  archive.Field("bijection", layer.bijection);
  archive.Field("network", layer.network);
}

template <typename Archive>
void Describe(Archive& archive, CouplingLayer& layer) {
  archive.Field("bijection", layer.bijection);
  archive.Field("network", layer.network);
  archive.Field("mask", layer.mask);
  archive.Field("flip", layer.flip);
  archive.Field("draw", layer.draw);
}

template <typename Archive>
void Describe(Archive& archive, PermutationLayer& layer) {
  archive.Field("reverse", layer.reverse);
  archive.Field("draw", layer.draw);
}

template <typename Archive>
void Describe(Archive& archive, LinearLayer& layer) {
  archive.Field("start", layer.start);
}

template <typename Archive>
void Describe(Archive& archive, NormLayer& layer) {
  archive.Field("batch", layer.batch);
}

template <typename Archive>
void Describe(Archive& archive, VectorBijection& vector) {
  archive.Field("kind", vector.kind);
  archive.Field("width", vector.width);
  archive.Field("first", vector.first);
  archive.Field("second", vector.second);
}

template <typename Archive>
void Describe(Archive& archive, ResidualLayer& layer) {
  archive.Field("network", layer.network);
}

template <typename Archive>
void Describe(Archive& archive, SqueezeLayer& layer) {
  archive.Field("network", layer.network);
}

template <typename Archive>
void Describe(Archive& archive, FactorOutLayer& layer) {
  archive.Field("network", layer.network);
}

template <typename Archive>
void Describe(Archive& archive, LayerSpec& layer) {
  archive.Field("autoregressive", layer.autoregressive);
  archive.Field("coupling", layer.coupling);
  archive.Field("elementwise", layer.elementwise);
  archive.Field("permutation", layer.permutation);
  archive.Field("linear", layer.linear);
  archive.Field("norm", layer.norm);
  archive.Field("vector", layer.vector);
  archive.Field("residual", layer.residual);
  archive.Field("squeeze", layer.squeeze);
  archive.Field("factor_out", layer.factor_out);
  archive.Field("inverse", layer.inverse);
}

template <typename Archive>
void Describe(Archive& archive, BaseSpec& base) {
  archive.Field("kind", base.kind);
  archive.Field("components", base.components);
  archive.Field("low", base.low);
  archive.Field("high", base.high);
}

template <typename Archive>
static void DescribeFlow(Archive& archive, FlowSpec& spec) {
  archive.Field("dim", spec.dim);
  archive.Field("context_dim", spec.context_dim);
  archive.Field("seed", spec.seed);
  archive.Field("image", spec.image);
  archive.Field("stack", spec.stack);
  archive.Field("chain", spec.chain);
  archive.Field("base", spec.base);
}

void Describe(JsonWriter& archive, FlowSpec& spec) { DescribeFlow(archive, spec); }
void Describe(JsonReader& archive, FlowSpec& spec) { DescribeFlow(archive, spec); }

std::string FlowToJson(FlowSpec spec) {
  JsonWriter writer;
  return DumpJson(writer.Write(spec));
}

}  // namespace millrace
