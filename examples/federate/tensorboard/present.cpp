#include "../tensorboard.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include <boost/crc.hpp>
#include <loru/core/error.hpp>
#include <loru/io/append_file.hpp>
#include <loru/io/file.hpp>

#include "events.pb.h"

namespace federate {

namespace fs = std::filesystem;
using loru::concat, loru::IoError, loru::require;

namespace {

// ---- records ----

void put_little_endian(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> 8 * i & 0xFF);
}

/// CRC-32C, turned by 15 bits and added to a constant, as TFRecord has it.
std::uint32_t masked_crc(const std::string& bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = crc.checksum();
  return (sum >> 15 | sum << 17) + 0xA282EAD8u;
}

/// A TFRecord: the length (8 bytes), its checksum (4), the message, its checksum (4); little-endian.
std::string record_of(const std::string& message) {
  std::string record;
  put_little_endian(record, message.size(), 8);
  put_little_endian(record, masked_crc(record), 4);
  record += message;
  put_little_endian(record, masked_crc(message), 4);
  return record;
}

// ---- histograms ----

/// The finite values of a tensor in buckets of equal widths; nothing if there are none.
bool fill(events::Histogram& histogram, const loru::Tensor<float>& tensor) {
  constexpr int buckets = 64;
  std::vector<double> values;
  for (const float x : tensor.span())
    if (std::isfinite(x)) values.push_back(x);
  if (values.empty()) return false;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double low = *least, width = (*most - low) / buckets;
  std::vector<double> counts(width > 0.0 ? buckets : 1);
  double sum = 0.0, squares = 0.0;
  for (const double x : values) {
    const auto bucket = width > 0.0 ? static_cast<std::size_t>((x - low) / width) : 0;
    ++counts[std::min(bucket, counts.size() - 1)];
    sum += x;
    squares += x * x;
  }
  histogram.set_min(low);
  histogram.set_max(*most);
  histogram.set_num(static_cast<double>(values.size()));
  histogram.set_sum(sum);
  histogram.set_sum_squares(squares);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    histogram.add_bucket_limit(i + 1 == counts.size() ? *most : low + width * static_cast<double>(i + 1));
    histogram.add_bucket(counts[i]);
  }
  return true;
}

// ---- files ----

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// A new name that comes after those of earlier files, which TensorBoard reads in the order of their names.
std::string file_name() {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  const std::string fraction = std::to_string(micros % 1000000);
  return concat("events.out.tfevents.", micros / 1000000, '.', std::string(6 - fraction.size(), '0'),
                fraction, ".loru");
}

/// fsync(), of a file or of a folder, which has the names of its files.
void synchronise_to_disk(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool done = descriptor >= 0 && (::fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP);
  const int code = errno;
  if (descriptor >= 0) ::close(descriptor);
  require<IoError>(done, path.native(), ": cannot write: ", std::strerror(code));
}

/// The folder with nothing but the files that are kept, as they were then.
fs::path prepare(const fs::path& folder, const EventSizes& kept) {
  loru::io::make_directories(folder);
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (!is_event_file(entry.path())) continue;
    const auto found = kept.find(entry.path().filename().string());
    if (found == kept.end())
      fs::remove(entry.path(), code);
    else if (static_cast<Index>(entry.file_size(code)) > found->second && !code)
      fs::resize_file(entry.path(), static_cast<std::uintmax_t>(found->second), code);
    require<IoError>(!code, entry.path().native(), ": cannot replace: ", code.message());
  }
  return folder;
}

class TensorBoardFile final : public EventFile {
 public:
  TensorBoardFile(const fs::path& folder, const EventSizes& kept)
      : folder_{prepare(folder, kept)}, name_{file_name()}, sizes_{kept}, file_{folder / name_} {
    events::Event event;
    event.set_file_version("brain.Event:2");
    write(event, 0);
  }

  void add_text(const std::string& tag, const std::string& text) override {
    events::Event event;
    events::Value& value = *event.mutable_summary()->add_value();
    value.set_tag(tag);
    value.mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
    value.mutable_tensor()->set_dtype(7);
    value.mutable_tensor()->mutable_tensor_shape()->add_dim()->set_size(1);
    value.mutable_tensor()->add_string_val(text);
    write(event, 0);
  }

  void add(const RoundEvents& round) override {
    events::Event by_round, by_uplink;
    for (const auto& [tag, x] : round.measured) {
      put(by_round, tag, x);
      put(by_uplink, "by_uplink/" + tag, x);
    }
    for (const auto& [tag, x] : round.spent) put(by_round, tag, x);
    for (const auto& [tag, tensor] : round.histograms) {
      events::Histogram histogram;
      if (!fill(histogram, tensor)) continue;
      events::Value& value = *by_round.mutable_summary()->add_value();
      value.set_tag(tag);
      *value.mutable_histo() = std::move(histogram);
    }
    write(by_round, round.round);
    if (by_uplink.has_summary()) write(by_uplink, round.uplink_bytes);
  }

  EventSizes synchronise() override {
    synchronise_to_disk(folder_ / name_);
    synchronise_to_disk(folder_);
    return sizes_;
  }

 private:
  static void put(events::Event& event, const std::string& tag, double x) {
    events::Value& value = *event.mutable_summary()->add_value();
    value.set_tag(tag);
    value.set_simple_value(static_cast<float>(x));
  }

  void write(events::Event& event, Index step) {
    event.set_wall_time(now());
    event.set_step(step);
    const std::string record = record_of(event.SerializeAsString());
    file_.write(record);
    sizes_[name_] += std::ssize(record);
  }

  fs::path folder_;
  std::string name_;
  EventSizes sizes_;
  loru::io::AppendFile file_;
};

}  // namespace

void require_tensorboard() {}

std::unique_ptr<EventFile> begin_events(const fs::path& folder, const EventSizes& kept) {
  return std::make_unique<TensorBoardFile>(folder, kept);
}

}  // namespace federate
