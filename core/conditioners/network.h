// SPDX-License-Identifier: Apache-2.0
// A feed-forward network that computes a transform's parameters: plain, or residual as in ResMADE
// (Durkan et al. 2019). Its layers may be masked: core/conditioners/made.h.
#ifndef MILLRACE_CORE_CONDITIONERS_NETWORK_H_
#define MILLRACE_CORE_CONDITIONERS_NETWORK_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/conditioners/conditioner.h"
#include "core/exec/parameters.h"
#include "core/exec/pass.h"
#include "core/exec/swept_network.h"

namespace millrace {

struct NetworkSpec {
  static constexpr int kMaxHiddenLayers = SweptNetwork::kMaxLayers - 1;

  int inputs = 0;  // 0: the context alone, if there is one
  int context_dim = 0;
  int outputs = 0;
  std::vector<int> hidden_sizes;  // not empty; residual: equal and of odd number
  bool residual = false;
  Activation activation = Activation::kRelu;
};

//   plain:    a_1 = f(W_1 x + C c + b_1), a_l = f(W_l a_(l-1) + b_l), theta = W a_L + b
//   residual: h = W_1 x + C c + b_1; per block h += W' f(W f(h) + b) + b'; theta = W f(h) + b
//
// Immutable, thread-safe.
class Network final : public Conditioner {
 public:
  // One matrix a hidden layer.
  using Hidden = std::array<Matrix, NetworkSpec::kMaxHiddenLayers>;

  // Adds its parameters to the layout under `prefix`. extents[l] is DenseLayer::extent of hidden
  // layer l, the last that of the output; empty: nothing is masked.
  Network(const NetworkSpec& spec, std::vector<std::vector<int>> extents, const std::string& prefix,
          ParameterLayout& layout);

  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const NetworkSpec& spec() const { return spec_; }
  int num_hidden() const { return static_cast<int>(spec_.hidden_sizes.size()); }

  int inputs() const override { return spec_.inputs; }
  int outputs() const override { return spec_.outputs; }
  void Forward(Pass& pass, const ConstMatrix& x, const Matrix& theta) const override;
  void Backward(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar, float sign,
                const Matrix& x_bar) const override;
  // The output starts at zero, residual blocks near the identity.
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override;

  // Hidden layers, then the output.
  std::span<const DenseLayer> layers() const { return layers_; }
  // Layer l (num_hidden(): the output) without its bias.
  DenseLayer LinearPart(int l) const {
    DenseLayer layer = layers_[l];
    layer.bias = {};
    return layer;
  }

  // --- the parts of Forward and Backward, for networks computed piece by piece ---
  Hidden NewHidden(Pass& pass, int rows) const;
  Hidden NewValues(Pass& pass, int rows) const;  // the same, as NewRows gives them
  // What holds h of a residual network; nothing of a plain one.
  Matrix NewSkip(Pass& pass, int rows) const;
  void PushHidden(Pass& pass, const Hidden& value) const;
  Hidden PopHidden(Pass& pass) const;
  // Whether hidden layer l ends a residual block: its sum is h.
  bool IsBlockEnd(int l) const { return spec_.residual && l % 2 == 0; }
  // What Multiply applies to the sums of hidden layer l; Complete does the rest.
  Activation MultiplyActivation(int l) const {
    return IsBlockEnd(l) ? Activation::kIdentity : spec_.activation;
  }
  // Products of units [output_begin, output_end) of layer l (num_hidden(): the output).
  void Multiply(Pass& pass, int l, DenseRange range, const ConstMatrix& in, DenseStart start,
                Activation activation, const Matrix& out) const;
  // Where layer l ends a block: adds h to the sums of units [begin, end), which are the new h, and
  // activates them.
  void Complete(Pass& pass, int l, int begin, int end, const Matrix& skip,
                const Hidden& value) const;
  // Adjoints of units [begin, end) of layer l before the activation, from those that use them.
  void UnitAdjoints(Pass& pass, int l, int begin, int end, const ConstMatrix& theta_bar,
                    const Hidden& value, const Hidden& bar) const;
  // Adds to inputs [begin, end) of x_bar what the first layer's adjoints contribute.
  void InputAdjoints(Pass& pass, int begin, int end, const Hidden& bar, const Matrix& x_bar) const;
  void ParameterAdjoints(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar,
                         const Hidden& value, const Hidden& bar, float sign) const;

 private:
  const NetworkSpec spec_;
  const std::vector<std::vector<int>> extents_;
  std::vector<DenseLayer> layers_;  // hidden layers, then the output
  DenseLayer context_;              // into the first hidden layer, with that layer's bias
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CONDITIONERS_NETWORK_H_
