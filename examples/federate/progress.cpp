#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace federate {

namespace {

template <class... Args>
std::string format(const char* pattern, Args... args) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), pattern, args...);
  return text.data();
}

}  // namespace

std::string problem_of(ExitCode code, Index rounds, Index all, const std::string& failure,
                       const std::string& folder) {
  const auto with_folder = [&](const std::string& line, const std::string& what) {
    return folder.empty() ? line : loru::concat(line, "; ", what, " is in ", folder);
  };
  if (code == interrupted)
    return with_folder(loru::concat("stopped after round ", rounds, " of ", all), "everything up to it");
  if (code != failed_run) return {};
  return with_folder(
      failure, rounds > 0 ? loru::concat("the model of round ", rounds) : "the model before the first round");
}

std::size_t terminal_width() {
  struct ::winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80u;
}

std::string human_bytes(double bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < units.size(); ++unit) bytes /= 1000.0;
  return format(unit == 0     ? "%.0f %s"
                : bytes < 10  ? "%.2f %s"
                : bytes < 100 ? "%.1f %s"
                              : "%.0f %s",
                bytes, units[unit]);
}

std::string human_time(double seconds) {
  if (seconds < 9.95) return format("%.1f s", seconds);
  const auto s = static_cast<long long>(std::llround(seconds));
  if (s < 60) return format("%lld s", s);
  if (s < 3600) return format("%lld:%02lld", s / 60, s % 60);
  return format("%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

std::string human_count(Index count) {
  std::string text = std::to_string(count);
  for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), 1, ',');
  return text;
}

std::string human_metric(const loru::train::Metric& metric, double value) {
  const bool share = metric.name == "accuracy";
  return std::string(metric.name) + format(share ? " %.2f %%" : " %.4f", share ? 100.0 * value : value);
}

std::string human_metrics(const std::vector<loru::train::Metric>& metrics, const std::vector<double>& values,
                          double loss, const char* between) {
  std::string text;
  for (std::size_t i = 0; i < metrics.size(); ++i) text += human_metric(metrics[i], values[i]) + between;
  return text + format("loss %.4f", loss);
}

Progress::Progress(bool quiet, Index rounds, std::vector<loru::train::Metric> metrics)
    : kind_{quiet                     ? Kind::none
            : ::isatty(STDOUT_FILENO) ? Kind::bar
                                      : Kind::lines},
      rounds_{rounds},
      metrics_{std::move(metrics)} {}

void Progress::line(const std::string& text) {
  if (kind_ == Kind::none) return;
  end();
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

void Progress::round(const loru::fl::Round& round, const Totals& totals) {
  if (round.evaluated()) tested_ = human_metrics(metrics_, round.test_metrics, round.test_loss);
  draw(totals);
  if (kind_ == Kind::lines) {
    std::string text =
        format("round %lld/%lld  ", static_cast<long long>(round.index), static_cast<long long>(rounds_));
    text += std::isnan(round.train_loss) ? "too few updates" : format("train loss %.4f", round.train_loss);
    if (round.evaluated()) text += "  " + tested_;
    line(text + "  up " + human_bytes(static_cast<double>(round.uplink_bytes)) + "  down " +
         human_bytes(static_cast<double>(round.downlink_bytes)) + format("  %.2f s", round.seconds));
  }
}

std::string Progress::bar(const Totals& totals) const {
  constexpr Index width = 12;
  const auto full = static_cast<std::size_t>(width * totals.rounds / rounds_);
  std::string text =
      format("round %lld/%lld [", static_cast<long long>(totals.rounds), static_cast<long long>(rounds_));
  text.append(full, '#').append(width - full, '.').append("]");
  if (!tested_.empty()) text += "  " + tested_;
  text += "  " + human_bytes(static_cast<double>(totals.uplink_bytes + totals.downlink_bytes));
  if (totals.rounds == before_) return text;
  const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  const double left =
      passed / static_cast<double>(totals.rounds - before_) * static_cast<double>(rounds_ - totals.rounds);
  return text + "  " + human_time(left) + " left";
}

void Progress::draw(const Totals& totals) {
  if (kind_ != Kind::bar) return;
  std::printf("\r\033[K%s", bar(totals).substr(0, terminal_width() - 1).c_str());
  std::fflush(stdout);
  open_ = true;
}

void Progress::outcome(const Totals& totals, const Outcome& outcome, const std::optional<double>& stop_at) {
  const bool validated = !outcome.validation.empty();
  if (outcome.stopped_after)
    line(loru::concat("stopped after round ", *outcome.stopped_after, ": ", validated ? "validation " : "",
                      metrics_[0].name, " ", *stop_at, " is reached"));
  if (validated) line("validation " + human_metric(metrics_[0], outcome.validation[0]));
  const std::string tested = human_metrics(metrics_, outcome.test.metrics, outcome.test.loss, ", ");
  const double turns = static_cast<double>(std::max<Index>(totals.cohorts, 1));
  line(loru::concat(tested, ", ", outcome.merges, " merges, ",
                    human_bytes(static_cast<double>(totals.uplink_bytes) / turns),
                    " up a client and round, trained in ", human_time(totals.train_seconds)));
  if (const auto& p = outcome.personal; p && p->mean != p->global_mean) {
    char accuracy[64];
    std::snprintf(accuracy, sizeof accuracy, "clients' own models %.2f %%, the global one %.2f %%",
                  100.0 * p->mean, 100.0 * p->global_mean);
    line(accuracy);
  }
  for (const auto& [layer, rank] : outcome.update_rank)
    line(loru::concat("update of ", layer, ": rank ", rank));
}

void Progress::end() {
  if (open_) std::printf("\n");
  open_ = false;
}

}  // namespace federate
