// SPDX-License-Identifier: Apache-2.0
// Handwritten digits, small enough that an example trains in minutes.
#ifndef MILLRACE_CORE_EXAMPLES_DIGITS_H_
#define MILLRACE_CORE_EXAMPLES_DIGITS_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/base/rows.h"

namespace millrace::examples {

inline constexpr int kDigitSide = 8;
inline constexpr int kDigitPixels = kDigitSide * kDigitSide;

// The images of an MNIST file (LeCun et al. 1998; "train-images-idx3-ubyte", gzipped or not), each
// averaged by area to kDigitSide x kDigitSide cells: [images, kDigitPixels] of 1 where at least a
// quarter of a cell is ink, else 0. NOT_FOUND without such a file, INVALID_ARGUMENT where it is no
// complete idx file of images of kDigitSide to 1024 pixels a side.
absl::StatusOr<Rows<float>> ReadDigits(const std::string& path);

}  // namespace millrace::examples

#endif  // MILLRACE_CORE_EXAMPLES_DIGITS_H_
