// SPDX-License-Identifier: Apache-2.0
#include "core/io/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/flow/flow.h"
#include "core/io/json_archive.h"
#include "nlohmann/json.hpp"

namespace millrace {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A model of two columns, small enough to damage every byte of.
Model SmallModel() {
  Model model;
  model.spec.dim = 2;
  model.spec.seed = std::numeric_limits<std::uint64_t>::max();
  model.spec.stack = StackSpec{.layers = 1,
                               .hidden_sizes = {3},
                               .residual = false,
                               .mixing = Mixing::kNone,
                               .activation = Activation::kTanh,
                               .act_norm = true,
                               .whiten = true,
                               .heavy_tails = true};
  Column real{.name = "x \"\\ \xc3\xa9\n", .mean = 0.1, .deviation = 1.0 / 3};
  real.lower = -std::numeric_limits<double>::denorm_min();
  real.center = -0.0;
  real.scale = std::nextafter(1.0, 2.0);
  Column count{
      .name = "count", .type = ColumnType::kDiscrete, .lattice_tolerance = 1e-3, .bin_width = 1.0};
  Column constant{.name = "constant", .type = ColumnType::kConstant, .constant = 1e300};
  model.columns = *ColumnModel::FromColumns({real, count, constant});
  model.parameters = (*Flow::Create(model.spec))->InitialParameters();
  model.parameters[0] = -0.0f;
  model.parameters[1] = std::numeric_limits<float>::denorm_min();
  model.calibration = {{-kInfinity, -1e300, -0.1, 0.1}, 0.05};
  model.report.fit = {100, 1.0 / 7, 1e-9};
  model.report.epochs = 12;
  model.report.stop_reason = StopReason::kEarlyStopping;
  model.report.warnings = {"few rows", ""};
  model.create_time_unix_micros = -5;
  return model;
}

template <typename T>
std::vector<std::uint8_t> Bits(const T* values, std::size_t count) {
  std::vector<std::uint8_t> bits(count * sizeof(T));
  std::memcpy(bits.data(), values, bits.size());
  return bits;
}

void ExpectSame(const Model& a, const Model& b) {
  EXPECT_EQ(a.spec, b.spec);
  ASSERT_EQ(a.columns.num_columns(), b.columns.num_columns());
  for (int c = 0; c < a.columns.num_columns(); ++c) {
    const Column& x = a.columns.columns()[c];
    const Column& y = b.columns.columns()[c];
    EXPECT_EQ(x, y);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(x.center), std::bit_cast<std::uint64_t>(y.center));
  }
  ASSERT_EQ(a.parameters.size(), b.parameters.size());
  EXPECT_EQ(Bits(a.parameters.data(), a.parameters.size()),
            Bits(b.parameters.data(), b.parameters.size()));
  EXPECT_EQ(a.calibration, b.calibration);
  EXPECT_EQ(a.report, b.report);
  EXPECT_EQ(a.create_time_unix_micros, b.create_time_unix_micros);
}

std::size_t HeaderLength(const std::string& bytes) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  return length;
}

// The file with another header and the checksum to go with it.
std::string WithHeader(const std::string& bytes, std::string header) {
  const std::string start = R"({"__metadata__":{"millrace.checksum":")";
  const std::uint64_t length = header.size();
  std::string changed(reinterpret_cast<const char*>(&length), 8);
  changed += header + bytes.substr(8 + HeaderLength(bytes));
  const std::size_t at = 8 + start.size();
  if (changed.compare(8, start.size(), start) != 0) return changed;
  changed.replace(at, 8, "00000000");
  const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(changed.data()), changed.size());
  return changed.replace(at, 8, absl::StrFormat("%08x", crc));
}

std::string Edited(const std::string& bytes, const std::function<void(Json&)>& edit) {
  Json header = Json::parse(bytes.substr(8, HeaderLength(bytes)));
  edit(header);
  return WithHeader(bytes, header.dump());
}

// Edits the model's own text inside the header.
std::string EditedModel(const std::string& bytes, const std::function<void(Json&)>& edit) {
  return Edited(bytes, [&](Json& header) {
    Json model = Json::parse(header["__metadata__"]["millrace.model"].get<std::string>());
    edit(model);
    header["__metadata__"]["millrace.model"] = model.dump();
  });
}

absl::StatusCode CodeOf(const std::string& bytes) { return DecodeModel(bytes).status().code(); }

