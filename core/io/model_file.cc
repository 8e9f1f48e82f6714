// SPDX-License-Identifier: Apache-2.0
#include "core/io/model_file.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/flow/flow.h"
#include "core/io/json_archive.h"
#include "core/io/model_json.h"
#include "core/io/model_parts.h"

namespace millrace {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format's byte order is the memory's");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kAlignment = 8;
constexpr std::size_t kMaxHeaderBytes = 100'000'000;  // as other readers of safetensors have it
constexpr std::int64_t kMaxFileBytes = std::int64_t{5} << 28;  // Flow::kMaxParameters, and room
constexpr int kDeepestHeader = 4;
constexpr char kMetadata[] = "__metadata__";
constexpr char kChecksum[] = "millrace.checksum";
constexpr char kFormat[] = "millrace.format";
constexpr char kModel[] = "millrace.model";
constexpr char kLogProbs[] = "calibration.log_probs";
// With what every header starts; the digits of the checksum follow.
constexpr absl::string_view kStart = R"({"__metadata__":{"millrace.checksum":")";
constexpr std::size_t kDigits = 8;
constexpr std::size_t kDigitsAt = kLengthBytes + kStart.size();
static_assert(kDigitsAt + kDigits <= kStartBytes);

absl::Status DataLoss(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("model file: ", what));
}

std::string Checksum(absl::string_view bytes) {
  const auto update = [](uLong crc, absl::string_view part) {
    return crc32_z(crc, reinterpret_cast<const Bytef*>(part.data()), part.size());
  };
  uLong crc = update(0, bytes.substr(0, kDigitsAt));
  crc = update(crc, std::string(kDigits, '0'));
  crc = update(crc, bytes.substr(kDigitsAt + kDigits));
  return absl::StrFormat("%08x", crc);
}

// Where each tensor stands, as the header says it: the model's layout determines all of it but the
// number of calibration rows.
class TensorTable {
 public:
  TensorTable(const Flow& flow, std::size_t calibration_rows) {
    Add(kLogProbs, "F64", Json::array({calibration_rows}), calibration_rows * sizeof(double));
    for (const ParameterLayout::Entry& entry : flow.layout().entries()) {
      const auto elements = static_cast<std::size_t>(entry.slice.rows) * entry.slice.cols;
      Add(entry.name, "F32", Json::array({entry.slice.rows, entry.slice.cols}),
          elements * sizeof(float));
    }
  }

