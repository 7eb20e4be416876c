#pragma once
// The HTML of a report: sections of figures and tables on one self-contained page.

#include <filesystem>
#include <string>
#include <vector>

#include "svg.hpp"

namespace federate::report {

/// Cells are plain text.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows = {};
  std::vector<std::filesystem::path> links = {};  // what the last cell of each row leads to; none: nothing
};

/// A page as it grows. All words are plain text, which the page escapes.
class Page {
 public:
  /// Links are relative to the folder that the page will be in.
  Page(std::string title, const std::filesystem::path& folder);

  void section(const std::string& heading);
  void paragraph(const std::string& text);
  /// Figures side by side where there is room; a note stands below each that has one.
  void figure(const Figure& figure, const std::string& note = {});
  void table(const Table& table, const std::string& caption);
  /// The same behind a line that opens it.
  void folded_table(const Table& table, const std::string& caption);
  void folded_text(const std::string& text, const std::string& caption);

  /// The whole document.
  std::string html() const;

 private:
  void end_figures();

  std::string title_;
  std::filesystem::path folder_;
  std::string body_, contents_;
  std::size_t figures_ = 0, sections_ = 0;
  bool among_figures_ = false;
};

}  // namespace federate::report
