#include "shim/lifecycle/signals.h"

#include <signal.h>

#include <charconv>
#include <cstring>
#include <string>

namespace podshim::lifecycle {
namespace {

bool number(std::string_view text, int* out) {
  auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return err == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  if (text.empty()) return SIGTERM;
  std::string_view name = text;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  int n = 0;
  if (number(name, &n) && n > 0 && n <= SIGRTMAX) return n;
  for (const auto& [alias, of] :
       {std::pair<std::string_view, std::string_view>{"CLD", "CHLD"}, {"IO", "POLL"}, {"IOT", "ABRT"}})
    if (name == alias) name = of;
  for (int signal = 1; signal < NSIG; signal++)
    if (const char* known = ::sigabbrev_np(signal); known != nullptr && name == known) return signal;
  for (const auto& [base, at] : {std::pair<std::string_view, int>{"RTMIN", SIGRTMIN}, {"RTMAX", SIGRTMAX}}) {
    if (!name.starts_with(base)) continue;
    std::string_view offset = name.substr(base.size());
    if (offset.starts_with('+')) offset.remove_prefix(1);
    if (offset.empty()) return at;
    if (number(offset, &n) && at + n >= SIGRTMIN && at + n <= SIGRTMAX) return at + n;
  }
  return fail(Error::invalid("stop signal", "\"" + std::string(text) + "\" is no signal"));
}

}  // namespace podshim::lifecycle
