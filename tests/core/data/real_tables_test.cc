// SPDX-License-Identifier: Apache-2.0
// How the columns of real tables are typed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/data/column_model.h"
#include "tests/support/data_folder.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The rows of a .csv.gz without a header; none where there is no such file.
std::vector<std::vector<double>> ReadTable(const std::string& name) {
  std::vector<std::vector<double>> rows;
  const gzFile file = gzopen((DataFolder() / "density" / name).c_str(), "rb");
  if (file == nullptr) return rows;
  char line[1 << 14];
  while (gzgets(file, line, sizeof(line)) != nullptr) {
    std::vector<double>& row = rows.emplace_back();
    for (const absl::string_view cell : absl::StrSplit(line, ',')) {
      double value = 0.0;
      if (absl::SimpleAtod(cell, &value)) row.push_back(value);
    }
  }
  gzclose(file);
  return rows;
}

struct Binned {
  std::vector<int> discrete;
  std::vector<int> tied;
};

class RealTablesTest : public testing::Test {
 protected:
  void Type(const std::string& name) {
    const auto table = ReadTable(name);
    if (table.empty()) GTEST_SKIP() << name << " is not in " << DataFolder();
    const auto columns = static_cast<int>(table[0].size());
    Rows<double> rows(static_cast<std::int64_t>(table.size()), columns);
    std::vector<ColumnSpec> specs(columns);
    for (int c = 0; c < columns; ++c) {
      specs[c].name = absl::StrCat("c", c);
      for (std::size_t r = 0; r < table.size(); ++r) rows(r, c) = table[r][c];
    }
    const auto model = ColumnModel::Fit(specs, rows.view());
    ASSERT_TRUE(model.ok()) << model.status();
    for (int c = 0; c < columns; ++c) {
      const Column& column = model->columns()[c];
      if (column.type == ColumnType::kDiscrete)
        binned_.discrete.push_back(c);
      else if (column.bin_width > 0.0)
        binned_.tied.push_back(c);
    }
  }

  Binned binned_;
};

// Five significant digits: continuous all of them.
TEST_F(RealTablesTest, Kin40k) {
  Type("kin40k_data.csv.gz");
  EXPECT_THAT(binned_.discrete, IsEmpty());
  EXPECT_THAT(binned_.tied, IsEmpty());
}

TEST_F(RealTablesTest, Pumadyn) {
  Type("pumadyn32nm_data.csv.gz");
  EXPECT_THAT(binned_.discrete, IsEmpty());
  EXPECT_THAT(binned_.tied, IsEmpty());
}

// Column 7 holds integers less their mean.
TEST_F(RealTablesTest, Protein) {
  Type("protein_data.csv.gz");
  if (IsSkipped()) return;
  EXPECT_THAT(binned_.discrete, ElementsAre(7));
  EXPECT_THAT(binned_.tied, IsEmpty());
}

}  // namespace
}  // namespace millrace
