// SPDX-License-Identifier: Apache-2.0
// The two-dimensional toy densities of the field, drawn from and evaluated exactly.
#ifndef MILLRACE_CLIENT_CLI_TOYS_TOY_H_
#define MILLRACE_CLIENT_CLI_TOYS_TOY_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/toys/random.h"

namespace millrace::cli {

struct Point {
  double x = 0;
  double y = 0;
};

// A density over the plane. Immutable and thread-safe.
class Toy {
 public:
  virtual ~Toy() = default;

  // One independent draw. A statement per random number, so that their order is fixed.
  virtual Point Sample(Random& random) const = 0;

  // log p(point) in nats; -infinity where the density is zero.
  virtual double LogDensity(Point point) const = 0;
};

struct ToyInfo {
  std::string name;
  std::string what;             // one line
  std::optional<double> noise;  // standard deviation of its Gaussian noise; none: has no noise
};

// Every toy, in alphabetical order.
const std::vector<ToyInfo>& AllToys();

// The toy of that name, with `noise` in place of its own. NOT_FOUND for an unknown name;
// INVALID_ARGUMENT for a noise outside [0.01, 10], or for a toy without noise.
absl::StatusOr<std::unique_ptr<Toy>> MakeToy(const std::string& name, std::optional<double> noise);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_TOYS_TOY_H_
