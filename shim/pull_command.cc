#include "shim/pull_command.h"

#include <unistd.h>

#include <cstdio>
#include <future>
#include <set>

#include "shim/image/reference.h"

namespace podshim {
namespace {

constexpr std::chrono::milliseconds kEvery{100};
constexpr int kBarWidth = 30;

const char* stage_name(cri::LayerLine::Stage stage) {
  switch (stage) {
    case cri::LayerLine::Stage::waiting:
      return "waiting";
    case cri::LayerLine::Stage::fetching:
      return "fetching";
    case cri::LayerLine::Stage::unpacking:
      return "unpacking";
    case cri::LayerLine::Stage::done:
      return "done";
  }
  return "";
}

std::string short_digest(const std::string& digest) { return digest.substr(digest.find(':') + 1, 12); }

// Draws over what it drew before.
class Bars {
 public:
  void draw(const cri::PullLine& pull) {
    if (lines_ > 0) std::fprintf(stderr, "\x1b[%zuA", lines_);
    for (const auto& layer : pull.layers) std::fprintf(stderr, "\r\x1b[2K%s\n", layer_bar(layer).c_str());
    lines_ = pull.layers.size();
    std::fflush(stderr);
  }
  // What was not seen to end has ended all the same.
  void finish() {
    for (auto& layer : last_.layers) {
      layer.fetched = layer.size;
      layer.stage = cri::LayerLine::Stage::done;
    }
    draw(last_);
  }
  void keep(const cri::PullLine& pull) { last_ = pull; }

 private:
  std::size_t lines_ = 0;
  cri::PullLine last_;
};

class Lines {
 public:
  void draw(const cri::PullLine& pull) {
    for (const auto& layer : pull.layers) {
      if (layer.stage != cri::LayerLine::Stage::done || !told_.insert(layer.digest).second) continue;
      std::fprintf(stderr, "%s done, %.1f MB\n", short_digest(layer.digest).c_str(),
                   static_cast<double>(layer.size) / 1e6);
    }
  }

 private:
  std::set<std::string> told_;
};

}  // namespace

std::string layer_bar(const cri::LayerLine& layer) {
  const double part = layer.size == 0 ? 1 : static_cast<double>(layer.fetched) / static_cast<double>(layer.size);
  const int full = static_cast<int>(part * kBarWidth);
  std::string bar(static_cast<std::size_t>(full), '=');
  if (full < kBarWidth) bar += '>';
  bar.resize(kBarWidth, ' ');
  char text[80];
  std::snprintf(text, sizeof text, "%-12s [%s] %7.1f/%.1f MB %s", short_digest(layer.digest).c_str(), bar.c_str(),
                static_cast<double>(layer.fetched) / 1e6, static_cast<double>(layer.size) / 1e6,
                stage_name(layer.stage));
  return text;
}

Result<cri::ImageLine> pull_with_progress(cri::AdminClient& client, const Options& options) {
  const std::string& name = options.operands.front();
  const auto parsed = image::parse_reference(name);
  const std::string canonical = parsed ? parsed->text() : name;
  const auto colon = options.creds.find(':');
  const cri::PullCredentials credentials = options.creds.empty()
                                               ? cri::PullCredentials{}
                                               : cri::PullCredentials{.username = options.creds.substr(0, colon),
                                                                      .password = options.creds.substr(colon + 1)};
  auto pulled = std::async(std::launch::async, [&] { return client.pull_image(name, credentials); });
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  Bars bars;
  Lines lines;
  while (pulled.wait_for(kEvery) != std::future_status::ready) {
    const auto pulls = client.pulls();
    if (!pulls) continue;  // the pull itself tells what is wrong
    for (const auto& pull : *pulls) {
      if (pull.reference != canonical) continue;
      if (terminal) {
        bars.draw(pull);
        bars.keep(pull);
      } else {
        lines.draw(pull);
      }
      break;
    }
  }
  const auto id = pulled.get();
  if (!id) return fail(id.error());
  if (terminal) bars.finish();
  return client.find_image(*id);
}

}  // namespace podshim
