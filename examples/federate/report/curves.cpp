#include "curves.hpp"

#include <algorithm>
#include <cctype>
#include <map>

#include "statistic.hpp"
#include "text.hpp"

namespace federate::report {

using loru::concat;

namespace {

/// A column's value after a round.
struct Sample {
  double round, uplink, value;  // uplink: bytes of all clients up to here
};

std::vector<Sample> samples(const Run& run, const std::string& column) {
  std::vector<Sample> found;
  if (!has_column(run.rounds, column)) return found;
  double uplink = 0.0;
  for (std::size_t i = 0; i < run.rounds.rows.size(); ++i) {
    uplink += number_in(run.rounds, i, "uplink_bytes").value_or(0.0);
    const auto round = number_in(run.rounds, i, "round"), value = number_in(run.rounds, i, column);
    if (round && value && std::isfinite(*value)) found.push_back({*round, uplink, *value});
  }
  return found;
}

/// A curve of a group: the mean over its seeds at the rounds that all of them have.
struct Curve {
  std::vector<double> rounds;
  std::vector<Point> points;
  std::size_t seeds = 0;
};

/// By round, or by uplink in units of `unit` bytes.
Curve curve(const Group& group, const std::string& column, double factor, double unit) {
  std::map<double, std::vector<Sample>> by_round;
  const auto runs = group.counted();
  for (const Run* run : runs)
    for (const Sample& s : samples(*run, column)) by_round[s.round].push_back(s);
  Curve curve{{}, {}, runs.size()};
  for (const auto& [round, all] : by_round) {
    if (all.size() < runs.size()) continue;
    std::vector<double> values, uplinks;
    for (const Sample& s : all) values.push_back(factor * s.value), uplinks.push_back(s.uplink);
    const Statistic s = statistic(values);
    curve.rounds.push_back(round);
    curve.points.push_back({unit > 0.0 ? statistic(uplinks).mean / unit : round, s.mean, s.low, s.high});
  }
  return curve;
}

/// Points of the curve at the merges of the group's first run.
std::vector<Point> merges(const Group& group, const Curve& curve) {
  std::vector<Point> marks;
  for (const double round : group.counted()[0]->merge_rounds) {
    const auto next = std::lower_bound(curve.rounds.begin(), curve.rounds.end(), round);
    if (next == curve.rounds.end() || (next == curve.rounds.begin() && *next != round)) continue;
    const auto i = static_cast<std::size_t>(next - curve.rounds.begin());
    const Point& b = curve.points[i];
    const Point& a = *next == round ? b : curve.points[i - 1];
    const double share = *next == round ? 0.0 : (round - curve.rounds[i - 1]) / (*next - curve.rounds[i - 1]);
    marks.push_back({a.x + share * (b.x - a.x), a.y + share * (b.y - a.y)});
  }
  return marks;
}

/// One line of a figure: a column of a group.
struct Line {
  const Group* group;
  std::string column, name;
};

/// The uplink axis is in these units.
struct ByteUnit {
  double bytes;
  const char* name;
};

ByteUnit byte_unit(const std::vector<Group>& groups) {
  double most = 0.0;
  for (const Group& group : groups) most = std::max(most, over(group, "uplink_bytes").high);
  return most >= 1e10 ? ByteUnit{1e9, "GB"} : most >= 1e6 ? ByteUnit{1e6, "MB"} : ByteUnit{1e3, "kB"};
}

std::string described(const Line& line, const Curve& curve, const Quantity& q) {
  const Point& last = curve.points.back();
  std::string text = concat(line.name.empty() ? line.group->name : line.name, ": ", q.text(last.y / q.factor),
                            " after round ", number(curve.rounds.back(), 0));
  if (curve.seeds > 1)
    text += concat(" (mean of ", curve.seeds, " seeds, from ", q.text(last.low / q.factor), " to ",
                   q.text(last.high / q.factor), ')');
  return text + ". ";
}

bool far_apart(const Figure& figure, double Point::* value, double ratio) {
  double low = INFINITY, high = 0.0;
  for (const Series& s : figure.series)
    for (const Point& p : s.points) low = std::min(low, p.*value), high = std::max(high, p.*value);
  return low > 0.0 && high > ratio * low;
}

/// Whether the ends of the curves are far apart, so that short ones vanish on a linear axis.
bool ends_far_apart(const Figure& figure) {
  Figure ends;
  for (const Series& s : figure.series) ends.series.push_back({.name = "", .points = {s.points.back()}});
  return far_apart(ends, &Point::x, 3.0);
}

/// A figure of lines, against rounds or, with a unit, against uplink. Nothing if no line has a point.
void add_figure(Page& page, const std::vector<Line>& lines, const Quantity& q, const std::string& title,
                const ByteUnit* unit, std::string note) {
  Figure figure{.title = title,
                .description = "",
                .x = {.label = "round", .whole = true},
                .y = {.label = q.label()},
                .series = {}};
  if (unit) figure.x = {.label = concat("uplink of all clients, ", unit->name)};
  bool bands = false, marked = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Curve c = curve(*lines[i].group, lines[i].column, q.factor, unit ? unit->bytes : 0.0);
    if (c.points.empty()) continue;
    const bool band = c.seeds > 1;
    auto marks = lines[i].column.starts_with("test_") ? merges(*lines[i].group, c) : std::vector<Point>{};
    bands = bands || band;
    marked = marked || !marks.empty();
    figure.description += described(lines[i], c, q);
    figure.series.push_back({.name = lines[i].name,
                             .points = c.points,
                             .spread = band ? Spread::band : Spread::none,
                             .style = i,
                             .marks = std::move(marks)});
  }
  if (figure.series.empty()) return;
  if (unit && ends_far_apart(figure)) figure.x.scale = Scale::log;
  if (q.name == "loss" && far_apart(figure, &Point::y, 20.0)) figure.y.scale = Scale::log;
  if (bands) note += "Lines are means over seeds, bands go from the lowest seed to the highest. ";
  if (marked) note += "Upright strokes are merges. ";
  page.figure(figure, note);
}

/// "Accuracy", and names of up to three letters, which are abbreviations, as "MAE".
std::string capital(std::string text) {
  const std::size_t letters = text.size() <= 3 ? text.size() : 1;
  for (std::size_t i = 0; i < letters; ++i)
    text[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[i])));
  return text;
}

