#include "page.hpp"

#include <algorithm>
#include <cctype>

#include <loru/core/error.hpp>
#include <loru/version.hpp>

#include "text.hpp"

namespace federate::report {

namespace fs = std::filesystem;
using loru::concat;

namespace {

// Eight colours of at least 3:1 against the ground that colour-blind readers can tell apart (after Okabe
// and Ito, 2008, darker on light grounds); dashes and markers tell them apart too.
constexpr const char* style = R"(
:root{color-scheme:light dark;--ground:#fff;--ink:#1c1f23;--soft:#656c76;--grid:#e3e6ea;--link:#0b5cad;
--c0:#0072b2;--c1:#d55e00;--c2:#00805c;--c3:#a8487f;--c4:#8f6a00;--c5:#2b8cbe;--c6:#3d4046;--c7:#7a4fc4}
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--ink:#e8eaed;--soft:#9aa3ad;--grid:#31363d;
--link:#7ab8ff;--c0:#56b4e9;--c1:#ff8a4c;--c2:#2fcf9f;--c3:#e59cc4;--c4:#e6b800;--c5:#9fd6ff;--c6:#d0d4da;
--c7:#b79bff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:76rem;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.25rem;margin:2.2rem 0 .6rem}
a{color:var(--link)}nav a{margin-right:1rem;white-space:nowrap}footer,.note{color:var(--soft)}
footer{margin-top:2.5rem;border-top:1px solid var(--grid);padding-top:.6rem}
.figures{display:grid;gap:1.6rem 2rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr))}
figure{margin:0;max-width:34rem}figcaption{font-weight:600}
.note{font-size:.875rem;margin:.25rem 0 0;font-weight:400}
.wide{overflow-x:auto;margin:.3rem 0 .8rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem .25rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--grid);white-space:nowrap}
th{font-weight:600}.n{text-align:right}
summary{cursor:pointer;color:var(--link);margin:.4rem 0}
pre{overflow-x:auto;font-size:.85rem;overflow-wrap:normal}
svg{display:block;width:100%;height:auto;font:13px system-ui,sans-serif;fill:var(--ink)}
svg path{fill:none}svg .grid{stroke:var(--grid)}svg .base{stroke:var(--soft)}
svg polyline,svg .key{stroke:var(--c);stroke-width:2;fill:none}svg .band{fill:var(--c);opacity:.2}
svg .marker{fill:var(--c);stroke:var(--c)}svg .mark,svg .error{stroke:var(--c);stroke-width:1.5}
svg rect{fill:var(--c)}svg rect+.error{stroke:var(--ink)}
)";

std::string element(const std::string& name, const std::string& text) {
  return concat('<', name, '>', escape(text), "</", name, ">\n");
}

/// Whether a column is set as numbers: each cell is empty or begins with a digit, or a sign and a digit.
bool numeric(const Table& table, std::size_t column) {
  return std::all_of(table.rows.begin(), table.rows.end(), [&](const auto& row) {
    const std::string& cell = row[column];
    const std::size_t at = cell.starts_with('-') ? 1 : 0;
    return cell.empty() || (at < cell.size() && std::isdigit(static_cast<unsigned char>(cell[at])) != 0);
  });
}

/// A row; the last cell leads to `link` if there is one.
std::string cells(const std::vector<std::string>& row, const std::vector<bool>& numbers,
                  const std::string& name, const std::string& link = {}) {
  std::string html = "<tr>";
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool leads = !link.empty() && i + 1 == row.size();
    html += concat('<', name, name == "th" ? " scope=\"col\"" : "", numbers[i] ? " class=\"n\">" : ">",
                   leads ? concat("<a href=\"", link, "\">") : "", escape(row[i]), leads ? "</a>" : "", "</",
                   name, '>');
  }
  return html + "</tr>\n";
}

/// The URL of a file or folder, seen from a page in the folder `from`. The dot in front keeps a name with a
/// colon from being a scheme.
std::string url(const fs::path& to, const fs::path& from) {
  std::string text = "./";
  for (const char c :
       fs::weakly_canonical(to).lexically_relative(fs::weakly_canonical(from)).generic_string()) {
    const auto byte = static_cast<unsigned char>(c);
    constexpr const char* digits = "0123456789ABCDEF";
    if (std::isalnum(byte) != 0 || std::string_view("/._-").find(c) != std::string_view::npos)
      text += c;
    else
      text += {'%', digits[byte / 16], digits[byte % 16]};
  }
  return text;
}

/// In a box that scrolls sideways.
std::string html_of(const Table& table, const std::string& caption, const fs::path& folder) {
  std::vector<bool> numbers;
  for (std::size_t i = 0; i < table.columns.size(); ++i) numbers.push_back(numeric(table, i));
  std::string html =
      concat("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"", escape(caption),
             "\"><table>\n<thead>", cells(table.columns, numbers, "th"), "</thead>\n<tbody>\n");
  for (std::size_t i = 0; i < table.rows.size(); ++i)
    html += cells(table.rows[i], numbers, "td", table.links.empty() ? "" : url(table.links[i], folder));
  return html + "</tbody></table></div>\n";
}

std::string folded(const std::string& caption, const std::string& html) {
  return concat("<details><summary>", escape(caption), "</summary>\n", html, "</details>\n");
}

/// .s0 to .s7: the colours of series.
std::string series_colours() {
  std::string css;
  for (std::size_t i = 0; i < styles; ++i) css += concat(".s", i, "{--c:var(--c", i, ")}");
  return css;
}

}  // namespace

Page::Page(std::string title, const fs::path& folder) : title_{std::move(title)}, folder_{folder} {}

void Page::end_figures() {
  if (among_figures_) body_ += "</div>\n";
  among_figures_ = false;
}

void Page::section(const std::string& heading) {
  end_figures();
  const std::string id = concat("section-", ++sections_);
  body_ += concat("<h2 id=\"", id, "\">", escape(heading), "</h2>\n");
  contents_ += concat("<a href=\"#", id, "\">", escape(heading), "</a>\n");
}

void Page::paragraph(const std::string& text) {
  end_figures();
  body_ += element("p", text);
}

void Page::figure(const Figure& figure, const std::string& note) {
  if (!among_figures_) body_ += "<div class=\"figures\">\n";
  among_figures_ = true;
  body_ += concat("<figure><figcaption>", escape(figure.title), "</figcaption>\n",
                  svg(figure, concat("figure-", ++figures_)));
  if (!note.empty()) body_ += concat("<p class=\"note\">", escape(note), "</p>\n");
  body_ += "</figure>\n";
}

void Page::table(const Table& table, const std::string& caption) {
  end_figures();
  body_ += concat("<p class=\"note\">", escape(caption), "</p>\n", html_of(table, caption, folder_));
}

void Page::folded_table(const Table& table, const std::string& caption) {
  end_figures();
  body_ += folded(caption, html_of(table, caption, folder_));
}

void Page::folded_text(const std::string& text, const std::string& caption) {
  end_figures();
  body_ += folded(caption, element("pre", text));
}

std::string Page::html() const {
  return concat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n",
      element("title", title_), "<style>", series_colours(), style, "</style>\n</head>\n<body>\n",
      element("h1", title_), "<nav aria-label=\"Sections\">", contents_, "</nav>\n<main>\n", body_,
      among_figures_ ? "</div>\n" : "", "</main>\n<footer>Written by federate report of loru ", loru::version,
      ".</footer>\n</body>\n</html>\n");
}

}  // namespace federate::report
