// SPDX-License-Identifier: Apache-2.0
// What training chooses where the caller did not.
#ifndef MILLRACE_CORE_TRAIN_CHOICES_H_
#define MILLRACE_CORE_TRAIN_CHOICES_H_

#include <cstdint>

#include "core/train/fit.h"
#include "core/train/train_model.h"

namespace millrace {

// Pixels: columns of kPixel, in a flow that does not know that they are an image.
enum class RowKind { kTable, kPixels, kImages };

// The loop's options for `rows` fitting rows of `dim` columns; `options` is valid. About 15,000
// steps in all, never decided by the clock, so that the default is repeatable.
FitOptions ChooseFitOptions(const TrainOptions& options, std::int64_t rows, int dim,
                            RowKind kind = RowKind::kTable);

// Of a table of `rows` rows, those held out; `options` is valid.
struct HeldOutRows {
  std::int64_t validation = 1;
  std::int64_t calibration = 1;
};
HeldOutRows ChooseHeldOutRows(const TrainOptions& options, std::int64_t rows, bool images);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_CHOICES_H_