  const Json& json() const { return json_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void Add(const std::string& name, const char* type, Json shape, std::size_t bytes) {
    json_[name] = {{"dtype", type},
                   {"shape", std::move(shape)},
                   {"data_offsets", Json::array({bytes_, bytes_ + bytes})}};
    bytes_ += bytes;
  }

  Json json_ = Json::object();
  std::size_t bytes_ = 0;
};

template <typename T>
void AppendBytes(const T* values, std::size_t count, std::string& to) {
  to.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

template <typename T>
void TakeBytes(absl::string_view& from, T* values, std::size_t count) {
  if (count == 0) return;
  std::memcpy(values, from.data(), count * sizeof(T));
  from.remove_prefix(count * sizeof(T));
}

std::uint64_t HeaderLength(absl::string_view start) {
  std::uint64_t length = 0;
  std::memcpy(&length, start.data(), kLengthBytes);
  return length;
}

// Whether a file of `size` bytes that begins so may be a model file: what can be told without
// reading it.
absl::Status CheckStart(absl::string_view start, std::int64_t size) {
  if (start.size() < kLengthBytes) return DataLoss("too short to hold a header");
  const std::uint64_t length = HeaderLength(start);
  if (length > kMaxHeaderBytes || length > static_cast<std::uint64_t>(size) - kLengthBytes)
    return DataLoss(absl::StrCat("a header of ", length, " bytes does not fit into ", size,
                                 "; truncated, or not a model file"));
  if (length < kStart.size() + kDigits || start.substr(kLengthBytes, kStart.size()) != kStart)
    return DataLoss("its header does not begin as Millrace writes it; not a model file");
  return absl::OkStatus();
}

absl::StatusOr<absl::string_view> HeaderOf(absl::string_view bytes) {
  MILLRACE_RETURN_IF_ERROR(CheckStart(bytes, static_cast<std::int64_t>(bytes.size())));
  const absl::string_view header = bytes.substr(kLengthBytes, HeaderLength(bytes));
  if (bytes.substr(kDigitsAt, kDigits) != Checksum(bytes))
    return DataLoss("the checksum does not match; truncated or corrupt");
  return header;
}

// The text of one entry of the metadata.
absl::StatusOr<std::string> MetadataText(const Json& header, const char* key) {
  const auto metadata = header.find(kMetadata);
  if (metadata == header.end() || !metadata->is_object())
    return DataLoss(absl::StrCat(kMetadata, " is missing"));
  const auto found = metadata->find(key);
  if (found == metadata->end() || !found->is_string())
    return DataLoss(absl::StrCat(key, " is missing"));
  return found->get<std::string>();
}

absl::Status CheckFormat(const Json& header) {
  MILLRACE_ASSIGN_OR_RETURN(const std::string text, MetadataText(header, kFormat));
  int version = 0;
  if (!absl::SimpleAtoi(text, &version) || version < 1)
    return DataLoss(absl::StrCat(kFormat, " is not a version"));
  if (version == kModelFormatVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "model file: format version ", version, "; this build reads version ", kModelFormatVersion));
}

// Rows of the calibration tensor, at most as many as `data_bytes` can hold.
absl::StatusOr<std::size_t> CalibrationRows(const Json& header, std::size_t data_bytes) {
  const Json::json_pointer pointer(absl::StrCat("/", kLogProbs, "/shape/0"));
  if (header.contains(pointer) && header[pointer].is_number_unsigned()) {
    const auto rows = header[pointer].get<std::uint64_t>();
    if (rows <= data_bytes / sizeof(double)) return static_cast<std::size_t>(rows);
  }
  return DataLoss(absl::StrCat(kLogProbs, " is missing or does not fit into the file"));
}

absl::Status CheckTensors(const Json& header, const TensorTable& expected, std::size_t data_bytes) {
  if (header.size() != expected.json().size() + 1)
    return DataLoss(absl::StrCat("it names ", header.size() - 1, " tensors; its spec has ",
                                 expected.json().size()));
  for (const auto& [name, entry] : expected.json().items()) {
    const auto found = header.find(name);
    if (found == header.end()) return DataLoss(absl::StrCat("tensor ", name, " is missing"));
    if (*found != entry)
      return DataLoss(
          absl::StrCat("tensor ", name, " is not ", DumpJson(entry), ", as its spec says"));
  }
  if (data_bytes != expected.bytes())
    return DataLoss(
        absl::StrCat(data_bytes, " bytes of tensors; its header says ", expected.bytes()));
  return absl::OkStatus();
}

void TakeTensors(absl::string_view data, const Flow& flow, std::size_t calibration_rows,
                 Model& model) {
  model.calibration.log_probs.resize(calibration_rows);
  TakeBytes(data, model.calibration.log_probs.data(), calibration_rows);
  model.parameters = ParameterValues(flow.layout().size());
  for (const ParameterLayout::Entry& entry : flow.layout().entries()) {
    for (int r = 0; r < entry.slice.rows; ++r)
      TakeBytes(data,
                model.parameters.data() + entry.slice.offset +
                    static_cast<std::size_t>(r) * entry.slice.ld,
                static_cast<std::size_t>(entry.slice.cols));
  }
}

}  // namespace

