#include "configuration.hpp"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include <loru/core/text.hpp>
#include <loru/io/file.hpp>

#include "key.hpp"

namespace federate {

using loru::concat, loru::ConfigError, loru::fail, loru::require;

namespace {

// ---- the keys ----

using Keys = std::vector<Key>;

void append(Keys& keys, Keys more) { keys.insert(keys.end(), more.begin(), more.end()); }

Keys data_keys(Configuration& c) {
  loru::data::Source& data = c.data;
  return {word("data.name", data.name, loru::data::dataset_names()),
          path("data.dir", data.dir),
          strings("data.augment", c.augment, {"crop", "flip"}),
          integer("data.crop_padding", c.crop_padding, at_least(1)),
          path("data.train_images", data.idx.train_images),
          path("data.train_labels", data.idx.train_labels),
          path("data.test_images", data.idx.test_images),
          path("data.test_labels", data.idx.test_labels),
          integer("data.batches", data.batches,
                  {"a whole number in 1 .. 5", [](Index x) { return x >= 1 && x <= 5; }}),
          integer("data.classes", data.synthetic.classes, at_least(1)),
          integers("data.shape", c.synthetic_shape, 3, at_least(1)),
          integer("data.train_samples", data.synthetic.train, at_least(1)),
          integer("data.test_samples", data.synthetic.test, at_least(1)),
          number("data.separation", data.synthetic.separation, not_negative),
          number("data.noise", data.synthetic.noise, not_negative),
          integer("data.seed", c.synthetic_seed, at_least(0)),
          word("partition.kind", c.partition.kind, loru::data::partition_kinds()),
          number("partition.alpha", c.partition.alpha, positive),
          integer("partition.classes_per_client", c.partition.classes_per_client, at_least(1)),
          number("partition.skew", c.partition.skew, not_negative)};
}

Keys model_keys(Configuration& c) {
  using namespace loru;
  using fl::RankRule, lowrank::PlanChoice, lowrank::SmallLayers, lowrank::Start;
  lowrank::FactorizeOptions& low = c.lowrank;
  return {
      word("model.name", c.model, nn::model_names()),
      choice<nn::Norm>("model.norm", c.model_options.norm,
                       {{"batch", nn::Norm::batch}, {"group", nn::Norm::group}}),
      choice<nn::Init>("model.init", c.model_options.init,
                       {{"kaiming", nn::Init::kaiming}, {"xavier", nn::Init::xavier}}),
      integer("model.narrow", c.model_options.narrow,
              {"a whole number in 1 .. 64", [](Index x) { return x >= 1 && x <= 64; }}),
      integer("lowrank.rank", low.rank, at_least(1)),
      integers("lowrank.ranks", low.ranks, at_least(1)),
      number("lowrank.alpha", low.alpha, not_negative),
      strings("lowrank.layers", low.layers),
      choice<SmallLayers>(
          "lowrank.small_layers", low.small_layers,
          {{"error", SmallLayers::error}, {"dense", SmallLayers::dense}, {"factor", SmallLayers::factor}}),
      number("lowrank.dropout", low.dropout, below_one),
      choice<PlanChoice>("lowrank.plan", low.plan,
                         {{"auto", PlanChoice::automatic},
                          {"factored", PlanChoice::factored},
                          {"composed", PlanChoice::composed},
                          {"composed_full", PlanChoice::composed_full}}),
      rates("lowrank.rates", low.rates),
      choice<Start>("lowrank.start", low.start, {{"zero", Start::zero}, {"svd", Start::svd}}),
      choice<RankRule>("ranks.rule", c.ranks.rule,
                       {{"same", RankRule::same},
                        {"fixed", RankRule::fixed},
                        {"tiers", RankRule::tiers},
                        {"data", RankRule::data}}),
      integers("ranks.values", c.ranks.values, at_least(1)),
      numbers("ranks.shares", c.ranks.shares, not_negative)};
}

Keys training_keys(Configuration& c) {
  using namespace loru::optim;
  using loru::fl::Code, loru::fl::ServerRule;
  loru::fl::ServerOptimizer& server = c.server;
  const std::vector<std::pair<std::string, Code>> code_words(std::begin(loru::fl::code_words),
                                                             std::end(loru::fl::code_words));
  Options& optimizer = c.client.optimizer;
  Schedule& schedule = c.client.schedule;
  return {word("algorithm.name", c.algorithm, loru::fl::algorithm_names()),
          integer("federation.clients", c.clients, at_least(1)),
          integer("federation.cohort", c.cohort, at_least(1)),
          number("federation.fraction", c.fraction, up_to_one),
          integer("federation.rounds", c.rounds, at_least(1)),
          integer("federation.warmup_rounds", c.warmup_rounds, at_least(0)),
          integer("federation.eval_every", c.eval_every, at_least(0)),
          choice<bool>("federation.client_state", c.state_on_disk, {{"memory", false}, {"disk", true}}),
          flag("federation.aggregation_error", c.aggregation_error),
          choice<ServerRule>("server.optimizer", server.rule,
                             {{"fedavg", ServerRule::fedavg},
                              {"fedavgm", ServerRule::fedavgm},
                              {"fedadagrad", ServerRule::fedadagrad},
                              {"fedadam", ServerRule::fedadam},
                              {"fedyogi", ServerRule::fedyogi}}),
          number("server.learning_rate", server.learning_rate, positive),
          number("server.beta1", server.beta1, below_one),
          number("server.beta2", server.beta2, below_one),
          number("server.epsilon", server.epsilon, positive),
          choice<Code>("codec.uplink", c.codecs.uplink, code_words),
          choice<Code>("codec.downlink", c.codecs.downlink, code_words),
          number("codec.keep", c.codecs.keep, up_to_one),
          integer("federation.personal_images", c.personal_images, at_least(0)),
          integer("client.epochs", c.client.epochs, at_least(1)),
          integer("client.batch", c.client.batch, at_least(1)),
          choice<Kind>("optimizer.name", optimizer.kind,
                       {{"sgd", Kind::sgd}, {"adam", Kind::adam}, {"adamw", Kind::adamw}}),
          number("optimizer.learning_rate", optimizer.learning_rate, positive),
          number("optimizer.momentum", optimizer.momentum, below_one),
          flag("optimizer.nesterov", optimizer.nesterov),
          number("optimizer.beta1", optimizer.beta1, below_one),
          number("optimizer.beta2", optimizer.beta2, below_one),
          number("optimizer.weight_decay", optimizer.weight_decay, not_negative),
          number("optimizer.clip_norm", optimizer.clip_norm, not_negative),
          choice<ScheduleKind>("schedule.kind", schedule.kind,
                               {{"constant", ScheduleKind::constant},
                                {"step", ScheduleKind::step},
                                {"cosine", ScheduleKind::cosine}}),
          choice<bool>("schedule.per", c.client.schedule_per_step, {{"round", false}, {"step", true}}),
          integer("schedule.every", schedule.every, at_least(1)),
          number("schedule.gamma", schedule.gamma, not_negative),
          integer("schedule.warmup", schedule.warmup, at_least(0)),
          number("schedule.min_learning_rate", schedule.minimum, not_negative)};
}

/// Keys that all algorithms share.
Keys common_keys(Configuration& c) {
  Keys keys{integer("seed", c.seed, at_least(0)), word("device", c.device, {"cpu", "cuda"})};
  append(keys, data_keys(c));
  append(keys, model_keys(c));
  append(keys, training_keys(c));
  return keys;
}

template <class A>
Key field_key(A& algorithm, const loru::Field<A, Index>& field) {
  const Index least = field.least, most = field.most;
  return integer(
      concat("algorithm.", field.name), algorithm.*field.member,
      {most == std::numeric_limits<Index>::max() ? concat("a whole number >= ", least)
                                                 : concat("a whole number in ", least, " .. ", most),
       [=](Index x) { return x >= least && x <= most; }});
}

template <class A>
Key field_key(A& algorithm, const loru::Field<A, double>& field) {
  const double least = field.least, most = field.most;
  return number(
      concat("algorithm.", field.name), algorithm.*field.member,
      {concat("a number in ", least, " .. ", most), [=](double x) { return x >= least && x <= most; }});
}

template <class A, class V, std::size_t N>
Key field_key(A& algorithm, const loru::Choice<A, V, N>& field) {
  return choice<V>(concat("algorithm.", field.name), algorithm.*field.member,
                   {field.words.begin(), field.words.end()});
}

template <class A>
Key field_key(A& algorithm, const loru::Rounds<A>& field) {
  std::vector<Index>& rounds = algorithm.*field.member;
  Key key = integers(concat("algorithm.", field.name), rounds, at_least(1));
  key.read = [&rounds, list = key.read](const toml::node& node) {
    list(node);
    loru::detail::check_rounds("", rounds);
  };
  return key;
}

/// Keys of one algorithm.
struct AlgorithmKeys {
  std::string algorithm;
  Keys keys;
};

std::vector<AlgorithmKeys> algorithm_keys(Configuration& c) {
  std::vector<AlgorithmKeys> all;
  const auto add = [&]<class A>(A& algorithm) {
    std::apply(
        [&](const auto&... field) {
          all.push_back({std::string(A::name), {field_key(algorithm, field)...}});
        },
        A::fields());
  };
  std::apply([&](auto&... algorithm) { (add(algorithm), ...); }, c.algorithms);
  return all;
}

// ---- reading ----

const Key* find(const Keys& keys, const std::string& name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

constexpr const char* command_line = "--set";

/// Where a value stands: "file.toml:3: ", or "--set: ".
std::string where(const toml::node& node) {
  const toml::source_region& source = node.source();
  if (!source.path || *source.path == command_line) return concat(command_line, ": ");
  return concat(*source.path, ':', source.begin.line, ": ");
}

/// Reads a table key by key. Keys of an algorithm wait until it is known which one is used.
class Reader {
 public:
  explicit Reader(Configuration& c) : c_{c}, common_{common_keys(c)}, algorithms_{algorithm_keys(c)} {
    for (const Key& key : common_) names_.push_back(key.name);
    for (const auto& [algorithm, keys] : algorithms_)
      for (const Key& key : keys) names_.push_back(key.name);
  }

  void read(const toml::table& table) {
    read_table(table, "");
    for (const auto& [algorithm, keys] : algorithms_)
      if (algorithm == c_.algorithm)
        for (const auto& [name, node] : waiting_)
          if (const Key* key = find(keys, name)) assign(*key, *node);
  }

 private:
  void read_table(const toml::table& table, const std::string& prefix) {
    for (const auto& [leaf, node] : table) {
      const std::string name = prefix + std::string(leaf.str());
      if (const Key* key = find(common_, name))
        assign(*key, node);
      else if (std::find(names_.begin(), names_.end(), name) != names_.end())
        waiting_.emplace_back(name, &node);
      else if (node.is_table() && (is_section(name) || !node.as_table()->empty()))
        read_table(*node.as_table(), name + '.');
      else
        refuse(name, node);
    }
  }

  [[noreturn]] void refuse(const std::string& name, const toml::node& node) const {
    require<ConfigError>(!is_section(name), where(node), name, ": expected a table, got ", node.type());
    fail<ConfigError>(where(node), "unknown key '", name, "', nearest is '", loru::nearest(name, names_),
                      "'");
  }

  bool is_section(const std::string& name) const {
    return std::any_of(names_.begin(), names_.end(), [&](auto& key) { return key.starts_with(name + '.'); });
  }

  static void assign(const Key& key, const toml::node& node) {
    try {
      key.read(node);
    } catch (const ConfigError& error) {
      fail<ConfigError>(where(node), key.name, ": ", error.what());
    }
  }

  Configuration& c_;
  Keys common_;
  std::vector<AlgorithmKeys> algorithms_;
  std::vector<std::string> names_;
  std::vector<std::pair<std::string, const toml::node*>> waiting_;
};

toml::table parse(const std::string& text, const std::string& origin) {
  try {
    return toml::parse(text, origin);
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    fail<ConfigError>(origin, ':', at.line, ':', at.column, ": broken TOML: ", error.description());
  }
}

/// Moves every value of `over` into `under`, table by table; copies would forget where they stand.
void overlay(toml::table& under, toml::table& over) {
  for (auto&& [key, node] : over) {
    toml::table* below = under[key].as_table();
    if (below && node.is_table())
      overlay(*below, *node.as_table());
    else
      node.visit([&](auto& value) { under.insert_or_assign(key, std::move(value)); });
  }
}

/// The file over the file that its `base` names, relative to its own folder, if it names one.
toml::table read_document(const std::filesystem::path& file, Index depth = 0) {
  toml::table document = parse(loru::io::read_text(file), file.string());
  const toml::node* base = document.get("base");
  if (!base) return document;
  require<ConfigError>(base->is_string(), where(*base), "base: expected the name of a file, got ",
                       base->type());
  require<ConfigError>(depth < 8, where(*base), "base: expected at most 8 files over each other");
  toml::table under = read_document(file.parent_path() / base->as_string()->get(), depth + 1);
  document.erase("base");
  overlay(under, document);
  return under;
}

/// Puts the TOML value, or the string where it is none, under a key of the document.
void set(toml::table& document, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  require<ConfigError>(equals != std::string::npos && equals > 0, "--set: expected key.path=value, got '",
                       assignment, "'");
  const std::string key = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  toml::table parsed;
  try {
    parsed = toml::parse("value = " + text, std::string(command_line));
  } catch (const toml::parse_error&) {}
  if (parsed.size() != 1) parsed.insert_or_assign("value", text);

  toml::table* table = &document;
  std::size_t begin = 0;
  for (std::size_t dot = key.find('.'); dot != std::string::npos;
       begin = dot + 1, dot = key.find('.', begin)) {
    const std::string part = key.substr(begin, dot - begin);
    toml::node& child = table->insert(part, toml::table{}).first->second;
    require<ConfigError>(child.is_table(), "--set: ", key, ": ", part, " is a value, not a table");
    table = child.as_table();
  }
  parsed.at("value").visit(
      [&](auto& value) { table->insert_or_assign(key.substr(begin), std::move(value)); });
}

}  // namespace

Configuration read_configuration(const std::string& file, const Overrides& overrides) {
  toml::table document = read_document(file);
  for (const std::string& assignment : overrides.set) set(document, assignment);
  Configuration c;
  Reader(c).read(document);
  if (overrides.device) c.device = *overrides.device;
  if (overrides.seed) c.seed = *overrides.seed;
  if (overrides.data_dir) c.data.dir = *overrides.data_dir;
  std::string names;
  for (const std::string& name : loru::data::dataset_names()) names += (names.empty() ? "" : ", ") + name;
  require<ConfigError>(!c.data.name.empty(), file, ": data.name: expected one of ", names, "; got nothing");
  require<ConfigError>(!(c.cohort && c.fraction), file,
                       ": federation: expected cohort or fraction, got both");
  return c;
}

std::string to_toml(Configuration c) {
  Keys keys = common_keys(c);
  for (auto& [algorithm, own] : algorithm_keys(c))
    if (algorithm == c.algorithm) append(keys, std::move(own));
  toml::table document;
  for (const Key& key : keys) {
    const std::size_t dot = key.name.find('.');
    if (dot == std::string::npos) {
      key.write(document, key.name);
      continue;
    }
    toml::node& section = document.insert(key.name.substr(0, dot), toml::table{}).first->second;
    key.write(*section.as_table(), key.name.substr(dot + 1));
  }
  std::ostringstream text;
  text << document << '\n';
  return text.str();
}

bool low_rank(const Configuration& c) {
  bool result = false;
  with_algorithm(c, [&](const auto& algorithm) { result = algorithm.low_rank; });
  return result;
}

}  // namespace federate
