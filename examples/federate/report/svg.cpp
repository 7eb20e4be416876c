#include "svg.hpp"

#include <algorithm>

#include <loru/core/error.hpp>

#include "text.hpp"

namespace federate::report {

using loru::concat;

namespace {

// In units of the view box; a character is one of 13 units' height, on average.
constexpr double width = 440, right = 428, top = 30, character = 6.9;

const char* const dashes[styles] = {"none", "7 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2 1 2", "1 2", "4 4"};
const char* const markers[styles] = {"m0-3a3 3 0 1 0 .1 0z", "m-3-3h6v6h-6z", "m0-4l4 7h-8z",
                                     "m0-4l4 4l-4 4l-4-4z",  "m0 4l4-7h-8z",  "m-4 0h8m-4-4v8",
                                     "m-3-3l6 6m0-6l-6 6",   "m-4-2h8v4h-8z"};

std::string at(double v) { return number(v, 1); }

double whole(std::size_t count) { return static_cast<double>(count); }

struct Span {
  double low = INFINITY, high = -low;

  double size() const { return high - low; }
  void hold(double v) {
    if (std::isfinite(v)) *this = {std::min(low, v), std::max(high, v)};
  }
};

/// A value's place along an axis before it is scaled to the figure.
double along(const Axis& axis, double v) {
  if (axis.scale == Scale::log) return std::log10(v);
  return axis.scale == Scale::symmetric_log ? std::asinh(v / axis.threshold) : v;
}

/// Those of the candidates that an axis shows: multiples of 1, 2 or 5 times a power of ten; decades, or 1,
/// 2 and 5 times them where they are few; 0 and decades on both sides of it.
std::vector<double> ticks(const Axis& axis, const Span& span, int wanted) {
  std::vector<double> all;
  if (axis.scale == Scale::linear) {
    const double least = span.size() / wanted, power = std::pow(10.0, std::floor(std::log10(least)));
    double step = 10.0 * power;
    for (const double factor : {5.0, 2.0, 1.0}) step = factor * power >= least ? factor * power : step;
    if (axis.whole) step = std::max(step, 1.0);
    for (double i = std::ceil(span.low / step); i * step <= span.high; ++i) all.push_back(i * step);
  } else if (axis.scale == Scale::log) {
    const double every = std::max(1.0, std::ceil(span.size() / wanted));
    for (double k = std::floor(span.low); k <= span.high; k += every)
      for (const double factor : {1.0, 2.0, 5.0})
        if (factor == 1.0 || span.size() < 2.0) all.push_back(factor * std::pow(10.0, k));
  } else {
    const double decades = std::max(std::abs(span.low), std::abs(span.high)) / std::log(10.0);
    const double every = std::max(1.0, std::ceil(2.0 * decades / wanted));
    for (double k = -every * std::floor(decades / every); k <= decades; k += every)
      all.push_back(k == 0.0 ? 0.0 : std::copysign(axis.threshold * std::pow(10.0, std::abs(k)), k));
  }
  std::erase_if(all, [&](double v) { return along(axis, v) < span.low || along(axis, v) > span.high; });
  return all;
}

/// One figure while it is drawn.
class Drawing {
 public:
  explicit Drawing(const Figure& figure) : f_{figure} {
    std::size_t longest = 0;
    for (const std::string& name : f_.y.names) longest = std::max(longest, length(name));
    for (const Series& s : f_.series) bars_ += s.shape == Shape::bars;
    if (longest > 0) left_ = std::clamp(14 + character * whole(longest), 40.0, 190.0);
    if (bars_ > 0) thick_ = std::clamp(26.0 / whole(bars_), 5.0, 12.0);
    const double rows = whole(f_.y.names.size());
    row_ = bars_ > 0 ? thick_ * whole(bars_) + 8 : std::clamp(340 / rows, 4.0, 17.0);
    bottom_ = top + (longest == 0 ? 220 : row_ * rows);
    for (const Series& s : f_.series) hold(s);
    widen(f_.x, x_);
    widen(f_.y, y_);
    if (longest > 0) y_ = {rows - 0.5, -0.5};  // downwards
  }

