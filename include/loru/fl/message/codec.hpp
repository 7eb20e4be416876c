#pragma once
// How the numbers of a message are coded: in fewer bits, or fewer of them.

#include <cmath>
#include <string>
#include <string_view>

#include <loru/core/fields.hpp>
#include <loru/fl/message/state.hpp>

namespace loru::inline LORU_ISA::fl {

enum class Code : unsigned char { none, fp16, bf16, int8, top_k };

inline constexpr auto code_words = words<Code>({{"none", Code::none},
                                                {"fp16", Code::fp16},
                                                {"bf16", Code::bf16},
                                                {"int8", Code::int8},
                                                {"top_k", Code::top_k}});

constexpr const char* to_string(Code code) { return code_words.list[static_cast<std::size_t>(code)].word; }

/// The codes of both links. They apply to trained parameters. Running statistics, controls, and the weights
/// and factors that tell of merges are sent uncoded.
///   fp16, bf16   rounded to nearest, ties to even: 2 bytes a number
///   int8         per tensor scale = max|x| / 127 and q = ⌊x / scale + u⌋, u uniform in [0, 1), a stochastic
///                rounding without bias: a byte a number and the scale
///   top_k        of each tensor the k = ⌈keep·size⌉ numbers largest in absolute value, with their positions;
///                the rest is kept and sent later (error feedback)
/// The uplink codes the difference from what the client received. Sources: Alistarh et al., arXiv 1610.02132
/// (stochastic rounding); Stich et al., arXiv 1809.07599 (top-k with memory).
struct Codecs {
  Code uplink = Code::none, downlink = Code::none;
  double keep = 0.01;  ///< of top_k: the share of a tensor's numbers that is sent

  static constexpr auto fields() {
    return Fields{
        field("uplink", &Codecs::uplink, code_words, "how trained parameters are coded on their way up"),
        field("downlink", &Codecs::downlink, code_words, "and on their way down"),
        field("keep", &Codecs::keep, range::up_to_one,
              "of top_k: the share of a tensor's numbers that is sent")};
  }
};

/// Throws ConfigError for a share outside (0, 1].
inline void check(const Codecs& o) { check_fields(o, "codec"); }

/// The code of that name. Throws DataError for another word.
inline Code code_of(std::string_view word) {
  for (const auto& [name, code] : code_words.list)
    if (word == name) return code;
  fail<DataError>("message: expected a codec of none, fp16, bf16, int8, top_k, got '", word, "'");
}

/// The tensors that codecs apply to: the model's trained parameters.
template <class T, class D>
std::vector<nn::TensorId> coded_tensors(nn::Model<T, D>& model) {
  std::vector<nn::TensorId> tensors;
  for (const auto& p : model.trained_parameters()) tensors.push_back(p.id());
  return tensors;
}

}  // namespace loru::inline LORU_ISA::fl
