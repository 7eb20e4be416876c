#pragma once
// BERT's normaliser and splitter, as the package `tokenizers` does them.

#include <algorithm>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/data/tokenizers/detail/bert_tables.hpp>
#include <loru/data/tokenizers/detail/fold_tables.hpp>
#include <loru/data/tokenizers/detail/properties.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>

namespace loru::inline LORU_ISA::data::detail {

inline unsigned bert_properties_of(char32_t c) { return properties_of(bert_properties, c); }

/// The several characters that c becomes, or an empty view.
inline std::u32string_view expanded(std::span<const Expansion> table, char32_t c) {
  const Expansion* e = entry_for(table, c, [](const Expansion& entry) { return entry.from; });
  if (!e || e->from != c) return {};
  const auto end = std::find(std::begin(e->to), std::end(e->to), char32_t{0});
  return {e->to, static_cast<std::size_t>(end - e->to)};
}

/// A text's canonical decomposition (NFD) without non-spacing marks (Mn), character by character.
///
/// Decomposition sorts a run of combining characters by their classes. Marks go, but some combining
/// characters are no marks; these are sorted here. A run ends at a character of class 0, be it a mark or not.
class AccentStripper {
 public:
  void add(char32_t c) {
    if (c < 0xC0) return add_plain(c, 0);
    if (c >= hangul_first && c < hangul_first + 11172) return add_hangul(c - hangul_first);
    const unsigned properties = bert_properties_of(c);
    if (properties & BertProperty::mark) {
      if (!(properties & BertProperty::combining)) end_run();
      return;
    }
    if (const std::u32string_view several = expanded(stripped_expansions, c); !several.empty()) {
      for (const char32_t part : several) add_plain(part, bert_properties_of(part));
      return;
    }
    const std::uint64_t* one =
        entry_for(std::span<const std::uint64_t>(stripped), c,
                  [](std::uint64_t entry) { return static_cast<char32_t>(entry >> 24); });
    if (!one || *one >> 24 != c) return add_plain(c, properties);
    const auto target = static_cast<char32_t>(*one & 0xFFFFFF);
    add_plain(target, bert_properties_of(target));
  }

  std::u32string finish() {
    end_run();
    return std::move(out_);
  }

 private:
  static constexpr char32_t hangul_first = 0xAC00;

  void add_plain(char32_t c, unsigned properties) {
    if (properties & BertProperty::combining) {
      const CombiningClass* own = entry_for(std::span<const CombiningClass>(combining_classes), c,
                                            [](const CombiningClass& entry) { return entry.character; });
      run_.emplace_back(own->value, c);
    } else {
      end_run();
      out_ += c;
    }
  }

  /// Syllables decompose by rule (Unicode 15, section 3.12).
  void add_hangul(char32_t syllable) {
    end_run();
    out_ += char32_t{0x1100} + syllable / 588;
    out_ += char32_t{0x1161} + syllable % 588 / 28;
    if (syllable % 28 != 0) out_ += char32_t{0x11A7} + syllable % 28;
  }

  void end_run() {
    std::stable_sort(run_.begin(), run_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [order, c] : run_) out_ += c;
    run_.clear();
  }

  std::u32string out_;
  std::vector<std::pair<unsigned, char32_t>> run_;  // combining classes and characters since the last class 0
};

/// The lower case of each character by itself.
inline std::u32string lower_case(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : text) {
    const Run* run = entry_for(std::span<const Run>(lower_runs), c, [](const Run& r) { return r.first; });
    if (run && c <= run->last && (c - run->first) % run->step == 0)
      out += run->target + (c - run->first);
    else if (const std::u32string_view several = expanded(lower_expansions, c); !several.empty())
      out += several;
    else
      out += c;
  }
  return out;
}

struct BertNormaliser {
  bool clean = true, ideographs = true, strip_accents = true, lower = true;

  /// `clean` drops control characters and makes white space blanks; `ideographs` puts blanks around Chinese
  /// characters.
  std::u32string operator()(std::u32string_view text) const {
    std::u32string spaced;
    for (const char32_t c : text) {
      const unsigned properties = bert_properties_of(c);
      if (clean && (properties & BertProperty::removed)) continue;
      if (ideographs && (properties & BertProperty::ideograph))
        (spaced += U' ') += c, spaced += U' ';
      else
        spaced += clean && (properties & BertProperty::blank) ? U' ' : c;
    }
    if (strip_accents) {
      AccentStripper stripper;
      for (const char32_t c : spaced) stripper.add(c);
      spaced = stripper.finish();
    }
    return lower ? lower_case(spaced) : spaced;
  }
};

/// f(word) for each stretch between white space and punctuation, and for each punctuation by itself.
template <class F>
void split_words(std::u32string_view text, const F& f) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const unsigned properties = i < text.size() ? bert_properties_of(text[i]) : +BertProperty::separator;
    if (!(properties & (BertProperty::separator | BertProperty::punctuation))) continue;
    if (begin < i) f(text.substr(begin, i - begin));
    if (properties & BertProperty::punctuation) f(text.substr(i, 1));
    begin = i + 1;
  }
}

}  // namespace loru::inline LORU_ISA::data::detail