absl::StatusOr<std::string> EncodeModel(const Model& model) {
  MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model.spec));
  if (model.parameters.size() != flow->layout().size())
    return absl::InvalidArgumentError(
        absl::StrCat(model.parameters.size(), " parameters; the spec has ", flow->layout().size()));
  MILLRACE_RETURN_IF_ERROR(CheckParts(model, *flow));
  MILLRACE_ASSIGN_OR_RETURN(const std::string text, ModelToJson(model));
  const TensorTable tensors(*flow, model.calibration.log_probs.size());
  Json header = {{kMetadata,
                  {{kChecksum, std::string(kDigits, '0')},
                   {kFormat, absl::StrCat(kModelFormatVersion)},
                   {kModel, text}}}};
  header.update(tensors.json());
  std::string header_text = DumpJson(header);
  header_text.resize((header_text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  if (header_text.size() > kMaxHeaderBytes)
    return absl::InvalidArgumentError(absl::StrCat(
        "a header of ", header_text.size(), " bytes; at most ", kMaxHeaderBytes, " are possible"));
  std::string bytes;
  bytes.reserve(kLengthBytes + header_text.size() + tensors.bytes());
  const std::uint64_t length = header_text.size();
  AppendBytes(&length, 1, bytes);
  bytes += header_text;
  AppendBytes(model.calibration.log_probs.data(), model.calibration.log_probs.size(), bytes);
  for (const ParameterLayout::Entry& entry : flow->layout().entries()) {
    for (int r = 0; r < entry.slice.rows; ++r)
      AppendBytes(model.parameters.data() + entry.slice.offset +
                      static_cast<std::size_t>(r) * entry.slice.ld,
                  static_cast<std::size_t>(entry.slice.cols), bytes);
  }
  bytes.replace(kDigitsAt, kDigits, Checksum(bytes));
  return bytes;
}

absl::StatusOr<Model> DecodeModel(absl::string_view bytes) {
  MILLRACE_ASSIGN_OR_RETURN(const absl::string_view header_text, HeaderOf(bytes));
  const Json header = ParseJson(header_text, kDeepestHeader);
  if (!header.is_object()) return DataLoss("its header is not a JSON object");
  MILLRACE_RETURN_IF_ERROR(CheckFormat(header));
  MILLRACE_ASSIGN_OR_RETURN(const std::string text, MetadataText(header, kModel));
  absl::StatusOr<Model> model = ModelFromJson(text);
  if (!model.ok()) return DataLoss(absl::StrCat(kModel, ": ", model.status().message()));
  const absl::StatusOr<std::shared_ptr<const Flow>> flow = Flow::Create(model->spec);
  if (!flow.ok()) return DataLoss(flow.status().message());
  const absl::string_view data = bytes.substr(kLengthBytes + header_text.size());
  MILLRACE_ASSIGN_OR_RETURN(const std::size_t rows, CalibrationRows(header, data.size()));
  MILLRACE_RETURN_IF_ERROR(CheckTensors(header, TensorTable(**flow, rows), data.size()));
  TakeTensors(data, **flow, rows, *model);
  const absl::Status parts = CheckParts(*model, **flow);
  if (!parts.ok()) return DataLoss(parts.message());
  return model;
}

absl::Status SaveModel(const Model& model, const std::string& path) {
  MILLRACE_ASSIGN_OR_RETURN(const std::string bytes, EncodeModel(model));
  return WriteFileDurably(path, bytes);
}

absl::StatusOr<Model> LoadModel(const std::string& path) {
  const auto named = [&](const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  };
  MILLRACE_ASSIGN_OR_RETURN(
      const std::string bytes,
      ReadWholeFile(path, kMaxFileBytes, [&](absl::string_view start, std::int64_t size) {
        const absl::Status status = CheckStart(start, size);
        return status.ok() ? status : named(status);
      }));
  absl::StatusOr<Model> model = DecodeModel(bytes);
  if (!model.ok()) return named(model.status());
  return model;
}

}  // namespace millrace
