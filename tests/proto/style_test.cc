// SPDX-License-Identifier: Apache-2.0
// Holds proto/ to Buf's STANDARD rules and to "every element has a comment", by walking the
// descriptors that protoc made.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace pb = google::protobuf;

const std::regex kLowerSnake("[a-z][a-z0-9]*(_[a-z0-9]+)*");
const std::regex kPascal("([A-Z][a-z0-9]*)+");

std::string ToUpperSnake(const std::string& pascal) {
  std::string out;
  for (std::size_t i = 0; i < pascal.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(pascal[i]);
    if (i > 0 && std::isupper(c)) out += '_';
    out += static_cast<char>(std::toupper(c));
  }
  return out;
}

// The names and comments of everything a file declares, as a flat list of complaints.
class Style {
 public:
  explicit Style(const pb::FileDescriptor& file) {
    Require(file.syntax() == pb::FileDescriptor::SYNTAX_PROTO3, file.name(), "syntax is proto3");
    Require(file.package() == "millrace.v1", file.name(), "package follows the directory");
    Require(std::regex_match(file.name(), std::regex("millrace/v1/[a-z0-9_]+\\.proto")),
            file.name(), "file name is lower_snake_case");
    Require(file.public_dependency_count() == 0, file.name(), "no public imports");
    for (int i = 0; i < file.message_type_count(); ++i) CheckMessage(*file.message_type(i));
    for (int i = 0; i < file.enum_type_count(); ++i) CheckEnum(*file.enum_type(i));
    for (int i = 0; i < file.service_count(); ++i) CheckService(*file.service(i));
    Require(file.service_count() == 0 || file.message_type_count() == 0, file.name(),
            "services stand apart from messages");
  }

  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  void Require(bool holds, const std::string& element, const std::string& rule) {
    if (!holds) complaints_.push_back(element + ": " + rule);
  }

  template <typename Descriptor>
  void RequireComment(const Descriptor& element) {
    pb::SourceLocation location;
    const bool found = element.GetSourceLocation(&location);
    Require(found && location.leading_comments.find_first_not_of(" \n/") != std::string::npos,
            element.full_name(), "has a comment");
  }

  void CheckMessage(const pb::Descriptor& message) {
    RequireComment(message);
    Require(std::regex_match(message.name(), kPascal), message.full_name(), "PascalCase");
    for (int i = 0; i < message.field_count(); ++i) {
      RequireComment(*message.field(i));
      Require(std::regex_match(message.field(i)->name(), kLowerSnake),
              message.field(i)->full_name(), "lower_snake_case");
    }
    for (int i = 0; i < message.real_oneof_decl_count(); ++i) {
      RequireComment(*message.oneof_decl(i));
      Require(std::regex_match(message.oneof_decl(i)->name(), kLowerSnake),
              message.oneof_decl(i)->full_name(), "lower_snake_case");
    }
    for (int i = 0; i < message.nested_type_count(); ++i) CheckMessage(*message.nested_type(i));
    for (int i = 0; i < message.enum_type_count(); ++i) CheckEnum(*message.enum_type(i));
  }

  void CheckEnum(const pb::EnumDescriptor& type) {
    RequireComment(type);
    Require(std::regex_match(type.name(), kPascal), type.full_name(), "PascalCase");
    Require(!type.options().allow_alias(), type.full_name(), "no aliases");
    const std::string prefix = ToUpperSnake(type.name()) + "_";
    Require(type.value(0)->number() == 0 && type.value(0)->name() == prefix + "UNSPECIFIED",
            type.full_name(), "first value is " + prefix + "UNSPECIFIED = 0");
    for (int i = 0; i < type.value_count(); ++i) {
      RequireComment(*type.value(i));
      Require(type.value(i)->name().starts_with(prefix), type.value(i)->full_name(),
              "starts with " + prefix);
      Require(std::regex_match(type.value(i)->name(), std::regex("[A-Z][A-Z0-9_]*")),
              type.value(i)->full_name(), "UPPER_SNAKE_CASE");
    }
  }

  void CheckService(const pb::ServiceDescriptor& service) {
    RequireComment(service);
    Require(service.name().ends_with("Service"), service.full_name(), "ends in Service");
    for (int i = 0; i < service.method_count(); ++i) {
      const pb::MethodDescriptor& method = *service.method(i);
      RequireComment(method);
      Require(std::regex_match(method.name(), kPascal), method.full_name(), "PascalCase");
      Require(method.input_type()->name() == method.name() + "Request", method.full_name(),
              "takes " + method.name() + "Request");
      Require(method.output_type()->name() == method.name() + "Response", method.full_name(),
              "gives " + method.name() + "Response");
    }
  }

  std::vector<std::string> complaints_;
};

std::vector<std::string> Complaints(const std::vector<pb::FileDescriptorProto>& files) {
  pb::DescriptorPool pool;
  std::vector<std::string> all;
  for (const auto& proto : files) {
    const pb::FileDescriptor* file = pool.BuildFile(proto);
    if (file == nullptr) return {proto.name() + ": does not build"};
    if (proto.name().starts_with("google/")) continue;
    const Style style(*file);
    all.insert(all.end(), style.complaints().begin(), style.complaints().end());
  }
  return all;
}

class ProtoStyle : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ifstream in(MILLRACE_DESCRIPTOR_SET, std::ios::binary);
    pb::FileDescriptorSet set;
    ASSERT_TRUE(set.ParseFromIstream(&in)) << MILLRACE_DESCRIPTOR_SET;
    files_.assign(set.file().begin(), set.file().end());
  }

  // The file that holds `name` among its messages.
  pb::FileDescriptorProto& FileOf(const std::string& name) {
    for (auto& file : files_)
      for (const auto& message : file.message_type())
        if (message.name() == name) return file;
    ADD_FAILURE() << "no message " << name;
    return files_.front();
  }

  std::vector<pb::FileDescriptorProto> files_;
};

TEST_F(ProtoStyle, EveryFileKeepsTheRules) {
  EXPECT_GE(files_.size(), 10u);
  for (const std::string& complaint : Complaints(files_)) ADD_FAILURE() << complaint;
}

TEST_F(ProtoStyle, AMissingCommentIsSeen) {
  FileOf("Matrix").clear_source_code_info();
  EXPECT_FALSE(Complaints(files_).empty());
}

TEST_F(ProtoStyle, AWrongFieldNameIsSeen) {
  FileOf("Matrix").mutable_message_type(0)->mutable_field(0)->set_name("nRows");
  EXPECT_EQ(Complaints(files_),
            std::vector<std::string>{"millrace.v1.Matrix.nRows: lower_snake_case"});
}

TEST_F(ProtoStyle, RequestsAndResponsesBelongToOneMethodEach) {
  std::set<std::string> seen;
  for (const auto& file : files_)
    for (const auto& service : file.service())
      for (const auto& method : service.method()) {
        EXPECT_TRUE(seen.insert(method.input_type()).second) << method.input_type();
        EXPECT_TRUE(seen.insert(method.output_type()).second) << method.output_type();
      }
  EXPECT_EQ(seen.size(), 30u);
}

}  // namespace
