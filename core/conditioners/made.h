// SPDX-License-Identifier: Apache-2.0
// The masked network of an autoregressive transform: MADE (Germain et al. 2015), plain or residual
// (ResMADE, Durkan et al. 2019).
#ifndef MILLRACE_CORE_CONDITIONERS_MADE_H_
#define MILLRACE_CORE_CONDITIONERS_MADE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/conditioners/network.h"

namespace millrace {

struct MadeSpec {
  int dim = 0;
  int context_dim = 0;
  std::vector<int> hidden_sizes;  // not empty, at least 2 each where a context is to reach both the
                                  // first column and later ones; residual: equal and of odd number
  bool residual = false;
  Activation activation = Activation::kRelu;
  int parameters = 2;  // of the scalar bijection, per column
};

// Columns are numbered 1 .. dim. A hidden unit of degree k uses columns 1 .. k and the context; the
// parameters of column i use units of degree below i. Degrees are spread evenly over 1 .. dim - 1
// (0 .. dim - 1 with a context, so that it reaches the first column) and include both ends, so that
// every column but the last is used even where there are fewer units than columns. Units are sorted
// by degree: masked layers are staircases and nothing outside them is stored as anything but zero
// or multiplied.
//
// Parameter p of column i (from 0) is column i * parameters + p of theta. Immutable, thread-safe.
class Made {
 public:
  // Adds its parameters to the layout under `prefix`.
  Made(const MadeSpec& spec, const std::string& prefix, ParameterLayout& layout);

  // The degrees of `hidden` sorted units.
  static std::vector<int> Degrees(int hidden, int dim, int context_dim);

  int dim() const { return spec_.dim; }
  int theta_cols() const { return spec_.dim * spec_.parameters; }

  // As those of Network; theta [rows, theta_cols()], x [rows, dim].
  void Forward(Pass& pass, const ConstMatrix& x, const Matrix& theta) const {
    network_.Forward(pass, x, theta);
  }
  // Also after Invert with a tape.
  void Backward(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar, float sign,
                const Matrix& x_bar) const {
    network_.Backward(pass, x, theta_bar, sign, x_bar);
  }
  void Initialise(std::uint64_t seed, std::span<float> parameters) const {
    network_.Initialise(seed, parameters);
  }

  // z [rows, dim] becomes the x that `bijection`, with theta(x), maps to it; with a
  // tape, theta and the activations are those of Forward at x. Each hidden unit is computed once,
  // as soon as its columns are known: a whole sweep costs one Forward.
  void Invert(Pass& pass, ScalarBijection bijection, const Matrix& z, const Matrix& theta,
              Vector log_det) const;

  // The adjoint of a sweep, which goes back: columns of x_bar are found from the last to the first,
  // the adjoint of each hidden unit as soon as those of all that use it are known.
  class ReverseSweep {
   public:
    // With the activations on the tape, which are popped.
    ReverseSweep(const Made& made, Pass& pass, const ConstMatrix& theta_bar, const Matrix& x_bar);
    // Adds to column i of x_bar what it contributes to the parameters of later columns, whose
    // theta_bar is final. To be called for i = dim - 1, .. 0.
    void Advance(int i);
    // After column 0: adds `sign` times the parameter and context gradients.
    void Finish(const ConstMatrix& x, float sign);

   private:
    const Made& made_;
    Pass& pass_;
    ConstMatrix theta_bar_;
    Matrix x_bar_;
    Network::Hidden value_ = {};
    Network::Hidden bar_ = {};  // adjoints of what stands before the activations
  };

 private:
  // Of each layer's inputs, the end of those of degree <= k: [layer][k], k in [0, dim].
  using DegreeEnds = std::vector<std::vector<int>>;
  static DegreeEnds EndsOf(const MadeSpec& spec);
  static std::vector<std::vector<int>> ExtentsOf(const MadeSpec& spec, const DegreeEnds& ends);

  SweptNetwork Swept() const {
    return {.layers = network_.layers(),
            .ends = ends_,
            .conditional = spec_.context_dim > 0,
            .parameters = spec_.parameters,
            .residual = spec_.residual,
            .activation = spec_.activation};
  }
  void BeginGroup(Pass& pass, int first, int end, const ConstMatrix& x,
                  const Network::Hidden& value, const Matrix& theta) const;

  const MadeSpec spec_;
  const DegreeEnds ends_;
  const Network network_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CONDITIONERS_MADE_H_
