#include "generate.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string_view>

#include <loru/data/text/load.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>
#include <loru/train/model_file.hpp>

#include "federation.hpp"

namespace federate {

using loru::ConfigError, loru::require;

namespace {

/// Shows a text that grows by tokens. A character of several bytes may take several tokens: it is shown when
/// it is whole. Bytes that are no UTF-8 are shown as U+FFFD.
class Stream {
 public:
  explicit Stream(const loru::data::Tokenizer& tokenizer) : tokenizer_{tokenizer} {}

  void add(loru::data::TokenId token) {
    tokens_.push_back(token);
    show(false);
  }
  void end() {
    show(true);
    std::cout << '\n';
  }

 private:
  static constexpr std::string_view replacement = "\xEF\xBF\xBD";

  void show(bool last) {
    const std::string text = loru::data::detail::valid_utf8(tokenizer_.decode(tokens_));
    if (!last && text.ends_with(replacement)) return;
    if (text.size() > shown_) std::cout << std::string_view(text).substr(shown_) << std::flush;
    shown_ = std::max(shown_, text.size());
  }

  const loru::data::Tokenizer& tokenizer_;
  std::vector<loru::data::TokenId> tokens_;
  std::size_t shown_ = 0;
};

}  // namespace

ExitCode generate(const Generation& generation, const Overrides& overrides) {
  loru::check_fields(generation.options, "generate");
  const std::filesystem::path folder = generation.folder;
  Configuration c = read_configuration((folder / "config.toml").string(), overrides);
  keep_characters(c, folder);
  require<ConfigError>(c.task == "next_token", "generate: expected a run of the task \"next_token\", got \"",
                       c.task, '"');
  Setup setup = set_up(c);
  loru::io::load(setup.model, folder / "model.safetensors");
  const loru::data::Tokenizer tokenizer = loru::data::tokenizer_of(source_of(setup.configuration));
  const loru::data::SpecialIds& special = tokenizer.special();
  std::vector<loru::data::TokenId> prompt = special.before;
  const std::vector<loru::data::TokenId> given = tokenizer.encode(generation.prompt);
  prompt.insert(prompt.end(), given.begin(), given.end());
  const Index room = positions(setup.configuration) - static_cast<Index>(prompt.size());
  require<ConfigError>(room > 0, "generate: --prompt: expected fewer than ", room + prompt.size(),
                       " tokens, the longest text of the model, got ", prompt.size());
  loru::train::GenerateOptions options = generation.options;
  options.tokens = std::min(options.tokens, room);
  options.end = special.end_of_text.value_or(loru::no_target);
  Stream stream(tokenizer);
  for (const loru::data::TokenId token : given) stream.add(token);
  catch_interrupts();
  loru::train::generate<float>(setup.model, prompt, options, [&](loru::data::TokenId token) {
    stream.add(token);
    return stop_wanted == 0;
  });
  stream.end();
  return stop_wanted ? interrupted : success;
}

}  // namespace federate
