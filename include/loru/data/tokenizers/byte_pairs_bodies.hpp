#pragma once
// Bodies of byte_pairs.hpp.

#include <optional>
#include <utility>

#include <loru/data/tokenizers/added_tokens_bodies.hpp>
#include <loru/data/tokenizers/byte_pairs.hpp>
#include <loru/data/tokenizers/detail/gpt2_text.hpp>
#include <loru/data/tokenizers/detail/merge.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// GPT-2's spelling of a byte as a character: printable ones of Latin-1 stand for themselves, the others take
/// U+0100, U+0101 and so on (Radford et al. 2019, bytes_to_unicode).
inline char32_t spelling_of(unsigned byte) {
  const auto printable = [](unsigned b) { return (b >= 33 && b <= 126) || (b >= 161 && b != 173); };
  if (printable(byte)) return byte;
  char32_t others = 0;
  for (unsigned b = 0; b < byte; ++b) others += printable(b) ? 0 : 1;
  return 0x100 + others;
}

/// The bytes that a token spells; its own UTF-8 if it has a character that stands for no byte.
inline std::string spelt_bytes(std::string_view token) {
  static const std::vector<int> bytes = [] {
    std::vector<int> table(0x180, -1);
    for (unsigned b = 0; b < 256; ++b) table[spelling_of(b)] = static_cast<int>(b);
    return table;
  }();
  std::string out;
  for (const char32_t c : to_characters(token)) {
    if (c >= bytes.size() || bytes[c] < 0) return std::string(token);
    out += static_cast<char>(bytes[c]);
  }
  return out;
}

inline std::string spelt(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) append_utf8(out, spelling_of(static_cast<unsigned char>(byte)));
  return out;
}

}  // namespace detail

LORU_INLINE BytePairs::BytePairs(Vocabulary vocabulary,
                                 const std::vector<std::pair<std::string, std::string>>& merges,
                                 BytePairOptions options, std::vector<AddedToken> added, SpecialIds special,
                                 std::string_view origin)
    : vocabulary_{std::move(vocabulary)}, options_{options}, special_{std::move(special)} {
  special_tokens_ = detail::special_flags(added, size(), origin);
  raw_ = {detail::sought_in(added, false), origin};
  normalised_ = {detail::sought_in(std::move(added), true), origin};
  for (unsigned byte = 0; byte < 256; ++byte)
    bytes_[byte] = vocabulary_.find(detail::utf8_of(detail::spelling_of(byte))).value_or(-1);
  merges_.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    const auto id_of = [&](const std::string& token) {
      const auto id = vocabulary_.find(token);
      require<DataError>(id.has_value(), origin, ": merge ", i, ": expected tokens of the vocabulary, got '",
                         token.substr(0, 80), "'");
      return *id;
    };
    const auto a = static_cast<std::uint64_t>(id_of(left)), b = static_cast<std::uint64_t>(id_of(right));
    merges_.insert_or_assign(a << 32 | b, Merge{static_cast<std::int32_t>(i), id_of(left + right)});
  }
}

LORU_INLINE std::vector<TokenId> BytePairs::encode(std::string_view text) const {
  const std::string valid = detail::valid_utf8(text);
  std::vector<TokenId> ids;
  for (const Stretch& outer : raw_.split(valid)) {
    if (outer.token) {
      ids.push_back(*outer.token);
      continue;
    }
    for (const Stretch& inner : normalised_.split(outer.text))
      if (inner.token)
        ids.push_back(*inner.token);
      else
        encode_text(inner.text, ids);
  }
  return ids;
}

LORU_INLINE void BytePairs::encode_text(std::string_view text, std::vector<TokenId>& ids) const {
  const auto whole = [&](std::string_view piece) {
    std::string with_blank;
    if (options_.leading_blank && !piece.starts_with(' ')) piece = with_blank = concat(' ', piece);
    if (options_.cut)
      detail::split_gpt2(piece, [&](std::string_view cut) { encode_piece(cut, ids); });
    else
      encode_piece(piece, ids);
  };
  if (options_.single_digits)
    detail::split_digits(text, whole);
  else
    whole(text);
}

LORU_INLINE void BytePairs::encode_piece(std::string_view piece, std::vector<TokenId>& ids) const {
  if (options_.whole_words)
    if (const auto id = vocabulary_.find(detail::spelt(piece))) return ids.push_back(*id);
  std::vector<TokenId> symbols;
  bool unknown_before = false;
  for (const char byte : piece) {
    const TokenId id = bytes_[static_cast<unsigned char>(byte)];
    if (id >= 0)
      symbols.push_back(id);
    else if (special_.unknown && !(options_.join_unknown && unknown_before))
      symbols.push_back(*special_.unknown);
    unknown_before = id < 0;
  }
  const auto merge = [&](TokenId left, TokenId right) -> std::optional<detail::Join> {
    const auto found =
        merges_.find(static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint64_t>(right));
    if (found == merges_.end()) return std::nullopt;
    return detail::Join{static_cast<double>(found->second.rank), found->second.id};
  };
  const std::vector<TokenId> joined = detail::merge_neighbours(symbols, merge);
  ids.insert(ids.end(), joined.begin(), joined.end());
}

LORU_INLINE std::string BytePairs::decode(std::span<const TokenId> ids, bool keep_special) const {
  vocabulary_.check(ids);
  std::string bytes;
  for (const TokenId id : ids)
    if (keep_special || !special_tokens_[static_cast<std::size_t>(id)])
      bytes += detail::spelt_bytes(vocabulary_[id]);
  return detail::valid_utf8(bytes);
}

}  // namespace loru::inline LORU_ISA::data
