// SPDX-License-Identifier: Apache-2.0
// Plain structs as JSON. A struct is described once, by an overload
//   template <typename Archive> void Describe(Archive& archive, T& value)  // archive.Field("name",
//   value.name) ...
// and an enum by an overload EnumNames(T) that lists its names; JsonWriter and JsonReader do the
// rest. Numbers keep every bit; those that are not finite are refused. An optional that is empty
// has no key. A third argument of Field is the value of files that lack the key: those of versions
// before it.
#ifndef MILLRACE_CORE_IO_JSON_ARCHIVE_H_
#define MILLRACE_CORE_IO_JSON_ARCHIVE_H_

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace millrace {

using Json = nlohmann::ordered_json;

template <typename T>
using NameTable = std::vector<std::pair<T, const char*>>;

// Text that is discarded (Json::is_discarded) when it is not JSON; parts nested deeper than
// `max_depth` are left out.
inline Json ParseJson(absl::string_view text, int max_depth) {
  return Json::parse(
      text.begin(), text.end(),
      [max_depth](int depth, Json::parse_event_t, Json&) { return depth <= max_depth; },
      /*allow_exceptions=*/false);
}

// What stands in place of bytes that are not UTF-8 is the replacement character.
inline std::string DumpJson(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

namespace internal {

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

}  // namespace internal

// Remembers the first fault and the path to it; what comes after a fault has no meaning.
class JsonFault {
 public:
  const absl::Status& status() const { return status_; }

 protected:
  explicit JsonFault(absl::StatusCode code) : code_(code) {}
  void Fail(absl::string_view what) {
    if (status_.ok()) status_ = absl::Status(code_, absl::StrCat(path_, ": ", what));
  }

  // `path_` with one more step while it lives.
  class Step {
   public:
    Step(std::string& path, absl::string_view step) : path_(path), size_(path.size()) {
      absl::StrAppend(&path_, path_.empty() || step.front() == '[' ? "" : ".", step);
    }
    ~Step() { path_.resize(size_); }

   private:
    std::string& path_;
    std::size_t size_;
  };

  std::string path_;

 private:
  absl::StatusCode code_;
  absl::Status status_;
};

class JsonWriter : public JsonFault {
 public:
  JsonWriter() : JsonFault(absl::StatusCode::kInvalidArgument) {}

  template <typename T>
  Json Write(T& value) {
    if constexpr (std::is_enum_v<T>) {
      for (const auto& [known, name] : EnumNames(value)) {
        if (known == value) return name;
      }
      Fail("a value without a name");
      return nullptr;
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) Fail(absl::StrCat(value, " is not finite"));
      return value;
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (ParseJson(DumpJson(value), 0) != Json(value)) Fail("text is not UTF-8");
      return value;
    } else if constexpr (std::is_arithmetic_v<T>) {
      return value;
    } else if constexpr (internal::IsVector<T>::value) {
      Json array = Json::array();
      for (std::size_t i = 0; i < value.size(); ++i) {
        const Step step(path_, absl::StrCat("[", i, "]"));
        array.push_back(Write(value[i]));
      }
      return array;
    } else {
      Json object = Json::object();
      Json* const outer = std::exchange(object_, &object);
      Describe(*this, value);
      object_ = outer;
      return object;
    }
  }

  template <typename T>
  void Field(const char* name, T& value) {
    const Step step(path_, name);
    if constexpr (internal::IsOptional<T>::value) {
      if (value) (*object_)[name] = Write(*value);
    } else {
      Json written = Write(value);
      (*object_)[name] = std::move(written);
    }
  }

  template <typename T>
  void Field(const char* name, T& value, const std::type_identity_t<T>&) {
    Field(name, value);
  }

 private:
  Json* object_ = nullptr;
};

class JsonReader : public JsonFault {
 public:
  JsonReader() : JsonFault(absl::StatusCode::kDataLoss) {}

  template <typename T>
  void Read(const Json& json, T& value) {
    if constexpr (std::is_enum_v<T>) {
      for (const auto& [known, name] : EnumNames(value)) {
        if (json == name) return void(value = known);
      }
      Fail("an unknown name");
    } else if constexpr (std::is_same_v<T, bool>) {
      json.is_boolean() ? void(value = json.get<bool>()) : Fail("not true or false");
    } else if constexpr (std::is_floating_point_v<T>) {
      json.is_number() ? void(value = json.get<T>()) : Fail("not a number");
    } else if constexpr (std::is_integral_v<T>) {
      ReadInteger(json, value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      json.is_string() ? void(value = json.get<std::string>()) : Fail("not a string");
    } else if constexpr (internal::IsVector<T>::value) {
      if (!json.is_array()) return Fail("not an array");
      // Grows with the elements that are right, so that a forged array costs no more than its text.
      value.clear();
      for (std::size_t i = 0; i < json.size() && status().ok(); ++i) {
        const Step step(path_, absl::StrCat("[", i, "]"));
        typename T::value_type element{};
        Read(json[i], element);
        value.push_back(std::move(element));
      }
    } else {
      if (!json.is_object()) return Fail("not an object");
      const Json* const outer = std::exchange(object_, &json);
      Describe(*this, value);
      object_ = outer;
    }
  }

  template <typename T>
  void Field(const char* name, T& value) {
    const Step step(path_, name);
    const auto found = object_->find(name);
    if constexpr (internal::IsOptional<T>::value) {
      value.reset();
      if (found != object_->end()) Read(*found, value.emplace());
    } else if (found == object_->end()) {
      Fail("missing");
    } else {
      Read(*found, value);
    }
  }

  template <typename T>
  void Field(const char* name, T& value, const std::type_identity_t<T>& missing) {
    if (object_->contains(name)) return Field(name, value);
    value = missing;
  }

 private:
  template <typename T>
  void ReadInteger(const Json& json, T& value) {
    if (json.is_number_unsigned() &&
        json.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<T>::max()}) {
      value = static_cast<T>(json.get<std::uint64_t>());
    } else if (std::is_signed_v<T> && json.is_number_integer() && !json.is_number_unsigned() &&
               json.get<std::int64_t>() >= std::int64_t{std::numeric_limits<T>::lowest()}) {
      value = static_cast<T>(json.get<std::int64_t>());
    } else {
      Fail("not an integer in range");
    }
  }

  const Json* object_ = nullptr;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_IO_JSON_ARCHIVE_H_