TEST(ModelFileTest, RoundTripsBitForBit) {
  const Model model = SmallModel();
  const auto bytes = EncodeModel(model);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*EncodeModel(model), *bytes);
  const auto read = DecodeModel(*bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSame(model, *read);
  EXPECT_EQ(*EncodeModel(*read), *bytes);
}

TEST(ModelFileTest, IsSafetensors) {
  const std::string bytes = *EncodeModel(SmallModel());
  const std::size_t length = HeaderLength(bytes);
  EXPECT_EQ((8 + length) % 8, 0);
  const Json header = Json::parse(bytes.substr(8, length));
  std::size_t end = 0;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : tensor.items()) EXPECT_TRUE(value.is_string()) << key;
      continue;
    }
    EXPECT_EQ(tensor["data_offsets"][0], end) << name;
    std::size_t size = tensor["dtype"] == "F64" ? 8 : 4;
    for (const auto& extent : tensor["shape"]) size *= extent.get<std::size_t>();
    end += size;
    EXPECT_EQ(tensor["data_offsets"][1], end) << name;
  }
  EXPECT_EQ(bytes.size(), 8 + length + end);
}

TEST(ModelFileTest, EveryTruncationIsDataLoss) {
  const std::string bytes = *EncodeModel(SmallModel());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    ASSERT_EQ(CodeOf(bytes.substr(0, size)), absl::StatusCode::kDataLoss) << size;
  EXPECT_EQ(CodeOf(bytes + "x"), absl::StatusCode::kDataLoss);
}

TEST(ModelFileTest, EveryFlippedByteIsDataLoss) {
  std::string bytes = *EncodeModel(SmallModel());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const char flip : {'\x01', '\x20', '\x80', '\xff'}) {
      bytes[i] ^= flip;
      ASSERT_EQ(CodeOf(bytes), absl::StatusCode::kDataLoss) << "byte " << i;
      bytes[i] ^= flip;
    }
  }
}

// With the checksum put right, whatever the byte turns the header into must be refused or be
// harmless.
TEST(ModelFileTest, NoForgedHeaderByteCrashes) {
  const std::string bytes = *EncodeModel(SmallModel());
  const std::string header = bytes.substr(8, HeaderLength(bytes));
  for (std::size_t i = 0; i < header.size(); ++i) {
    for (const char replacement :
         {'0', '9', '-', '"', '[', ']', '{', '}', 'e', '\\', ' ', '\0', '\xff'}) {
      std::string changed = header;
      changed[i] = replacement;
      const auto model = DecodeModel(WithHeader(bytes, changed));
      ASSERT_TRUE(!model.ok() || EncodeModel(*model).ok()) << changed;
    }
  }
}

TEST(ModelFileTest, ForeignFilesAreDataLoss) {
  EXPECT_EQ(CodeOf(""), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf("PK\x03\x04 an archive of some kind"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(std::string(1000, '\0')), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(std::string(1000, '\xff')), absl::StatusCode::kDataLoss);
  const std::string other = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::uint64_t length = other.size();
  std::string foreign(reinterpret_cast<const char*>(&length), 8);
  foreign += other + "1234";
  const absl::Status status = DecodeModel(foreign).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("not a model file"));
}

TEST(ModelFileTest, ForgedLengthsAllocateNothing) {
  const std::string good = *EncodeModel(SmallModel());
  for (const std::uint64_t length :
       {std::uint64_t{1} << 20, std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{0} - 7}) {
    std::string bytes = good;
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_EQ(CodeOf(bytes), absl::StatusCode::kDataLoss);
  }
  // A calibration tensor, and a flow, far larger than the file.
  EXPECT_EQ(
      CodeOf(Edited(
          good, [](Json& h) { h["calibration.log_probs"]["shape"][0] = std::uint64_t{1} << 61; })),
      absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(EditedModel(good,
                               [](Json& m) {
                                 m["spec"]["stack"]["hidden_sizes"] = {8192, 8192, 8192};
                               })),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(EditedModel(good, [](Json& m) { m["spec"]["dim"] = 2147483647; })),
            absl::StatusCode::kDataLoss);
}

// A forged array costs no more than its text.
TEST(JsonReaderTest, ArraysGrowWithTheirElementsOnly) {
  std::vector<std::vector<double>> rows;
  JsonReader reader;
  Json json = Json::array({Json::array({1.0}), 0});
  for (int i = 0; i < 1000; ++i) json.push_back(Json::array());
  reader.Read(json, rows);
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_LE(rows.size(), 2u);
}

