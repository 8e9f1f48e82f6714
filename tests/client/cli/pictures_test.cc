// SPDX-License-Identifier: Apache-2.0
// Subcommands on images: files of them as input, labels beside them, pictures as output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "client/cli/io/png_file.h"
#include "tests/client/cli/commands.h"

namespace millrace::cli {
namespace {

using client::FromMatrix;
using client::ToMatrix;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ImageCommands : public Commands {
 protected:
  // A model of four columns, and `conditions` more; it draws rows of its own.
  void Serve(int conditions) {
    server_.get_model = [conditions](auto&, const auto& request, auto& response) {
      response.mutable_model()->set_name(request.name());
      response.mutable_model()->set_version(3);
      for (int c = 0; c < 4 + conditions; ++c) {
        v1::ColumnSpec* spec = response.mutable_model()->add_columns()->mutable_spec();
        spec->set_name(c < 4 ? "x" + std::to_string(c) : "label");
        if (c >= 4) spec->set_role(v1::COLUMN_ROLE_CONDITION);
      }
      return grpc::Status::OK;
    };
    server_.sample = [](auto&, const auto& request, auto& stream) {
      const std::uint64_t contexts = std::max(request.context().rows(), 1u);
      for (std::uint64_t i = 0; i < request.count() * contexts; ++i) {
        v1::SampleResponse response;
        response.set_version(3);
        response.set_first_row(i);
        const double value = static_cast<double>(i) + 1;
        *response.mutable_rows() = ToMatrix({{}, 1, 4, {value, value, value, value}}, 0, 1);
        stream.Write(response);
      }
      return grpc::Status::OK;
    };
  }
  std::string Message(const std::string& arguments) {
    const absl::Status status = Run(arguments);
    EXPECT_FALSE(status.ok()) << arguments;
    return std::string(status.message());
  }
  std::string Png(const std::string& name = "p.png") const { return folder_.Path(name); }
};

TEST_F(ImageCommands, SampleShowsAGrid) {
  Serve(0);
  const absl::Status status = Run("sample digits -n 3 --image 2x2 -o " + Png());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(out_, "");
  auto grid = ReadPng(Png());
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_EQ(grid->shape, (ImageShape{6, 6, 1}));
  EXPECT_THAT(std::vector(grid->pixels.begin(), grid->pixels.begin() + 6),
              ElementsAre(1, 1, 128, 128, 2, 2));
  ASSERT_TRUE(Run("sample digits -n 3 --image 4x1 --across 3 -o " + Png()).ok());
  EXPECT_EQ(ReadPng(Png())->shape, (ImageShape{4, 7, 1}));
}

TEST_F(ImageCommands, APictureTooLargeIsKnownAtOnce) {
  Serve(1);
  server_.sample = [](auto&, const auto&, auto&) {
    ADD_FAILURE() << "drawn for nothing";
    return grpc::Status::OK;
  };
  const std::string given = "sample digits --given label=0 --given label=1 --image 2x2 -o " + Png();
  for (const std::string count : {"6000000", "18446744073709551615"})
    EXPECT_THAT(Message(given + " -n " + count), HasSubstr("p.png: a picture of more than "));
  EXPECT_THAT(
      Message("sample digits --given label=0 -n 3 --image 2x2 -o " + folder_.Path("no/p.png")),
      HasSubstr("no/p.png: cannot write"));
  EXPECT_FALSE(std::filesystem::exists(Png()));
}

TEST_F(ImageCommands, SampleShowsEachConditionInALine) {
  Serve(1);
  const std::string given = "sample digits --given label=0 --given label=1 --image 2x2 -o " + Png();
  ASSERT_TRUE(Run(given + " -n 5").ok());
  const auto grid = ReadPng(Png());
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_EQ(grid->shape, (ImageShape{6, 18, 1}));
  EXPECT_EQ(grid->pixels[4 * 18], 6);  // the first one under the second condition
  ASSERT_TRUE(Run(given + " -n 5 --across 2").ok());
  EXPECT_EQ(ReadPng(Png())->shape, (ImageShape{18, 6, 1}));
}

TEST_F(ImageCommands, APictureNeedsASizeThatFits) {
  Serve(1);
  EXPECT_THAT(
      Message("sample digits -n 1 -o " + Png()),
      HasSubstr("model digits does not tell the size of an image of 4 numbers; name it with "
                "--image HxW or HxWxC"));
  EXPECT_THAT(Message("sample digits -n 1 --image 2x2x3 -o " + Png()),
              HasSubstr("images of 2 x 2 x 3 have 12 numbers, the rows 4"));
  EXPECT_THAT(Message("sample digits -n 1 --image 2x2 -o a.csv"), HasSubstr("ends in .png"));
  EXPECT_THAT(Message("sample digits -n 1 --across 2"), HasSubstr("ends in .png"));
  EXPECT_THAT(Message("sample digits -n 1 --image 2x2 --format csv -o " + Png()),
              HasSubstr("ends in .png"));
  EXPECT_THAT(Message("sample digits -n 1 --image 2by2 -o " + Png()), HasSubstr("HEIGHTxWIDTH"));
  EXPECT_FALSE(std::filesystem::exists(Png()));
  ASSERT_TRUE(Run("sample digits -n 1 --format csv -o " + Png()).ok());
  EXPECT_THAT(folder_.Read("p.png"), HasSubstr("1,1,1,1\n"));
}

// What a model says of its images need be nothing that pictures show.
TEST_F(ImageCommands, APictureShowsOneChannelOrThree) {
  Serve(0);
  server_.get_model = [of_columns = server_.get_model](auto& context, const auto& request,
                                                       auto& response) {
    v1::ImageShape* image = response.mutable_model()->mutable_flow()->mutable_image();
    image->set_height(2);
    image->set_width(1);
    image->set_channels(2);
    return of_columns(context, request, response);
  };
  EXPECT_THAT(Message("sample digits -n 1 -o " + Png()),
              HasSubstr("images of 2 x 1 x 2 have 2 channels; a picture shows 1 or 3"));
  EXPECT_FALSE(std::filesystem::exists(Png()));
  EXPECT_TRUE(Run("sample digits -n 1 --image 2x2 -o " + Png()).ok());
}

TEST_F(ImageCommands, OtherCommandsWriteNoPictures) {
  const absl::Status status = Run("generate two-moons -n 3 -o " + Png(), false);
  EXPECT_EQ(ExitCode(status), 3);
  EXPECT_THAT(std::string(status.message()), HasSubstr("p.png: this command writes no pictures"));
}

TEST_F(ImageCommands, InterpolateShowsAStrip) {
  Serve(0);
  server_.interpolate = [](auto&, const auto& request, auto& response) {
    EXPECT_THAT(FromMatrix(request.rows())->values, ElementsAre(9, 10, 11, 12, 1, 2, 3, 4));
    *response.mutable_path() = ToMatrix({{}, 3, 4, {9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4}}, 0, 3);
    for (int i = 0; i < 3; ++i) response.add_log_prob(-i);
    return grpc::Status::OK;
  };
  const std::string path =
      folder_.Write("i.idx", Idx({3, 2, 2}, "\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c"));
  const std::string run = "interpolate digits " + path + " --rows 2,0 --steps 3 -o " + Png();
  ASSERT_TRUE(Run(run).ok());
  EXPECT_THAT(ReadPng(Png())->pixels, ElementsAre(9, 10, 128, 128, 5, 6, 128, 128, 1, 2,  //
                                                  11, 12, 128, 128, 7, 8, 128, 128, 3, 4));
  EXPECT_EQ(out_, "t,log_prob\n0,0\n0.5,-1\n1,-2\n");
  ASSERT_TRUE(Run(run + " --image 1x4 --across 1").ok());
  EXPECT_EQ(ReadPng(Png())->shape, (ImageShape{7, 4, 1}));
  EXPECT_THAT(Message(run + " --image 1x3"), HasSubstr("have 3 numbers, the rows 4"));
  const std::string table = folder_.Write("t.csv", "9,10,11,12\n1,2,3,4\n");
  EXPECT_THAT(Message("interpolate digits " + table + " -o " + Png()), HasSubstr("--image"));
  ASSERT_TRUE(Run("interpolate digits " + table + " --steps 3 --image 2x2 -o " + Png()).ok());
}

TEST_F(ImageCommands, TrainTakesLabelsAndARangeOfRows) {
  v1::TrainSpec spec;
  std::vector<double> values;
  server_.train = [&](auto&, auto& stream) {
    v1::TrainRequest request;
    while (stream.Read(&request)) {
      if (request.has_spec()) spec = request.spec();
      if (!request.has_chunk()) continue;
      const auto chunk = *FromMatrix(request.chunk());
      values.insert(values.end(), chunk.values.begin(), chunk.values.end());
    }
    v1::TrainResponse response;
    response.mutable_done()->set_version(1);
    stream.Write(response);
    return grpc::Status::OK;
  };
  const std::string images = folder_.WriteGzip("i.gz", Idx({3, 1, 2}, "\1\2\3\4\5\6"));
  const std::string labels = folder_.WriteGzip("l.gz", Idx({3}, "\7\x08\x09"));
  const std::string train = "train digits " + images + " --labels " + labels;
  absl::Status status = Run(train + " --rows 1:3 --categorical label --discrete x0");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(values, ElementsAre(3, 4, 8, 5, 6, 9));
  ASSERT_EQ(spec.columns_size(), 3);
  EXPECT_EQ(spec.columns(2).name(), "label");
  EXPECT_EQ(spec.columns(2).role(), v1::COLUMN_ROLE_CONDITION);
  EXPECT_EQ(spec.columns(2).type(), v1::COLUMN_TYPE_CATEGORICAL);
  EXPECT_EQ(spec.columns(0).type(), v1::COLUMN_TYPE_DISCRETE);

  const int calls = server_.calls;
  status = Run(train + " --rows 1:4");
  EXPECT_EQ(ExitCode(status), 3);
  EXPECT_THAT(std::string(status.message()), HasSubstr("i.gz: has 3 rows, too few for rows 1:4"));
  EXPECT_THAT(Message("train digits " + images + " --labels " + images), HasSubstr("2 columns"));
  EXPECT_THAT(Message("train digits --labels -"), HasSubstr("cannot both be standard input"));
  EXPECT_THAT(Message(train + " --rows 3:1"), HasSubstr("not BEGIN:END"));
  EXPECT_EQ(server_.calls, calls);
}

TEST_F(ImageCommands, LogProbOfAFolderUnderLabels) {
  Serve(1);
  std::vector<double> rows, contexts;
  server_.log_prob = [&](auto&, const auto& request, auto& response) {
    rows = FromMatrix(request.rows())->values;
    contexts = FromMatrix(request.context())->values;
    for (std::uint32_t r = 0; r < request.rows().rows(); ++r) {
      response.add_log_prob(0);
      response.add_out_of_support(false);
    }
    response.set_version(3);
    return grpc::Status::OK;
  };
  std::filesystem::create_directory(folder_.Path("images"));
  for (const unsigned char first : {10, 20, 30}) {
    const Picture picture{{2, 2, 1}, {first, 1, 2, 3}};
    folder_.Write("images/" + std::to_string(first) + ".png", *EncodePng(picture));
  }
  const std::string labels = folder_.Write("l.csv", "7\n8\n9\n");
  const absl::Status status =
      Run("log-prob digits " + folder_.Path("images") + " --labels " + labels + " --rows 1:");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(rows, ElementsAre(20, 1, 2, 3, 30, 1, 2, 3));
  EXPECT_THAT(contexts, ElementsAre(8, 9));
}

}  // namespace
}  // namespace millrace::cli