std::vector<Line> lines_of(const std::vector<const Group*>& groups, const std::string& column) {
  std::vector<Line> lines;
  for (const Group* group : groups) lines.push_back({group, column, group->name});
  return lines;
}

/// Of one configuration the test set, the validation samples and the training loss in one figure.
std::vector<Line> kinds_of(const Group& group, const std::string& name) {
  std::vector<Line> lines;
  for (const char* kind : {"test", "validation", "train"})
    if (const std::string column = concat(kind, '_', name); has_column(group.runs[0].rounds, column))
      lines.push_back({&group, column, concat(kind, ' ', name)});
  return lines;
}

void add_quantity(Page& page, const std::vector<Group>& groups, const Quantity& q, bool with_bytes) {
  const auto drawn = best_groups(groups);
  const ByteUnit unit = byte_unit(groups);
  const std::string note = left_out_note(groups);
  const bool one = groups.size() == 1;
  const auto lines = one ? kinds_of(groups[0], q.name) : lines_of(drawn, "test_" + q.name);
  const std::string name = one ? capital(q.name) : concat("Test ", q.name);
  add_figure(page, lines, q, name + " by round", nullptr, note);
  if (with_bytes) add_figure(page, lines, q, name + " by uplink", &unit, note);
  if (!one && has_column(groups[0].runs[0].rounds, "validation_" + q.name))
    add_figure(page, lines_of(drawn, "validation_" + q.name), q, concat("Validation ", q.name, " by round"),
               nullptr, note);
}

}  // namespace

void add_curves(Page& page, const std::vector<Group>& groups) {
  const auto all = metrics(groups);
  page.section("Learning curves");
  for (std::size_t i = 0; i < all.size(); ++i) add_quantity(page, groups, all[i], i == 0);
  add_quantity(page, groups, quantity("loss"), true);
  const auto no_round = [](const Group& group) {
    return group.counted().empty() || group.counted()[0]->rounds.rows.empty();
  };
  if (std::all_of(groups.begin(), groups.end(), no_round)) page.paragraph("No round was finished.");
}

}  // namespace federate::report
