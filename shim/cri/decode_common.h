// What decode_sandbox.cc and decode_container.cc share: checks of one value that name its field path. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "runtime.pb.h"
#include "shim/plan/spec.h"

namespace podshim::cri {

namespace v1 = ::runtime::v1;

std::string indexed(std::string_view field, int index);                                      // "mounts[3]"
std::string keyed(std::string_view field, const std::string& key);                           // "labels[\"app\"]"
Error bad_value(const std::string& field, const std::string& value, std::string_view rule);  // "field: "x" rule"
Error not_yet(const std::string& field, std::string why);                                    // unimplemented

Result<> check_text(const std::string& field, const std::string& value);      // no NUL byte
Result<> check_required(const std::string& field, const std::string& value);  // and not empty
Result<> check_absolute(const std::string& field, const std::string& value);  // begins with /, no NUL; empty is refused
Result<> check_no_dotdot(const std::string& field, const std::string& value);
Result<> check_range(const std::string& field, std::int64_t value, std::int64_t low, std::int64_t high);
bool is_dns_label(std::string_view text);

// Bytes of a map<string, string> as they are: order and content are the client's.
using StringMap = google::protobuf::Map<std::string, std::string>;
std::map<std::string, std::string> decode_map(const StringMap& map);

Result<NamespaceOptions> decode_namespaces(const std::string& field, const v1::NamespaceOption& options, bool sandbox);
Result<SeccompChoice> decode_seccomp(const std::string& field, const v1::SecurityProfile* profile,
                                     const std::string& deprecated_path);
Result<> check_apparmor(const std::string& field, const v1::SecurityProfile* profile,
                        const std::string& deprecated_name);
// Of an update: -1 stays, it takes a limit away.
Result<Resources> decode_limits(const std::string& field, const v1::LinuxContainerResources& resources);
Result<Resources> decode_resources(const std::string& field, const v1::LinuxContainerResources& resources);
// A user or group id; (uid_t)-1 means "leave" to the kernel and is refused.
Result<std::int64_t> decode_id(const std::string& field, std::int64_t value);

// SIG_USR1 -> SIGUSR1, SIG_RTMINPLUS3 -> SIGRTMIN+3, SIG_RTMAXMINUS1 -> SIGRTMAX-1.
std::string signal_name(v1::Signal value);
v1::Signal signal_of(const std::string& name);  // the way back; RUNTIME_DEFAULT for any other

}  // namespace podshim::cri
