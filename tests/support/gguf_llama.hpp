#pragma once
// A small LLaMA as a GGUF file with drawn content.

#include "support/blocks.hpp"
#include "support/gguf_file.hpp"

namespace loru_test {

using namespace loru;

/// Extents of the matrices' rows are multiples of 32, a block.
struct GgufLlama {
  std::uint32_t vocabulary, width, layers, heads, groups, hidden, positions = 64;

  /// All matrices have the type, norms are floats.
  GgufFile file(BlockType type, bool tied = true) const {
    GgufFile file;
    file.text("general.architecture", "llama");
    for (const auto& [key, value] :
         std::initializer_list<std::pair<const char*, std::uint32_t>>{{"block_count", layers},
                                                                      {"embedding_length", width},
                                                                      {"attention.head_count", heads},
                                                                      {"attention.head_count_kv", groups},
                                                                      {"feed_forward_length", hidden},
                                                                      {"context_length", positions}})
      file.number(std::string("llama.") + key, value);
    file.number("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    std::uint64_t seed = 0;
    const auto matrix = [&](const std::string& name, Index m, Index n) {
      file.tensor(name, {static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(m)}, format_of(type).gguf,
                  block_bytes(type, m, n, ++seed));
    };
    const auto norm = [&](const std::string& name) {
      file.floats(name, {width}, std::vector<float>(width, 1.0f));
    };
    matrix("token_embd.weight", vocabulary, width);
    if (!tied) matrix("output.weight", vocabulary, width);
    norm("output_norm.weight");
    const Index keys = Index{width} / heads * groups;
    for (std::uint32_t i = 0; i < layers; ++i) {
      const std::string layer = "blk." + std::to_string(i) + '.';
      norm(layer + "attn_norm.weight");
      norm(layer + "ffn_norm.weight");
      matrix(layer + "attn_q.weight", width, width);
      matrix(layer + "attn_k.weight", keys, width);
      matrix(layer + "attn_v.weight", keys, width);
      matrix(layer + "attn_output.weight", width, width);
      matrix(layer + "ffn_gate.weight", hidden, width);
      matrix(layer + "ffn_up.weight", hidden, width);
      matrix(layer + "ffn_down.weight", width, hidden);
    }
    return file;
  }
};

}  // namespace loru_test