TEST(ModelFileTest, DeepNestingIsHarmless) {
  const std::string good = *EncodeModel(SmallModel());
  const std::string start = good.substr(8, good.find("\"millrace.format\"") - 8);
  const std::string deep = start + "\"a\":" + std::string(1000000, '[');
  EXPECT_EQ(CodeOf(WithHeader(good, deep)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(WithHeader(good, deep + std::string(1000000, ']') + "}}")),
            absl::StatusCode::kDataLoss);
}

// Files of earlier versions lack keys that were added since.
TEST(ModelFileTest, KeysAddedSinceMayBeMissing) {
  Model model = SmallModel();
  model.report.fit_rows = 12345;
  const std::string bytes = *EncodeModel(model);
  const auto without = [](Json& object, const char* key) {
    EXPECT_EQ(object.erase(key), 1) << key;
  };
  const auto read = DecodeModel(EditedModel(bytes, [&](Json& m) {
    for (const char* key : {"levels", "additive", "weight_norm"}) without(m["spec"]["stack"], key);
    without(m["report"], "fit_rows");
  }));
  ASSERT_TRUE(read.ok()) << read.status();
  model.report.fit_rows = model.report.fit.rows;
  ExpectSame(model, *read);
}

TEST(ModelFileTest, AFutureVersionIsFailedPrecondition) {
  const std::string bytes = Edited(*EncodeModel(SmallModel()), [](Json& header) {
    header["__metadata__"]["millrace.format"] = "2";
    header["__metadata__"]["millrace.model"] = "something new";
  });
  const absl::Status status = DecodeModel(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("version 2"));
}

struct Contradiction {
  const char* what;
  std::function<void(Json&)> header;
  std::function<void(Json&)> model;
};

void PrintTo(const Contradiction& c, std::ostream* out) { *out << c.what; }

class ContradictionTest : public testing::TestWithParam<Contradiction> {};

TEST_P(ContradictionTest, IsDataLoss) {
  const std::string good = *EncodeModel(SmallModel());
  const std::string bytes =
      GetParam().header ? Edited(good, GetParam().header) : EditedModel(good, GetParam().model);
  const absl::Status status = DecodeModel(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

constexpr char kTensor[] = "calibration.log_probs";

INSTANTIATE_TEST_SUITE_P(
    Headers, ContradictionTest,
    testing::Values(
        Contradiction{"Overlap", [](Json& h) { h.back()["data_offsets"][0] = 0; }, {}},
        Contradiction{"OutOfRange",
                      [](Json& h) {
                        h.back()["data_offsets"] = {1 << 30, 1 << 31};
                      },
                      {}},
        Contradiction{"NegativeOffset",
                      [](Json& h) {
                        h.back()["data_offsets"] = {-8, 0};
                      },
                      {}},
        Contradiction{"WrongType", [](Json& h) { h.back()["dtype"] = "F16"; }, {}},
        Contradiction{"WrongShape",
                      [](Json& h) {
                        h.back()["shape"] = {1, 1, 1};
                      },
                      {}},
        Contradiction{"ShapeOfText", [](Json& h) { h[kTensor]["shape"] = "4"; }, {}},
        Contradiction{"MissingTensor", [](Json& h) { h.erase(kTensor); }, {}},
        Contradiction{"ExtraTensor", [](Json& h) { h["more"] = h[kTensor]; }, {}},
        Contradiction{
            "FormatOfText", [](Json& h) { h["__metadata__"]["millrace.format"] = "x"; }, {}},
        Contradiction{
            "FormatMissing", [](Json& h) { h["__metadata__"].erase("millrace.format"); }, {}},
        Contradiction{
            "ModelNoJson", [](Json& h) { h["__metadata__"]["millrace.model"] = "{"; }, {}},
        Contradiction{
            "ModelNoObject", [](Json& h) { h["__metadata__"]["millrace.model"] = "3"; }, {}}),
    [](const auto& param_info) { return std::string(param_info.param.what); });

INSTANTIATE_TEST_SUITE_P(
    Models, ContradictionTest,
    testing::Values(
        Contradiction{"NoSpec", {}, [](Json& m) { m.erase("spec"); }},
        Contradiction{"SpecWithoutFamily", {}, [](Json& m) { m["spec"].erase("stack"); }},
        Contradiction{"OtherDim", {}, [](Json& m) { m["spec"]["dim"] = 3; }},
        Contradiction{"TextForNumber", {}, [](Json& m) { m["spec"]["dim"] = "2"; }},
        Contradiction{"FractionForInteger", {}, [](Json& m) { m["spec"]["dim"] = 2.0; }},
        Contradiction{"HugeInteger", {}, [](Json& m) { m["spec"]["dim"] = 1LL << 40; }},
        Contradiction{"NegativeSeed", {}, [](Json& m) { m["spec"]["seed"] = -1; }},
        Contradiction{"NumberForFlag", {}, [](Json& m) { m["spec"]["stack"]["whiten"] = 1; }},
        Contradiction{"MissingKey", {}, [](Json& m) { m["spec"]["stack"].erase("whiten"); }},
        Contradiction{"TextForAddedKey", {}, [](Json& m) { m["spec"]["stack"]["levels"] = "3"; }},
        Contradiction{"UnknownName", {}, [](Json& m) { m["spec"]["stack"]["mixing"] = "x"; }},
        Contradiction{"NullNumber", {}, [](Json& m) { m["columns"][0]["scale"] = nullptr; }},
        Contradiction{"BadScale", {}, [](Json& m) { m["columns"][0]["scale"] = -1.0; }},
        Contradiction{"SameNames", {}, [](Json& m) { m["columns"][0]["name"] = "count"; }},
        Contradiction{"NoColumns", {}, [](Json& m) { m["columns"] = Json::array(); }},
        Contradiction{"ObjectOfColumns", {}, [](Json& m) { m["columns"] = Json::object(); }},
        Contradiction{"BadRate", {}, [](Json& m) { m["false_positive_rate"] = 1.0; }}),
    [](const auto& param_info) { return std::string(param_info.param.what); });

TEST(ModelFileTest, NonFiniteParametersAreDataLoss) {
  const std::string good = *EncodeModel(SmallModel());
  const std::string header = good.substr(8, HeaderLength(good));
  std::string bytes = good;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + bytes.size() - 4, &nan, 4);
  const absl::Status status = DecodeModel(WithHeader(bytes, header)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("finite"));
}

TEST(ModelFileTest, UnsortedCalibrationIsDataLoss) {
  const std::string good = *EncodeModel(SmallModel());
  const std::string header = good.substr(8, HeaderLength(good));
  std::string bytes = good;
  const double large = 5.0;
  std::memcpy(bytes.data() + 8 + header.size(), &large, 8);
  EXPECT_EQ(CodeOf(WithHeader(bytes, header)), absl::StatusCode::kDataLoss);
}

TEST(ModelFileTest, RefusesToWriteWhatItCouldNotRead) {
  const auto refused = [](const std::function<void(Model&)>& change) {
    Model model = SmallModel();
    change(model);
    const absl::Status status = EncodeModel(model).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refused([](Model& m) { m.parameters[0] = std::nanf(""); }), HasSubstr("finite"));
  EXPECT_THAT(refused([](Model& m) { m.report.held_out.mean = -kInfinity; }),
              HasSubstr("report.held_out.mean"));
  EXPECT_THAT(refused([](Model& m) {
                m.report.warnings = {"ok", "\xff"};
              }),
              HasSubstr("report.warnings[1]"));
  refused([](Model& m) { m.calibration.log_probs = {std::nan("")}; });
  refused([](Model& m) { m.calibration.log_probs = {2.0, 1.0}; });
  refused([](Model& m) { m.calibration.log_probs = {kInfinity}; });
  refused([](Model& m) { m.parameters = ParameterValues(3); });
  refused([](Model& m) { m.spec.dim = 3; });
  refused([](Model& m) { m.columns = ColumnModel(); });
}

TEST(ModelFileTest, SavesAndLoads) {
  const std::string path =
      std::filesystem::path(testing::TempDir()) / "model_file_test.safetensors";
  const Model model = SmallModel();
  ASSERT_TRUE(SaveModel(model, path).ok());
  const auto read = LoadModel(path);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSame(model, *read);
  ASSERT_TRUE(WriteFileDurably(path, "nonsense").ok());
  EXPECT_THAT(LoadModel(path).status().message(), HasSubstr(path));
  // A foreign file costs no memory: the most that was ever in use stays.
  std::filesystem::resize_file(path, 1 << 30);
  const auto most_memory = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // KiB
  };
  const auto before = most_memory();
  EXPECT_EQ(LoadModel(path).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_LT(most_memory() - before, 100 << 10);
  std::filesystem::remove(path);
  EXPECT_EQ(LoadModel(path).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace millrace
