// SPDX-License-Identifier: Apache-2.0
#include "tests/support/runner.h"

#include <optional>
#include <utility>

#include "core/base/check.h"
#include "core/exec/arena.h"
#include "core/exec/pass.h"
#include "core/exec/tape.h"
#include "core/exec/weight_norm.h"
#include "tests/support/host_block.h"

namespace millrace {
namespace {

std::vector<double> Normalised(const ParameterLayout& layout, std::vector<double> parameters) {
  NormaliseWeights<double>(layout, parameters);
  return parameters;
}

// Everything one pass at a point needs, kept alive.
struct Setting {
  Setting(const Kernels& kernels_in, const Point& point)
      : Setting(kernels_in, point, point.parameters) {}
  Setting(const Kernels& kernels_in, const Flow& flow, const Point& point)
      : Setting(kernels_in, point, Normalised(flow.layout(), point.parameters)) {}
  Setting(const Kernels& kernels_in, const Point& point, const std::vector<double>& weights)
      : kernels(kernels_in),
        arena(kernels_in.element_size()),
        parameters(kernels_in, weights),
        rows(NewBlock(kernels_in, arena, point.rows.view())),
        log_det(NewVector(arena, std::vector<double>(point.rows.rows(), 0.0))),
        pass{kernels_in, arena, parameters.weights()} {
    if (point.context.cols() > 0) pass.context = NewBlock(kernels, arena, point.context.view());
  }

  // Makes ready for an adjoint to follow: everything it adds to is zero.
  void Record(const Point& point) {
    pass.tape = &tape;
    parameters_bar.emplace(kernels, std::vector<double>(point.parameters.size(), 0.0));
    pass.gradients = parameters_bar->gradients();
    const Rows<double> zeros(point.context.rows(), point.context.cols());
    if (zeros.cols() > 0) pass.context_bar = NewBlock(kernels, arena, zeros.view());
  }

  Image image() const {
    return {ReadBlock(kernels, rows), {log_det.data, log_det.data + log_det.size}};
  }
  Derivatives derivatives(ConstMatrix rows_bar) const {
    MILLRACE_CHECK(tape.empty());
    Rows<double> context_bar;
    if (!pass.context_bar.empty()) context_bar = ReadBlock(kernels, pass.context_bar);
    return {parameters_bar->values(), ReadBlock(kernels, rows_bar), std::move(context_bar)};
  }

  const Kernels& kernels;
  Arena arena;
  HostParameters parameters;
  std::optional<HostParameters> parameters_bar;
  Tape tape;
  Matrix rows;
  Vector log_det;
  Pass pass;
};

}  // namespace

double Functional::operator()(const Image& image) const {
  double value = 0.0;
  for (int r = 0; r < u.rows(); ++r) {
    value += w[r] * image.log_det[r];
    for (int c = 0; c < u.cols(); ++c) value += u(r, c) * image.rows(r, c);
  }
  return value;
}

Image Apply(const Kernels& kernels, const Transform& transform, Direction direction,
            const Point& point) {
  Setting setting(kernels, point);
  if (direction == Direction::kForward)
    transform.Forward(setting.pass, setting.rows, setting.log_det);
  else
    transform.Inverse(setting.pass, setting.rows, setting.log_det);
  return setting.image();
}

Derivatives Adjoint(const Kernels& kernels, const Transform& transform, Direction direction,
                    const Point& point, const Functional& functional) {
  Setting setting(kernels, point);
  setting.Record(point);
  const Matrix grad = NewBlock(kernels, setting.arena, functional.u.view());
  const Vector log_det_bar = NewVector(setting.arena, functional.w);
  if (direction == Direction::kForward) {
    transform.Forward(setting.pass, setting.rows, setting.log_det);
    transform.Backward(setting.pass, grad, log_det_bar);
  } else {
    transform.Inverse(setting.pass, setting.rows, setting.log_det);
    transform.InverseBackward(setting.pass, grad, log_det_bar);
  }
  return setting.derivatives(grad);
}

Image Apply(const Kernels& kernels, const Flow& flow, Direction direction, const Point& point) {
  Setting setting(kernels, flow, point);
  if (direction == Direction::kForward)
    flow.Forward(setting.pass, setting.rows, setting.log_det);
  else
    flow.Inverse(setting.pass, setting.rows, setting.log_det);
  return setting.image();
}

std::vector<double> LogProb(const Kernels& kernels, const Flow& flow, const Point& point) {
  Setting setting(kernels, flow, point);
  flow.LogProb(setting.pass, setting.rows, setting.log_det);
  return setting.image().log_det;
}

Image Sample(const Kernels& kernels, const Flow& flow, std::uint64_t seed, const Point& point) {
  Setting setting(kernels, flow, point);
  flow.Sample(setting.pass, seed, 0, setting.rows, setting.log_det);
  return setting.image();
}

Derivatives LogProbAdjoint(const Kernels& kernels, const Flow& flow, const Point& point,
                           std::span<const double> log_p_bar, double log_scale_penalty) {
  Setting setting(kernels, flow, point);
  setting.Record(point);
  setting.pass.log_scale_penalty = log_scale_penalty;
  const Vector bar = NewVector(setting.arena, log_p_bar);
  flow.LogProb(setting.pass, setting.rows, setting.log_det);
  flow.LogProbBackward(setting.pass, setting.rows, bar);
  Derivatives derivatives = setting.derivatives(setting.rows);
  NormaliseWeightsAdjoint<double>(flow.layout(), point.parameters, derivatives.parameters);
  return derivatives;
}

}  // namespace millrace
