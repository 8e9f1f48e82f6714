// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/flow_flags.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands/command.h"
#include "client/cli/io/number.h"
#include "google/protobuf/util/json_util.h"

namespace millrace::cli {
namespace {

constexpr char kGroup[] = "Flow (whatever is not given is chosen by the server)";

// Every value of an enum but the unspecified one, by its word.
template <typename Enum>
std::vector<std::pair<std::string, Enum>> Words(const google::protobuf::EnumDescriptor* values,
                                                const std::string& prefix) {
  std::vector<std::pair<std::string, Enum>> words;
  for (int i = 0; i < values->value_count(); ++i) {
    if (values->value(i)->number() != 0)
      words.emplace_back(Word(values->value(i)->name(), prefix),
                         static_cast<Enum>(values->value(i)->number()));
  }
  return words;
}

// What is wrong with the file, if anything.
std::string ReadFlowFile(const std::string& path, v1::FlowSpec& flow) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.good() && text.empty()) return absl::StrCat("is '", path, "', which cannot be read");
  v1::FlowSpec read;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &read);
  if (!status.ok())
    return absl::StrCat("is '", path,
                        "', which is not a FlowSpec in JSON: ", std::string(status.message()));
  flow = std::move(read);
  return "";
}

void AddStackFlags(CLI::App& command, v1::FlowSpec& flow) {
  const auto stack = [&flow] { return flow.mutable_stack(); };
  const auto add_count = [&](const char* name, const char* what, auto set) {
    AddInteger<std::uint32_t>(command, name, what, 0, std::numeric_limits<std::uint32_t>::max(),
                              [stack, set](std::uint32_t value) { (stack()->*set)(value); })
        ->group(kGroup);
  };
  const auto add_word = [&](const char* name, const char* what, const auto& words, auto set) {
    using Enum = typename std::decay_t<decltype(words)>::value_type::second_type;
    AddChoice<Enum>(command, name, what, words, [stack, set](Enum value) {
      (stack()->*set)(value);
    })->group(kGroup);
  };
  const auto add_switch = [&](const char* name, const char* what, auto set) {
    AddChoice<bool>(command, name, what, {{"yes", true}, {"no", false}}, [stack, set](bool on) {
      (stack()->*set)(on);
    })->group(kGroup);
  };
  using Stack = v1::StackSpec;
  add_word("--flow", "Architecture",
           Words<v1::Architecture>(v1::Architecture_descriptor(), "ARCHITECTURE_"),
           &Stack::set_architecture);
  add_count("--layers", "Layers", &Stack::set_layers);
  AddList(command, "--hidden", "Widths of the hidden layers, e.g. 100,100", "N,...",
          [stack](const std::string& item) {
            std::uint32_t size = 0;
            std::string wrong = ParseInteger<std::uint32_t>(
                item, 1, std::numeric_limits<std::uint32_t>::max(), size);
            if (wrong.empty()) stack()->add_hidden_sizes(size);
            return wrong;
          })
      ->group(kGroup);
  add_word("--mixing", "What stands between layers",
           Words<v1::Mixing>(v1::Mixing_descriptor(), "MIXING_"), &Stack::set_mixing);
  add_word("--activation", "Activation of the hidden layers",
           Words<v1::Activation>(v1::Activation_descriptor(), "ACTIVATION_"),
           &Stack::set_activation);
  add_switch("--residual", "Residual conditioners", &Stack::set_residual);
  add_switch("--act-norm", "An ActNorm before every layer", &Stack::set_act_norm);
  add_switch("--batch-norm", "A batch-norm after every layer", &Stack::set_batch_norm);
  add_switch("--whiten", "Start with a linear map that whitens the rows", &Stack::set_whiten);
  add_switch("--heavy-tails", "Tails like a log-normal's beyond six deviations",
             &Stack::set_heavy_tails);
  add_word("--mask", "Which columns couplings keep",
           Words<v1::Mask>(v1::Mask_descriptor(), "MASK_"), &Stack::set_mask);
  add_count("--bins", "Bins of splines", &Stack::set_bins);
  command
      .add_option_function<double>(
          "--bound", [stack](double bound) { stack()->set_bound(bound); },
          "Splines act between -bound and bound")
      ->group(kGroup);
  add_count("--components", "Components of mixtures", &Stack::set_components);
  add_count("--width", "Units of a Sylvester layer", &Stack::set_width);
  add_count("--levels", "Levels of images, each of half the height and width", &Stack::set_levels);
  add_switch("--additive", "Glow's couplings shift and do not scale", &Stack::set_additive);
  add_switch("--weight-norm", "Normalise the weights of residual networks of images",
             &Stack::set_weight_norm);
}

