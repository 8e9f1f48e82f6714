// SPDX-License-Identifier: Apache-2.0
// complete and manipulate on images, against a server whose answers are known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "client/cli/io/png_file.h"
#include "tests/client/cli/commands.h"

namespace millrace::cli {
namespace {

using client::FromMatrix;
using client::Table;
using client::ToMatrix;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A model of images of 1 x 2 pixels. Of what is missing the most likely is 200, the k-th draw is
// 201 + k; an amount is added to every pixel.
class LatentPictures : public Commands {
 protected:
  LatentPictures() {
    DescribeImages({1, 2, 1});
    server_.complete = [this](auto&, const auto& request, auto& response) {
      asked_.push_back(request);
      const Table rows = *FromMatrix(request.rows());
      const int copies = std::max(static_cast<int>(request.draws()), 1);
      const double first = request.draws() > 0 ? 201 : 200;
      Table out{{}, rows.rows * copies, rows.cols, {}};
      for (std::int64_t r = 0; r < rows.rows; ++r)
        for (int k = 0; k < copies; ++k) {
          for (const double v : rows.row(r)) out.values.push_back(std::isnan(v) ? first + k : v);
          response.add_log_prob(-1.0);
          response.add_out_of_support(false);
          if (request.draws() > 0) response.add_acceptance_rate(0.5);
          if (request.draws() == 0) response.add_converged(true);
        }
      *response.mutable_rows() = ToMatrix(out, 0, out.rows);
      return grpc::Status::OK;
    };
    server_.manipulate = [](auto&, const auto& request, auto& response) {
      const Table rows = *FromMatrix(request.rows());
      Table out{{}, rows.rows * request.amounts_size(), rows.cols, {}};
      for (std::int64_t r = 0; r < rows.rows; ++r)
        for (const double amount : request.amounts()) {
          for (const double v : rows.row(r)) out.values.push_back(v + amount);
          response.add_log_prob(-1.5);
          response.add_out_of_support(false);
        }
      *response.mutable_rows() = ToMatrix(out, 0, out.rows);
      return grpc::Status::OK;
    };
  }

  void DescribeImages(const ImageShape& shape) {
    server_.get_model = [shape](auto&, const auto& request, auto& response) {
      v1::Model& model = *response.mutable_model();
      model.set_name(request.name());
      model.set_version(3);
      for (const char* name : {"left", "right"})
        model.add_columns()->mutable_spec()->set_name(name);
      if (shape.height == 0) return grpc::Status::OK;
      model.mutable_flow()->mutable_image()->set_height(static_cast<unsigned>(shape.height));
      model.mutable_flow()->mutable_image()->set_width(static_cast<unsigned>(shape.width));
      model.mutable_flow()->mutable_image()->set_channels(static_cast<unsigned>(shape.channels));
      return grpc::Status::OK;
    };
  }
  // Four images: 1 2, 3 4, 5 6, 7 8.
  std::string Images() { return folder_.Write("i.idx", Idx({4, 1, 2}, "\1\2\3\4\5\6\7\x08")); }
  std::string Png() const { return folder_.Path("p.png"); }
  std::string Message(const std::string& arguments) {
    const absl::Status status = Run(arguments);
    EXPECT_FALSE(status.ok()) << arguments;
    return std::string(status.message());
  }

