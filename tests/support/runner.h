// SPDX-License-Identifier: Apache-2.0
// Runs transforms and flows over one block of rows on any kernels of this machine, with double in
// and double out: what laws are stated in.
#ifndef MILLRACE_TESTS_SUPPORT_RUNNER_H_
#define MILLRACE_TESTS_SUPPORT_RUNNER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/rows.h"
#include "core/exec/kernels.h"
#include "core/flow/flow.h"
#include "core/transforms/transform.h"

namespace millrace {

// The point a transform or flow is evaluated at: parameters as its layout says, rows [n, dim], and
// their conditions [n, context_dim] (cols == 0: none).
struct Point {
  std::vector<double> parameters;
  Rows<double> rows;
  Rows<double> context;
};

struct Image {
  Rows<double> rows;
  std::vector<double> log_det;
};

// The linear functional <rows, u> + <log_det, w> of an image.
struct Functional {
  Rows<double> u;
  std::vector<double> w;
  double operator()(const Image& image) const;
};

// Its derivatives at a point, shaped like the point.
using Derivatives = Point;

enum class Direction { kForward, kInverse };

Image Apply(const Kernels& kernels, const Transform& transform, Direction direction,
            const Point& point);

// What Backward, or InverseBackward, says the derivatives are.
Derivatives Adjoint(const Kernels& kernels, const Transform& transform, Direction direction,
                    const Point& point, const Functional& functional);

// The same of a flow: its image, and log p with its derivatives for dL/dlog_p = log_p_bar.
Image Apply(const Kernels& kernels, const Flow& flow, Direction direction, const Point& point);
std::vector<double> LogProb(const Kernels& kernels, const Flow& flow, const Point& point);
// What Flow::Sample draws under a point's parameters and conditions, in place of its rows: samples
// 0, 1, ... of `seed`, with log q for log_det.
Image Sample(const Kernels& kernels, const Flow& flow, std::uint64_t seed, const Point& point);
Derivatives LogProbAdjoint(const Kernels& kernels, const Flow& flow, const Point& point,
                           std::span<const double> log_p_bar, double log_scale_penalty = 0.0);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_RUNNER_H_
