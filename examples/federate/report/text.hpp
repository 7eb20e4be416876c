#pragma once
// Words and numbers as a reader gets them, and as HTML.

#include <optional>
#include <string>
#include <string_view>

namespace federate::report {

/// Text for HTML and XML, also inside quoted attributes. What is no UTF-8, and control characters, which XML
/// forbids, become U+FFFD.
std::string escape(std::string_view text);

/// Characters of UTF-8.
std::size_t length(std::string_view text);

/// At most `characters` characters; what is cut off becomes an ellipsis.
std::string shorten(const std::string& text, std::size_t characters);

/// With so many digits after the point, zeros at the end left out.
std::string number(double value, int digits);

/// With exactly so many.
std::string fixed(double value, int digits);

/// To so many significant digits, for values of any size.
std::string significant(double value, int digits = 4);
std::string significant(std::optional<double> value, int digits = 4);

/// A tick's value: 0.25, 40, 1e-6.
std::string tick_text(double value);

/// "1 run", "3 runs".
std::string counted(std::size_t count, const std::string& word);

}  // namespace federate::report
