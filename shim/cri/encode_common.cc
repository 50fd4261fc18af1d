#include <algorithm>

#include "shim/cri/encode.h"

namespace podshim::cri {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the well-formed UTF-8 sequence at `at` (Unicode, table 3-7), or 0.
std::size_t sequence(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned b = byte(at);
  if (b < 0x80) return 1;
  if (b >= 0xc2 && b <= 0xdf) return tail(at + 1) ? 2 : 0;
  if (b >= 0xe0 && b <= 0xef) {
    const unsigned low = b == 0xe0 ? 0xa0 : 0x80, high = b == 0xed ? 0x9f : 0xbf;
    return tail(at + 1, low, high) && tail(at + 2) ? 3 : 0;
  }
  if (b >= 0xf0 && b <= 0xf4) {
    const unsigned low = b == 0xf0 ? 0x90 : 0x80, high = b == 0xf4 ? 0x8f : 0xbf;
    return tail(at + 1, low, high) && tail(at + 2) && tail(at + 3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = sequence(text, at);
    if (n == 0) {
      out += kReplacement;
      at++;
    } else {
      out += text.substr(at, n);
      at += n;
    }
  }
  return out;
}

void encode_resources(const Resources& r, v1::LinuxContainerResources* out) {
  out->set_cpu_period(r.cpu_period_us);
  out->set_cpu_quota(r.cpu_quota_us);
  out->set_cpu_shares(r.cpu_shares);
  out->set_memory_limit_in_bytes(r.memory_limit_bytes);
  out->set_memory_swap_limit_in_bytes(r.memory_swap_limit_bytes);
  out->set_oom_score_adj(r.oom_score_adj);
  out->set_cpuset_cpus(r.cpuset_cpus);
  out->set_cpuset_mems(r.cpuset_mems);
  out->mutable_unified()->insert(r.unified.begin(), r.unified.end());
}

void encode_condition(const char* type, const Condition& condition, v1::RuntimeCondition* out) {
  out->set_type(type);
  out->set_status(condition.ok);
  out->set_reason(utf8(condition.reason));
  out->set_message(utf8(condition.message));
}

void encode_exec(const ExecResult& result, v1::ExecSyncResponse* out) {
  constexpr std::size_t kBudget = (16UL << 20) - 4096;  // a Go client's usual limit, less the framing
  std::size_t out_share = result.out.size(), err_share = result.err.size();
  if (out_share + err_share > kBudget) {
    err_share = std::min(err_share, std::max(kBudget / 2, kBudget - std::min(kBudget, out_share)));
    out_share = std::min(out_share, kBudget - err_share);
  }
  out->set_stdout(result.out.data(), out_share);
  out->set_stderr(result.err.data(), err_share);
  out->set_exit_code(result.exit_code);
}

}  // namespace podshim::cri
