#pragma once
// Exceptions as bytes, so that another process can throw them.

#include <cstddef>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>

#include <loru/core/error.hpp>
#include <loru/fl/message/head.hpp>

namespace loru::inline LORU_ISA::mpi {

namespace detail {

/// What crosses with its type; a base stands after those derived from it. All else becomes a runtime_error.
using Errors = std::tuple<DivergedError, DataError, ConfigError, IoError, ShapeError, GraphError, Error>;
inline constexpr std::size_t out_of_memory = std::tuple_size_v<Errors>, other = out_of_memory + 1;

template <std::size_t I = 0>
std::size_t kind_of(const std::exception& error) {
  if constexpr (I == out_of_memory)
    return dynamic_cast<const std::bad_alloc*>(&error) ? out_of_memory : other;
  else
    return dynamic_cast<const std::tuple_element_t<I, Errors>*>(&error) ? I : kind_of<I + 1>(error);
}

template <std::size_t I = 0>
std::exception_ptr make_error(std::size_t kind, const std::string& text) {
  if constexpr (I == out_of_memory)
    return kind == out_of_memory ? std::make_exception_ptr(std::bad_alloc())
                                 : std::make_exception_ptr(std::runtime_error(text));
  else
    return kind == I ? std::make_exception_ptr(std::tuple_element_t<I, Errors>(text))
                     : make_error<I + 1>(kind, text);
}

}  // namespace detail

/// An exception as bytes: a number for its type, then its text.
inline fl::Message to_bytes(const std::exception_ptr& error) {
  std::string text = "an unknown exception";
  std::size_t kind = detail::other;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    text = e.what();
    kind = detail::kind_of(e);
  } catch (...) {}
  const auto bytes = std::as_bytes(std::span(text));
  fl::Message message{static_cast<std::byte>(kind)};
  message.insert(message.end(), bytes.begin(), bytes.end());
  return message;
}

/// The exception that to_bytes() was given.
inline std::exception_ptr to_error(const fl::Message& message) {
  const std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
  return detail::make_error(static_cast<std::size_t>(message.at(0)), std::string(text.substr(1)));
}

}  // namespace loru::inline LORU_ISA::mpi
