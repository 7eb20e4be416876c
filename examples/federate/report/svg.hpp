#pragma once
// Figures as SVG text: curves with bands, points with error bars, histograms, bars and heat maps on two
// axes. Colours come from the page's style (page.cpp), so that a figure follows light and dark.

#include <cmath>
#include <string>
#include <vector>

namespace federate::report {

/// Of symmetric_log a value lies at asinh(v / threshold): linear around 0, logarithmic far from it.
enum class Scale { linear, log, symmetric_log };

struct Axis {
  std::string label;
  Scale scale = Scale::linear;
  double threshold = 1.0;
  bool whole = false;                   // ticks at whole numbers
  std::vector<double> holds = {};       // values that the axis reaches besides the data's
  std::vector<std::string> names = {};  // of y alone: categories 0, 1, ... from top to bottom
};

struct Point {
  double x = 0.0, y = 0.0, low = NAN, high = NAN;  // low to high: the spread of y (bars: of x)
};

enum class Shape {
  line,    // with a dozen markers at most
  points,  // markers alone
  steps,   // a histogram: point i gives the height from its x to that of point i + 1
  bars,    // horizontal: y is the category, x the length
  cells    // heat map: x is the column, y the category, low the opacity in [0, 1]
};
enum class Spread { none, band, error_bars };

struct Series {
  std::string name;  // in the legend; empty: not there
  Shape shape = Shape::line;
  std::vector<Point> points = {};
  Spread spread = Spread::none;
  std::size_t style = 0;          // colour, dashes and marker: one of `styles`, counted round
  std::vector<Point> marks = {};  // short upright strokes through the curve
};

inline constexpr std::size_t styles = 8;
struct Figure {
  std::string title, description;  // the description is the text alternative
  Axis x, y;
  std::vector<Series> series;
};

/// The figure as one <svg role="img">; `id` is unique in the page.
std::string svg(const Figure& figure, const std::string& id);

}  // namespace federate::report
