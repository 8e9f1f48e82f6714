// SPDX-License-Identifier: Apache-2.0
// The masked network of an autoregressive transform: MADE (Germain et al. 2015), plain or residual
// (ResMADE, Durkan et al. 2019).
#ifndef MILLRACE_CORE_CONDITIONERS_MADE_H_
#define MILLRACE_CORE_CONDITIONERS_MADE_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/exec/parameters.h"
#include "core/exec/pass.h"

namespace millrace {

struct MadeSpec {
  static constexpr int kMaxHiddenLayers = 16;

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
//   plain:    a_1 = f(W_1 x + C c + b_1), a_l = f(W_l a_(l-1) + b_l), theta = W a_L + b
//   residual: h = W_1 x + C c + b_1; per block h += W' f(W f(h) + b) + b'; theta = W f(h) + b
//
// Parameter p of column i (from 0) is column i * parameters + p of theta. Immutable, thread-safe.
class Made {
 public:
  // Adds its parameters to the layout under `prefix`.
  Made(const MadeSpec& spec, const std::string& prefix, ParameterLayout& layout);

  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  // The degrees of `hidden` sorted units.
  static std::vector<int> Degrees(int hidden, int dim, int context_dim);

  int theta_cols() const { return spec_.dim * spec_.parameters; }

  // theta [rows, theta_cols()] of x [rows, dim]. With a tape, pushes the activations.
  void Forward(Pass& pass, ConstMatrix x, Matrix theta) const;
  // After Forward or a finished sweep with a tape: adds to x_bar and, `sign` times, to the
  // parameter and context gradients.
  void Backward(Pass& pass, ConstMatrix x, ConstMatrix theta_bar, float sign, Matrix x_bar) const;

 private:
  // One matrix a hidden layer.
  using Hidden = std::array<Matrix, MadeSpec::kMaxHiddenLayers>;

 public:
  // Incremental evaluation while x is being found column by column. Each hidden unit is computed
  // once, as soon as its columns are known: a whole sweep costs one Forward.
  class Sweep {
   public:
    Sweep(const Made& made, Pass& pass, ConstMatrix x, Matrix theta);
    // Writes the columns of theta that belong to column i; x's columns before i hold their final
    // values. To be called for i = 0, 1, .. dim - 1.
    void Advance(int i);
    // With a tape, pushes the activations, as Forward does.
    void Finish();

   private:
    void BeginGroup(int first);

    const Made& made_;
    Pass& pass_;
    ConstMatrix x_;
    Matrix theta_;
    Hidden value_ = {};
    Matrix skip_;
    int group_ = 0;  // first column of the group in progress
  };

  // The adjoint's counterpart: columns of x_bar are found from the last to the first, the adjoint
  // of each hidden unit as soon as those of all that use it are known.
  class ReverseSweep {
   public:
    // With the activations on the tape, which are popped.
    ReverseSweep(const Made& made, Pass& pass, ConstMatrix theta_bar, Matrix x_bar);
    // Adds to column i of x_bar what it contributes to the parameters of later columns, whose
    // theta_bar is final. To be called for i = dim - 1, .. 0.
    void Advance(int i);
    // After column 0: adds `sign` times the parameter and context gradients.
    void Finish(ConstMatrix x, float sign);

   private:
    const Made& made_;
    Pass& pass_;
    ConstMatrix theta_bar_;
    Matrix x_bar_;
    Hidden value_ = {};
    Hidden bar_ = {};  // adjoints of what stands before the activations
  };

  void Initialise(std::uint64_t seed, std::span<float> parameters) const;

 private:
  struct Layer {
    DenseLayer dense;
    std::vector<int> extent;      // what dense.extent shows
    std::vector<int> degree_end;  // [dim + 1]: the units of degree <= k are [0, degree_end[k])
  };

  int num_hidden() const { return static_cast<int>(spec_.hidden_sizes.size()); }
  // Units of hidden layer l whose degree is below `degree`.
  int UnitsBelow(int l, int degree) const {
    return degree == 0 ? 0 : layers_[l].degree_end[degree - 1];
  }
  bool IsBlockEnd(int l) const { return spec_.residual && l % 2 == 0; }  // its sum is h
  Hidden NewHidden(Pass& pass, int rows) const;
  void PushHidden(Pass& pass, const Hidden& value) const;
  Hidden PopHidden(Pass& pass) const;
  // Products of units [begin, end) of layer l with the inputs [input_begin, input_end).
  void Multiply(Pass& pass, int l, DenseRange range, ConstMatrix in, DenseStart start,
                Activation activation, Matrix out) const;
  // Turns sums before the activation of units [begin, end) into values.
  void Complete(Pass& pass, int l, int begin, int end, Matrix skip, const Hidden& value) const;
  // Adjoints of units [begin, end) of layer l before the activation, from those that use them.
  void UnitAdjoints(Pass& pass, int l, int begin, int end, ConstMatrix theta_bar,
                    const Hidden& value, const Hidden& bar) const;
  void ParameterAdjoints(Pass& pass, ConstMatrix x, ConstMatrix theta_bar, const Hidden& value,
                         const Hidden& bar, float sign) const;

  MadeSpec spec_;
  std::vector<Layer> layers_;  // hidden layers, then the output
  DenseLayer context_;         // into the first hidden layer, with that layer's bias
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CONDITIONERS_MADE_H_