  std::string draw(const std::string& id) {
    axes();
    std::size_t bar = 0;
    for (const Series& s : f_.series) {
      out_ += concat("<g class='s", s.style % styles, "'>");
      spread(s);
      if (s.shape == Shape::bars) bars(s, bar++);
      if (s.shape == Shape::cells)
        for (const Point& p : s.points)
          rectangle(x(p.x - 0.5), y(p.y) - row_ / 2, x(p.x + 0.5) - x(p.x - 0.5), row_, p.low);
      if (s.shape == Shape::line || s.shape == Shape::steps) curve(s);
      if (s.shape == Shape::line || s.shape == Shape::points) symbols(s);
      for (const Point& p : s.marks) path("mark", concat('M', at(x(p.x)), ' ', at(y(p.y) - 8), "v16"));
      out_ += "</g>\n";
    }
    const double height = legend();
    return concat("<svg role='img' aria-labelledby='", id, "-t ", id, "-d' viewBox='0 0 ", at(width), ' ',
                  at(height), "' xmlns='http://www.w3.org/2000/svg'>\n<title id='", id, "-t'>",
                  escape(f_.title), "</title>\n<desc id='", id, "-d'>", escape(f_.description), "</desc>\n",
                  out_, "</svg>\n");
  }

 private:
  void hold(const Series& s) {
    const bool bar = s.shape == Shape::bars;
    const double half = s.shape == Shape::cells ? 0.5 : 0.0;
    for (const Point& p : s.points) {
      for (const double v : {p.x - half, p.x + half}) x_.hold(along(f_.x, v));
      y_.hold(along(f_.y, p.y));
      if (s.spread != Spread::none)
        for (const double v : {p.low, p.high}) (bar ? x_ : y_).hold(along(bar ? f_.x : f_.y, v));
    }
  }

  /// A little room at both ends, but none below 0 for what is never negative.
  static void widen(const Axis& axis, Span& span) {
    for (const double v : axis.holds) span.hold(along(axis, v));
    if (span.low > span.high) span = {0.0, 1.0};
    const double room = span.size() > 0.0 ? 0.04 * span.size() : 0.5;
    const double least = axis.scale == Scale::linear && span.low >= 0.0 ? 0.0 : -INFINITY;
    span = {std::max(least, span.low - room), span.high + room};
  }

  double x(double v) const { return place(f_.x, x_, v, left_, right); }
  double y(double v) const { return place(f_.y, y_, v, bottom_, top); }
  static double place(const Axis& axis, const Span& span, double v, double from, double to) {
    const double share = (along(axis, v) - span.low) / span.size();
    return from + (to - from) * std::clamp(std::isnan(share) ? 0.0 : share, 0.0, 1.0);
  }

  void text(double x, double y, const char* anchor, const std::string& words) {
    out_ +=
        concat("<text x='", at(x), "' y='", at(y), "' text-anchor='", anchor, "'>", escape(words), "</text>");
  }
  void path(const char* kind, const std::string& d, const std::string& dashed = "none") {
    out_ += concat("<path class='", kind, "' d='", d, "' stroke-dasharray='", dashed, "'/>");
  }
  void rectangle(double x, double y, double w, double h, double opacity = 1.0) {
    out_ += concat("<rect x='", at(x), "' y='", at(y), "' width='", at(w), "' height='", at(h),
                   "' fill-opacity='", number(opacity, 2), "'/>");
  }

  void axes() {
    out_ += "<g class='axes'>";
    for (std::size_t i = 0; i < f_.y.names.size(); i += 1 + static_cast<std::size_t>(13 / row_))
      text(left_ - 6, y(whole(i)) + 4, "end", shorten(f_.y.names[i], 26));
    if (f_.y.names.empty())
      for (const double v : ticks(f_.y, y_, 7)) {
        path("grid", concat('M', at(left_), ' ', at(y(v)), 'H', at(right)));
        text(left_ - 6, y(v) + 4, "end", tick_text(v));
      }
    double free_from = 0;
    for (const double v : ticks(f_.x, x_, 6)) {
      path("base", concat('M', at(x(v)), ' ', at(bottom_), "v5"));
      const double half = 0.5 * character * whole(length(tick_text(v)));
      const double middle = std::min(x(v), width - 2 - half);
      if (middle - half < free_from) continue;
      text(middle, bottom_ + 18, "middle", tick_text(v));
      free_from = middle + half + 6;
    }
    path("base", concat('M', at(left_), ' ', at(top), 'V', at(bottom_), 'H', at(right)));
    text(right, bottom_ + 36, "end", f_.x.label);
    text(4, 16, "start", f_.y.label);
    out_ += "</g>\n";
  }

