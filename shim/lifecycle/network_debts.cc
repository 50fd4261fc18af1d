// DELs that did not happen: a plugin failed, hung or was missing while its Pod had to go. Each is a record of its own,
// <root>/network-debts/<id>.json, tried again each minute until the plugins have freed what they hold. Lists of version
// 1.1 are asked to GC as well. All this runs plugins: on the plugin chores, never on a caller's thread.
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {

void NodeRuntime::owe_del(const state::SandboxRecord& record) {
  garbage_due_ = true;
  if (auto written = journal_.owe(record); !written)
    log::error("a CNI DEL is owed and could not be noted",
               {{"sandbox", record.id.str()}, {"error", written.error().text()}});
}

// Whose record was set aside or is gone: the configuration in force is the best guess at what it was attached by.
void NodeRuntime::owe_del_of_lost(const SandboxId& id, const std::string& netns_path) {
  state::SandboxRecord lost{.id = id, .netns_path = netns_path};
  lost.network.added = true;  // by what, pay_debts() finds out: there may be no configuration yet
  owe_del(lost);
}

void NodeRuntime::pay_debts() {
  for (auto& record : journal_.owed()) {
    const std::string id = record.id.str();
    if (table_.known(id)) continue;  // its removal is under way
    if (record.network.config.empty()) {
      auto list = networks_.current();
      if (!list) continue;
      record.network.config = (*list)->text;
      record.network.source = (*list)->source;
    }
    auto deleted = networks_.del(record, sys::exists(record.netns_path));
    std::lock_guard lock(notes_);
    if (deleted) {
      told_debts_.erase(id);
      if (auto settled = journal_.settle(record.id); !settled)
        log::warn("note of a CNI DEL not removed", {{"sandbox", id}, {"error", settled.error().text()}});
      log::info("CNI DEL made up for", {{"sandbox", id}});
    } else if (told_debts_.insert(id).second) {
      log::warn("CNI DEL failed again; tried each minute", {{"sandbox", id}, {"error", deleted.error().text()}});
    }
  }
  collect_network_garbage();
}

// No address, or leases that were lost, is what GC can mend.
void NodeRuntime::ask_network() {
  if (!networks_.refresh()) garbage_due_ = true;
}

void NodeRuntime::collect_network_garbage() {
  if (!garbage_due_.exchange(false)) return;
  auto done = networks_.collect([&] {
    auto valid = table_.making();
    for (const auto& sandbox : table_.sandboxes())
      if (sandbox->copy().network.added) valid.push_back(sandbox->id.str());
    return valid;
  });
  if (done && *done) {
    log::info("CNI GC done");
    return;
  }
  if (!done) log::warn("CNI GC failed", {{"error", done.error().text()}});
  garbage_due_ = true;
}

}  // namespace podshim::lifecycle
