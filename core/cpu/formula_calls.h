// SPDX-License-Identifier: Apache-2.0
// Formulas of scalar bijections on packs, as every path computes them: in a block, of a row alone
// and in its sweep. The compiler may contract a * b + c * d in two ways, and decides anew where a
// formula is inlined; the long ones, some of which have such sums, are therefore compiled once. The
// short ones, and the functions of pack.h, have none.
#ifndef MILLRACE_CORE_CPU_FORMULA_CALLS_H_
#define MILLRACE_CORE_CPU_FORMULA_CALLS_H_

#include <type_traits>

#include "core/cpu/pack.h"
#include "core/math/bijection.h"

namespace millrace::cpu {

// Long: how many parameters is known at run time only, as of splines and mixtures.
template <typename F>
concept ShortFormula = requires {
  typename std::integral_constant<int, F::parameters()>;
};

template <typename F>
[[gnu::noinline, gnu::noclone]] Mapped<Pack> ForwardOnce(const F& formula, Pack x,
                                                         const Pack* theta) {
  return formula.Forward(x, theta);
}

template <typename F>
[[gnu::noinline, gnu::noclone]] Mapped<Pack> InverseOnce(const F& formula, Pack z,
                                                         const Pack* theta) {
  return formula.Inverse(z, theta);
}

template <typename F>
Mapped<Pack> Forward(const F& formula, Pack x, const Pack* theta) {
  if constexpr (ShortFormula<F>)
    return formula.Forward(x, theta);
  else
    return ForwardOnce(formula, x, theta);
}

template <typename F>
Mapped<Pack> Inverse(const F& formula, Pack z, const Pack* theta) {
  if constexpr (ShortFormula<F>)
    return formula.Inverse(z, theta);
  else
    return InverseOnce(formula, z, theta);
}

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_FORMULA_CALLS_H_
