// A Ruleset as the text that `nft list table inet podshim` prints (and `nft -f` reads), and a Plan as the `nft`
// commands that would do the same. For --dry-run, the log of a refused batch and golden tests. Pure; any thread.
#pragma once

#include <string>

#include "netproxy/diff.h"

namespace podshim::netproxy {

std::string render_text(const Ruleset& ruleset);
std::string render_text(const Plan& plan);

std::string rule_text(const Rule& rule);
// "10.43.0.1 . tcp . 80 . 0 comment \"default/web\" : 10.42.0.2 . 8080"
std::string element_text(const Element& element);

}  // namespace podshim::netproxy
