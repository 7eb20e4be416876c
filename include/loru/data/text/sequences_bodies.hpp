#pragma once
// Bodies of sequences.hpp.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/data/text/sequences.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// The template with the text in place of {text}. Throws ConfigError unless that stands in it once.
inline std::string filled(const std::string& pattern, const std::string& text) {
  constexpr std::string_view place = "{text}";
  const std::size_t at = pattern.find(place);
  require<ConfigError>(at != pattern.npos && pattern.find(place, at + 1) == pattern.npos,
                       "text.template: expected {text} once, got \"", pattern, '"');
  return pattern.substr(0, at) + text + pattern.substr(at + place.size());
}

/// Collects sequences one after the other.
class SequenceBuilder {
 public:
  SequenceBuilder(const Corpus& corpus, const Tokenizer& tokenizer, const TextOptions& options)
      : corpus_{corpus}, tokenizer_{tokenizer}, options_{options} {
    set_.name = corpus.name;
    set_.starts = {0};
    set_.vocabulary = tokenizer.size();
  }

  Dataset build() {
    const bool next = options_.target == TextTarget::next;
    require<DataError>(next || corpus_.labels.size() == corpus_.texts.size(), corpus_.name,
                       ": expected texts with classes for text.target = \"label\", got none");
    for (std::size_t i = 0; i < corpus_.texts.size(); ++i) {
      require<DataError>(!corpus_.texts[i].empty(), corpus_.name, ": text ", i,
                         ": expected a text, got an empty one");
      std::vector<TokenId> ids = tokenizer_.encode(filled(options_.pattern, corpus_.texts[i]));
      next ? add_pieces(i, std::move(ids)) : add(i, framed(tokenizer_, std::move(ids), options_.length));
    }
    set_.classes = next ? tokenizer_.size() : corpus_.classes;
    set_.features = std::move(tokens_);
    if (next)
      set_.targets = TokenLabels{std::move(labels_)};
    else
      set_.targets = corpus_.labels;
    set_.check();
    return std::move(set_);
  }

 private:
  void add(std::size_t text, std::span<const TokenId> ids) {
    require<DataError>(!ids.empty(), corpus_.name, ": text ", text,
                       ": expected at least one token, got none");
    tokens_.insert(tokens_.end(), ids.begin(), ids.end());
    set_.starts.push_back(static_cast<Index>(tokens_.size()));
    if (!corpus_.groups.empty()) set_.groups.push_back(corpus_.groups[text]);
  }

  void add_pieces(std::size_t text, std::vector<TokenId> ids) {
    const SpecialIds& special = tokenizer_.special();
    ids.insert(ids.begin(), special.before.begin(), special.before.end());
    ids.insert(ids.end(), special.after.begin(), special.after.end());
    require<DataError>(ids.size() >= 2, corpus_.name, ": text ", text, ": expected at least two tokens, got ",
                       ids.size());
    const std::span<const TokenId> all{ids};
    for (std::size_t at = 0; at + 1 < all.size(); at += static_cast<std::size_t>(options_.length)) {
      const std::size_t size = std::min(static_cast<std::size_t>(options_.length), all.size() - 1 - at);
      add(text, all.subspan(at, size));
      const auto targets = all.subspan(at + 1, size);
      labels_.insert(labels_.end(), targets.begin(), targets.end());
    }
  }

  const Corpus& corpus_;
  const Tokenizer& tokenizer_;
  const TextOptions& options_;
  Dataset set_;
  std::vector<std::int32_t> tokens_, labels_;
};

}  // namespace detail

LORU_INLINE Dataset sequences(const Corpus& corpus, const Tokenizer& tokenizer, const TextOptions& options) {
  return detail::SequenceBuilder{corpus, tokenizer, options}.build();
}

}  // namespace loru::inline LORU_ISA::data
