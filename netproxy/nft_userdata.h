// The two dialects inside a batch: what a Rule is in the kernel's expressions, and what nft keeps as user data so that
// it can print sets, comments and typeof again (libnftnl's type-length-value lists). Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/netlink/nft_expression.h"
#include "netproxy/ruleset.h"

namespace podshim::netproxy {

nft::Expressions rule_expressions(const Rule& rule);
// The expressions of the rule by the kernel's names, for a kernel that lacks one: "numgen nat".
std::string rule_requirement(const Rule& rule);

std::vector<std::uint8_t> comment_userdata(const std::string& comment);  // cut at 127 bytes
std::vector<std::uint8_t> set_userdata(const SetDecl& set);

}  // namespace podshim::netproxy
