// SPDX-License-Identifier: Apache-2.0
// One file carries everything a model is. The format is safetensors (huggingface/safetensors):
// eight bytes little-endian header length, a JSON header padded with spaces to a multiple of 8,
// then the tensors without gaps; so Python reads the weights. The header's first entry is
// `__metadata__`, strings:
//   millrace.checksum  first, eight hexadecimal digits: CRC-32 (zlib's) of the whole file with
//                      these digits read as zeros, so that every byte counts. It guards against
//                      accidents, not against forgers: what passes it is still checked in full.
//   millrace.format    the version of this layout, kModelFormatVersion
//   millrace.model     JSON text: spec, columns, conditions, calibration, report, attribute vectors
// Then the tensors in file order: "calibration.log_probs" (F64, [rows]), and the parameters as F32
// [rows, cols] under their layout names, in layout order, without padding. Keys that the JSON text
// lacks because it is older than they are have the values they then stood for. A later format
// version may change all but the place of checksum and version.
#ifndef MILLRACE_CORE_IO_MODEL_FILE_H_
#define MILLRACE_CORE_IO_MODEL_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/io/durable_file.h"
#include "core/model.h"

namespace millrace {

inline constexpr int kModelFormatVersion = 1;

// The bytes of a model file; the same model gives the same bytes. INVALID_ARGUMENT for a model that
// could not be read back: parameters, columns or report hold numbers that are not finite,
// calibration log-densities are NaN or not ascending (-inf is a value), text is not UTF-8, or the
// parts do not fit each other.
absl::StatusOr<std::string> EncodeModel(const Model& model);

// The model bit for bit. DATA_LOSS for bytes that are truncated, corrupt, foreign or contradict
// themselves (also when parameters are not finite); FAILED_PRECONDITION for a format version this
// build does not know. Memory used is bounded by a multiple of the number of bytes given plus the
// structure (not the parameters) of the largest flow that FlowSpec allows.
absl::StatusOr<Model> DecodeModel(absl::string_view bytes);

// As EncodeModel and WriteFileDurably.
absl::Status SaveModel(const Model& model, const std::string& path);
// NOT_FOUND when there is no such file; else as ReadWholeFile and DecodeModel, naming the path. A
// file that does not begin as a model file is refused without being read.
absl::StatusOr<Model> LoadModel(const std::string& path);

}  // namespace millrace

#endif  // MILLRACE_CORE_IO_MODEL_FILE_H_
