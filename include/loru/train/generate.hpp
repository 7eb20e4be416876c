#pragma once
// How a trained decoder goes on with a text.

#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/nn/cache.hpp>

namespace loru::inline LORU_ISA::train {

struct GenerateOptions {
  Index tokens = 100;
  double temperature = 0.8;
  Index top = 0;
  std::uint64_t seed = 1;
  std::int32_t end = no_target;  ///< a token that ends the text; no_target: none does

  static constexpr auto fields() {
    using G = GenerateOptions;
    return Fields{field("tokens", &G::tokens, range::at_least(1), "tokens to write at most"),
                  field("temperature", &G::temperature, range::not_negative,
                        "divides the logits; 0: always the most likely token"),
                  field("top", &G::top, range::at_least(0), "the most likely tokens to draw from; 0: all")};
  }
};

namespace detail {

/// The token at which the sum of e^(z / temperature) over the `top` largest logits, in the order of tokens,
/// first exceeds the share u of the whole; the largest, the first of equals, at temperature 0. Sums in
/// double. Throws DivergedError if no logit is finite.
template <class T>
std::int32_t draw_token(std::span<const T> logits, const GenerateOptions& o, double u) {
  std::vector<double> z(logits.begin(), logits.end());
  for (double& value : z)
    if (std::isnan(value)) value = -std::numeric_limits<double>::infinity();
  const auto largest = std::max_element(z.begin(), z.end());
  require<DivergedError>(largest != z.end() && std::isfinite(*largest), "generate: no logit is finite");
  if (o.temperature == 0.0) return static_cast<std::int32_t>(largest - z.begin());
  double least = -std::numeric_limits<double>::infinity();
  if (const auto top = static_cast<std::size_t>(o.top); top > 0 && top < z.size()) {
    std::vector<double> sorted(z);
    std::nth_element(sorted.begin(), sorted.begin() + o.top - 1, sorted.end(), std::greater<>());
    least = sorted[top - 1];
  }
  const double most = *largest;
  double sum = 0.0;
  for (double& value : z) sum += value = value < least ? 0.0 : std::exp((value - most) / o.temperature);
  double passed = 0.0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    if (z[i] == 0.0) continue;
    last = i;
    if ((passed += z[i]) > u * sum) break;
  }
  return static_cast<std::int32_t>(last);
}

/// Logits (1, V) of the token that follows `tokens`, of which the cache has read those before `offset`.
template <class T>
Tensor<T> next_logits(nn::Model<T>& model, std::span<const std::int32_t> tokens, Index offset,
                      nn::KeyValueCache<T>& cache) {
  Tensor<std::int32_t> ids(Shape{static_cast<Index>(tokens.size())});
  std::copy(tokens.begin(), tokens.end(), ids.data());
  const NoGrad guard;
  nn::Tokens<> now(ids, {{0, ids.size()}, offset});
  now.last_only = true;
  nn::Pass pass;
  pass.sequences = &now;
  pass.cache = &cache;
  const Tensor<T> logits = model(Variable<T>(), pass).value();
  require<ConfigError>(logits.rank() == 2 && logits.dim(0) == 1,
                       "generate: expected a decoder that gives one row of logits, got ", logits.shape());
  return logits;
}

}  // namespace detail

/// Tokens that follow the prompt, each drawn from softmax(logits / temperature) on stream (seed, generate),
/// and shown to `each` when it is known; `each` returns whether to go on. Every token is computed once; keys
/// and values are kept, on the host. Ends after `tokens` of them or with the token `end`, which is not among
/// them. Throws ConfigError for an empty prompt and an option outside its range, what the model throws for a
/// token that it does not know and for a text longer than its positions, DivergedError if no logit is finite.
template <class T>
std::vector<std::int32_t> generate(nn::Model<T>& model, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& o = {},
                                   const std::function<bool(std::int32_t)>& each = {}) {
  check_fields(o, "generate");
  require<ConfigError>(!prompt.empty(), "generate: expected a prompt of at least one token, got none");
  rng::Stream stream(o.seed, rng::Purpose::generate);
  nn::KeyValueCache<T> cache;
  std::vector<std::int32_t> written;
  std::span<const std::int32_t> unread = prompt;
  Index read = 0;
  while (static_cast<Index>(written.size()) < o.tokens) {
    const Tensor<T> logits = detail::next_logits(model, unread, read, cache);
    read += static_cast<Index>(unread.size());
    const std::int32_t token = detail::draw_token<T>(logits.span(), o, stream.uniform());
    if (token == o.end && o.end != no_target) break;
    written.push_back(token);
    if (each && !each(token)) break;
    unread = std::span<const std::int32_t>(written).last(1);
  }
  return written;
}

}  // namespace loru::inline LORU_ISA::train