  std::vector<v1::CompleteRequest> asked_;
};

TEST_F(LatentPictures, ManipulateHasALineForEachImage) {
  const std::string run = "manipulate digits " + Images() + " --rows 1:3 --attribute thick" +
                          " --amount -2,0,100 -o " + Png();
  const absl::Status status = Run(run);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(out_,
            "row,amount,log_prob\n1,-2,-1.5\n1,0,-1.5\n1,100,-1.5\n"
            "2,-2,-1.5\n2,0,-1.5\n2,100,-1.5\n");
  auto strip = ReadPng(Png());
  ASSERT_TRUE(strip.ok()) << strip.status();
  EXPECT_EQ(strip->shape, (ImageShape{4, 10, 1}));
  const auto line = [&](int y) {
    return std::vector(strip->pixels.begin() + 10 * y, strip->pixels.begin() + 10 * (y + 1));
  };
  EXPECT_THAT(line(0), ElementsAre(1, 2, 128, 128, 3, 4, 128, 128, 103, 104));
  EXPECT_THAT(line(3), ElementsAre(3, 4, 128, 128, 5, 6, 128, 128, 105, 106));
  ASSERT_TRUE(Run(run + " --across 1").ok());
  EXPECT_EQ(ReadPng(Png())->shape, (ImageShape{16, 2, 1}));
}

TEST_F(LatentPictures, CompleteShowsTheHoleTheMostLikelyAndTheDraws) {
  const std::string run = "complete digits " + Images() + " --rows 2: --missing :,1:2 -o " + Png();
  absl::Status status = Run(run + " --draws 2 --seed 9");
  ASSERT_TRUE(status.ok()) << status;
  auto picture = ReadPng(Png());
  ASSERT_TRUE(picture.ok()) << picture.status();
  EXPECT_EQ(picture->shape, (ImageShape{4, 14, 1}));
  EXPECT_THAT(std::vector(picture->pixels.begin(), picture->pixels.begin() + 14),
              ElementsAre(5, 128, 128, 128, 5, 200, 128, 128, 5, 201, 128, 128, 5, 202));
  EXPECT_THAT(std::vector(picture->pixels.end() - 14, picture->pixels.end()),
              ElementsAre(7, 128, 128, 128, 7, 200, 128, 128, 7, 201, 128, 128, 7, 202));
  EXPECT_EQ(out_,
            "row,draw,log_prob,acceptance_rate,converged\n"
            "2,0,-1,nan,1\n2,1,-1,0.5,nan\n2,2,-1,0.5,nan\n"
            "3,0,-1,nan,1\n3,1,-1,0.5,nan\n3,2,-1,0.5,nan\n");
  ASSERT_EQ(asked_.size(), 4u) << "a row at a time, so that progress can be shown";
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(asked_[i].seed(), 9u);
    EXPECT_EQ(asked_[i].version(), 3u);
    EXPECT_EQ(asked_[i].draws(), i % 2 == 0 ? 0u : 2u);
    EXPECT_EQ(asked_[i].first_row(), i / 2) << "the draws of the row in any table";
  }
  ASSERT_TRUE(Run(run).ok());
  picture = ReadPng(Png());
  EXPECT_EQ(picture->shape, (ImageShape{4, 6, 1}));
  EXPECT_EQ(asked_.size(), 6u);
}

TEST_F(LatentPictures, ArePlannedBeforeAnythingIsComputed) {
  const std::string hole = "complete digits " + Images() + " --missing :,1:2 -o ";
  const std::string move = "manipulate digits " + Images() + " --attribute thick -o ";
  server_.manipulate = [](auto&, const auto&, auto&) {
    ADD_FAILURE() << "computed for nothing";
    return grpc::Status::OK;
  };
  for (const std::string& run : {hole, move})
    EXPECT_THAT(Message(run + folder_.Path("no/p.png")), HasSubstr("no/p.png: cannot write"));
  DescribeImages({1, 1 << 11, 1});
  const std::string wide = folder_.Write("w.idx", Idx({1, 1, 1 << 11}, std::string(1 << 11, '\1')));
  EXPECT_THAT(Message("complete digits " + wide + " --missing :,1:2 --draws 100000 -o " + Png()),
              HasSubstr("a picture of more than 134217728 numbers is too large"));
  DescribeImages({1, 2, 1});
  const std::string many = folder_.Write("m.idx", Idx({300, 1, 2}, std::string(600, '\1')));
  EXPECT_THAT(
      Message("complete digits " + many + " --missing :,1:2 --draws 100000 --across 1 -o " + Png()),
      HasSubstr("too large"))
      << "with the lines between the images: of themselves they have half as many numbers";
  EXPECT_TRUE(asked_.empty());
  EXPECT_FALSE(std::filesystem::exists(Png()));
}

TEST_F(LatentPictures, AFailureLeavesTheOldPicture) {
  const std::string run = "complete digits " + Images() + " --missing :,1:2 -o " + Png();
  ASSERT_TRUE(Run(run).ok());
  const auto before = ReadPng(Png())->pixels;
  server_.complete = [answer = server_.complete](auto& context, const auto& request,
                                                 auto& response) {
    return request.first_row() < 2 ? answer(context, request, response) : client::BadRow(0);
  };
  EXPECT_THAT(Message(run + " --draws 2"), HasSubstr("i.idx, row 2: "));
  EXPECT_EQ(ReadPng(Png())->pixels, before);
}

TEST_F(LatentPictures, HolesOfAFileAreShownToo) {
  const std::string table = folder_.Write("t.csv", "right,left\n2,\n4,3\n");
  const std::string run = "complete digits " + table + " -o " + Png();
  ASSERT_TRUE(Run(run).ok()) << "columns in the model's order";
  EXPECT_THAT(ReadPng(Png())->pixels,
              ElementsAre(128, 2, 128, 128, 200, 2, 128, 128, 128, 128, 128, 128, 128, 128, 128,
                          128, 128, 128, 3, 4, 128, 128, 3, 4));
  ASSERT_TRUE(Run(run + " --missing :,1:").ok()) << "both kinds of holes";
  EXPECT_THAT(std::vector({ReadPng(Png())->pixels[1], ReadPng(Png())->pixels[5]}),
              ElementsAre(128, 200));
}

TEST_F(LatentPictures, AHoleIsForTablesToo) {
  const std::string run = "complete digits " + Images() + " --rows 0:1 --missing 0:1,0:1";
  ASSERT_TRUE(Run(run).ok());
  EXPECT_THAT(out_, HasSubstr("\n200,2,-1,1\n"));
  DescribeImages({});
  const std::string table = folder_.Write("t.csv", "1,2\n");
  ASSERT_TRUE(Run("complete digits " + table + " --missing 0:1,: --image 2x1").ok());
  EXPECT_THAT(out_, HasSubstr("\n200,2,-1,1\n"));
}

TEST_F(LatentPictures, AHoleTakesAllChannelsOfAPixel) {
  const std::string images = folder_.Write("i.idx", Idx({1, 1, 2, 3}, "\1\2\3\4\5\6"));
  ASSERT_TRUE(Run("complete digits " + images + " --missing 0:,1: -o " + Png()).ok());
  const auto picture = ReadPng(Png());
  ASSERT_TRUE(picture.ok()) << picture.status();
  EXPECT_EQ(picture->shape, (ImageShape{1, 6, 3}));
  EXPECT_THAT(std::vector(picture->pixels.begin(), picture->pixels.begin() + 6),
              ElementsAre(1, 2, 3, 128, 128, 128));
}

TEST_F(LatentPictures, AHoleLiesWithinTheImage) {
  const std::string complete = "complete digits " + Images() + " -o " + Png();
  for (const std::string hole : {"0:2,:", ":,0:3", "1:,:", ":,2:", ":,9999999999:"})
    EXPECT_THAT(Message(complete + " --missing " + hole),
                AllOf(HasSubstr("--missing "), HasSubstr("is not within images of 1 x 2 x 1")))
        << hole;
  for (const std::string hole :
       {"0:1", "0:0,0:1", "0:1,1:1", "0,1", "1:0,:", "a:b,:", ":,:,:", "-1:1,:"}) {
    const absl::Status status = Run(complete + " --missing " + hole);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << hole;
    EXPECT_THAT(std::string(status.message()), HasSubstr("not TOP:BOTTOM,LEFT:RIGHT")) << hole;
  }
  EXPECT_THAT(Message(complete), HasSubstr("i.idx, row 0: nothing is missing in 4 images"));
  EXPECT_TRUE(asked_.empty());
  EXPECT_FALSE(std::filesystem::exists(Png()));
}

TEST_F(LatentPictures, NeedASizeThatFits) {
  const std::string hole = " --missing :,1:";
  EXPECT_THAT(Message("complete digits " + Images() + " --image 2x2" + hole),
              HasSubstr("images of 2 x 2 x 1 have 4 numbers, the rows 2"));
  EXPECT_THAT(Message("complete digits " + Images() + " --image 1x2"), HasSubstr("ends in .png"));
  EXPECT_THAT(Message("complete digits " + Images() + hole + " --across 2"),
              HasSubstr("ends in .png"));
  DescribeImages({});
  const std::string table = folder_.Write("t.csv", "1,2\n3,\n");
  for (const std::string& command :
       {"complete digits " + table + hole, "complete digits " + table + " -o " + Png(),
        "manipulate digits " + table + " --attribute thick -o " + Png()})
    EXPECT_THAT(Message(command),
                HasSubstr("model digits does not tell the size of an image of 2 numbers"));
  EXPECT_TRUE(asked_.empty());
  EXPECT_FALSE(std::filesystem::exists(Png()));
}

TEST_F(LatentPictures, ErrorsNameTheRowOfTheFile) {
  server_.complete = [](auto&, const auto&, auto&) { return client::BadRow(1); };
  EXPECT_THAT(Message("complete digits " + Images() + " --rows 2: --missing :,1:"),
              HasSubstr("i.idx, row 3: "));
  server_.manipulate = [](auto&, const auto&, auto&) { return client::BadRow(0); };
  EXPECT_THAT(Message("manipulate digits " + Images() + " --rows 2:3 --attribute thick"),
              HasSubstr("i.idx, row 2: "));
}

}  // namespace
}  // namespace millrace::cli