  void spread(const Series& s) {
    if (s.spread == Spread::none || s.shape == Shape::bars) return;
    std::string forth, back, strokes;
    for (const Point& p : s.points) {
      if (!std::isfinite(p.low) || !std::isfinite(p.high)) continue;
      forth += concat(at(x(p.x)), ',', at(y(p.high)), ' ');
      back = concat(at(x(p.x)), ',', at(y(p.low)), ' ') + back;
      strokes += concat('M', at(x(p.x) - 3), ' ', at(y(p.low)), "h6m-3 0V", at(y(p.high)), "m-3 0h6");
    }
    if (s.spread == Spread::error_bars) path("error", strokes);
    if (s.spread == Spread::band) out_ += concat("<polygon class='band' points='", forth, back, "'/>");
  }

  void curve(const Series& s) {
    std::string points;
    double before = bottom_;
    for (const Point& p : s.points) {
      if (s.shape == Shape::steps) points += concat(at(x(p.x)), ',', at(before), ' ');
      before = y(p.y);
      points += concat(at(x(p.x)), ',', at(before), ' ');
    }
    out_ += concat("<polyline points='", points, "' stroke-dasharray='", dashes[s.style % styles], "'/>");
  }

  void symbols(const Series& s) {
    const std::size_t every = s.shape == Shape::line ? 1 + (s.points.size() - 1) / 12 : 1;
    std::string d;
    for (std::size_t i = 0; i < s.points.size(); i += every)
      d += concat('M', at(x(s.points[i].x)), ' ', at(y(s.points[i].y)), markers[s.style % styles]);
    path("marker", d);
  }

  void bars(const Series& s, std::size_t bar) {
    for (const Point& p : s.points) {
      const double upper = y(p.y) + thick_ * (whole(bar) - 0.5 * whole(bars_));
      rectangle(left_, upper, x(p.x) - left_, thick_ - 1);
      if (s.spread == Spread::none || !std::isfinite(p.low)) continue;
      path("error", concat('M', at(x(p.low)), ' ', at(upper + 0.5 * thick_), 'H', at(x(p.high))));
    }
  }

  /// Below the figure, in two columns if the names are short. Returns the figure's height.
  double legend() {
    std::vector<Series> named = f_.series;
    std::erase_if(named, [](const Series& s) { return s.name.empty(); });
    const bool narrow = std::all_of(named.begin(), named.end(), [](auto& s) { return length(s.name) <= 24; });
    const std::size_t columns = narrow ? 2 : 1;
    for (std::size_t i = 0; i < named.size(); ++i) {
      const Series& s = named[i];
      const double x = i % columns == 0 ? 8 : width / 2, y = bottom_ + 58 + 19 * whole(i / columns);
      out_ += concat("<g class='s", s.style % styles, "'>");
      if (s.shape == Shape::bars) rectangle(x, y - 9, 28, 9);
      if (s.shape == Shape::line || s.shape == Shape::steps)
        path("key", concat('M', at(x), ' ', at(y - 4), "h28"), dashes[s.style % styles]);
      if (s.shape == Shape::line || s.shape == Shape::points)
        path("marker", concat('M', at(x + 14), ' ', at(y - 4), markers[s.style % styles]));
      text(x + 36, y, "start", shorten(s.name, narrow ? 24 : 56));
      out_ += "</g>\n";
    }
    return bottom_ + 46 + 19 * whole((named.size() + columns - 1) / columns);
  }

  const Figure& f_;
  std::string out_;
  Span x_, y_;  // of what along() gives
  std::size_t bars_ = 0;
  double left_ = 54, bottom_ = 0, row_ = 0, thick_ = 0;
};

}  // namespace

std::string svg(const Figure& figure, const std::string& id) { return Drawing(figure).draw(id); }

}  // namespace federate::report