// Residual flows have no choice of it.
std::string ActivationOf(const v1::StackSpec& stack) {
  return stack.activation() == v1::ACTIVATION_UNSPECIFIED
             ? "tanh"
             : Word(v1::Activation_Name(stack.activation()), "ACTIVATION_");
}

std::string StackText(const v1::StackSpec& stack) {
  std::string text =
      absl::StrCat(Word(v1::Architecture_Name(stack.architecture()), "ARCHITECTURE_"), ", ",
                   stack.layers(), stack.layers() == 1 ? " layer" : " layers");
  if (stack.hidden_sizes_size() > 0)
    absl::StrAppend(&text, " of ", absl::StrJoin(stack.hidden_sizes(), "x"),
                    stack.residual() ? " residual" : "", " ", ActivationOf(stack), " units");
  if (stack.bins() > 0)
    absl::StrAppend(&text, ", ", stack.bins(), " bins within ", FormatNumber(stack.bound()));
  if (stack.components() > 0) absl::StrAppend(&text, ", ", stack.components(), " components");
  if (stack.width() > 0) absl::StrAppend(&text, ", width ", stack.width());
  if (stack.levels() > 0)
    absl::StrAppend(&text, ", ", stack.levels(), stack.levels() == 1 ? " level" : " levels",
                    stack.additive() ? ", additive" : "",
                    stack.weight_norm() ? ", weight-norm" : "");
  if (stack.mixing() != v1::MIXING_UNSPECIFIED)
    absl::StrAppend(&text, ", mixing ", Word(v1::Mixing_Name(stack.mixing()), "MIXING_"));
  absl::StrAppend(&text, stack.act_norm() ? ", act-norm" : "",
                  stack.batch_norm() ? ", batch-norm" : "", stack.whiten() ? ", whitened" : "",
                  stack.heavy_tails() ? ", heavy tails" : "");
  return text;
}

}  // namespace

void AddFlowFlags(CLI::App& command, v1::FlowSpec& flow) {
  AddStackFlags(command, flow);
  AddChoice<v1::BaseKind>(command, "--base", "The base distribution",
                          Words<v1::BaseKind>(v1::BaseKind_descriptor(), "BASE_KIND_"),
                          [&flow](v1::BaseKind kind) { flow.mutable_base()->set_kind(kind); })
      ->group(kGroup);
  const std::vector<CLI::Option*> others =
      command.get_options([](CLI::Option* option) { return option->get_group() == kGroup; });
  CLI::Option* file =
      command
          .add_option_function<std::string>(
              "--flow-file", [](const std::string&) {},
              "A millrace.v1.FlowSpec in JSON, e.g. with a chain of layers; instead of all others")
          ->check([&flow](const std::string& path) { return ReadFlowFile(path, flow); })
          ->type_name("FILE")
          ->group(kGroup);
  for (CLI::Option* other : others) file->excludes(other);
}

std::string FlowText(const v1::FlowSpec& flow) {
  std::string text = flow.has_chain()
                         ? absl::StrCat("a chain of ", flow.chain().layers_size(),
                                        flow.chain().layers_size() == 1 ? " layer" : " layers")
                         : StackText(flow.stack());
  if (flow.has_image())
    absl::StrAppend(&text, ", images of ", flow.image().height(), "x", flow.image().width(), "x",
                    flow.image().channels());
  if (flow.base().kind() > v1::BASE_KIND_STANDARD_NORMAL)
    absl::StrAppend(&text, ", base ", Word(v1::BaseKind_Name(flow.base().kind()), "BASE_KIND_"));
  return text;
}

}  // namespace millrace::cli
