#include "shim/state/journal.h"

#include <algorithm>
#include <set>

#include "common/sys/file.h"
#include "shim/state/quarantine.h"

namespace podshim::state {
namespace {

constexpr const char* kRecord = "/record.json";
constexpr std::string_view kDebt = ".json";
constexpr std::size_t kMaxRecord = 16UL << 20;  // the largest request that gRPC takes

Result<> write_record(const std::string& dir, const std::string& text) {
  auto done = sys::write_file_atomic(dir + kRecord, text, 0600);
  if (done || !done.error().is(ENOENT)) return done;
  TRY(sys::make_dir(dir, 0711));
  return sys::write_file_atomic(dir + kRecord, text, 0600);
}

Result<> remove_object(const std::string& dir) {
  auto names = sys::list_dir(dir);
  if (!names) {
    if (names.error().is(ENOENT)) return {};
    return fail(std::move(names).error());
  }
  for (const auto& name : *names)
    if (name != "record.json") TRY(sys::remove_tree(dir + "/" + name));
  TRY(sys::remove_file(dir + kRecord));
  return sys::remove_dir(dir);
}

// Reads every record below `dir`; a bad one is set aside. A directory without a record is the sweep's business.
template <typename Record, typename Decode>
Result<std::vector<Record>> read_records(const std::string& dir, const std::string& kind, Decode decode,
                                         Quarantine& aside) {
  std::vector<Record> out;
  for (const auto& name : TRY(sys::list_dir(dir))) {
    std::string path = dir + "/" + name + kRecord;
    auto text = sys::read_file(path, kMaxRecord);
    if (!text && (text.error().is(ENOENT) || text.error().is(ENOTDIR))) continue;
    if (!text && text.error().is_shortage()) return fail(std::move(text).error().within("read the records"));
    if (!text) {
      aside.take(kind + "-" + name, path, text.error().text());
      continue;
    }
    auto record = decode(*text);
    if (!record)
      aside.take(kind + "-" + name, path, record.error().text());
    else if (record->id.str() != name)
      aside.take(kind + "-" + name, path, "the record is that of " + record->id.str());
    else
      out.push_back(*std::move(record));
  }
  std::sort(out.begin(), out.end(), [](const Record& a, const Record& b) {
    return std::tie(a.created_at_ns, a.id) < std::tie(b.created_at_ns, b.id);
  });
  return out;
}

std::string name_of(const SandboxRecord& r) {
  const auto& m = r.spec.metadata;
  return m.name_space + "/" + m.name + "/" + m.uid + "/" + std::to_string(m.attempt);
}
std::string name_of(const ContainerRecord& r) {
  return r.sandbox.str() + "/" + r.spec.metadata.name + "/" + std::to_string(r.spec.metadata.attempt);
}
bool alive(const SandboxRecord& r) { return r.ready; }
bool alive(const ContainerRecord& r) { return r.created && !r.exit; }

// Of two records with one name the living one stays, else the newer one.
template <typename Record>
void drop_duplicates(std::vector<Record>& records, const std::string& kind, const std::string& dir, Quarantine& aside) {
  std::map<std::string, std::size_t> best;
  std::set<std::size_t> dropped;
  for (std::size_t i = 0; i < records.size(); i++) {
    auto [at, fresh] = best.emplace(name_of(records[i]), i);
    if (fresh) continue;
    std::size_t keep = alive(records[at->second]) && !alive(records[i]) ? at->second : i;
    std::size_t drop = keep == i ? at->second : i;
    at->second = keep;
    dropped.insert(drop);
    aside.take(kind + "-" + records[drop].id.str(), dir + "/" + records[drop].id.str() + kRecord,
               "the same name as " + records[keep].id.str() + ": " + at->first);
  }
  std::vector<Record> kept;
  for (std::size_t i = 0; i < records.size(); i++)
    if (!dropped.contains(i)) kept.push_back(std::move(records[i]));
  records = std::move(kept);
}

}  // namespace

Result<Journal> Journal::open(const std::string& root) {
  Journal out(root);
  TRY(sys::make_dirs(out.sandboxes_dir(), 0711));
  TRY(sys::make_dirs(out.containers_dir(), 0711));
  TRY(sys::make_dirs(root + "/quarantine", 0700));
  TRY(sys::make_dirs(out.debts_dir(), 0700));
  for (const auto& name : TRY(sys::list_dir(out.debts_dir())))  // writes that were cut short
    if (!name.ends_with(kDebt)) TRY(sys::remove_file(out.debts_dir() + "/" + name));
  return out;
}

Result<> Journal::write(const SandboxRecord& record) const { return write_record(dir(record.id), encode(record)); }
Result<> Journal::write(const ContainerRecord& record) const { return write_record(dir(record.id), encode(record)); }
Result<> Journal::remove(const SandboxId& id) const { return remove_object(dir(id)); }
Result<> Journal::remove(const ContainerId& id) const { return remove_object(dir(id)); }

Result<> Journal::owe(const SandboxRecord& record) const {
  return sys::write_file_atomic(debt(record.id), encode(record), 0600);
}

std::size_t Journal::debts() const {
  const auto names = sys::list_dir(debts_dir()).value_or(std::vector<std::string>{});
  return static_cast<std::size_t>(
      std::count_if(names.begin(), names.end(), [](const auto& name) { return name.ends_with(kDebt); }));
}

std::vector<SandboxRecord> Journal::owed() const {
  std::vector<SandboxRecord> out;
  for (const auto& name : sys::list_dir(debts_dir()).value_or(std::vector<std::string>{})) {
    const std::string path = debts_dir() + "/" + name;
    if (!name.ends_with(kDebt)) continue;  // being written
    auto text = sys::read_file(path, kMaxRecord);
    if (!text) continue;
    if (auto record = decode_sandbox(*text))
      out.push_back(*std::move(record));
    else
      (void)sys::remove_file(path);
  }
  return out;
}

Result<> Journal::settle(const SandboxId& id) const { return sys::remove_file(debt(id)); }

Result<Contents> Journal::read_all() const {
  Quarantine aside(root_ + "/quarantine");
  Contents out;
  out.sandboxes = TRY(read_records<SandboxRecord>(sandboxes_dir(), "sandbox", decode_sandbox, aside));
  out.containers = TRY(read_records<ContainerRecord>(containers_dir(), "container", decode_container, aside));
  drop_duplicates(out.sandboxes, "sandbox", sandboxes_dir(), aside);
  drop_duplicates(out.containers, "container", containers_dir(), aside);

  std::set<std::string> known;
  for (const auto& r : out.sandboxes) known.insert(r.id.str());
  std::erase_if(out.containers, [&](const ContainerRecord& r) {
    if (known.contains(r.sandbox.str())) return false;
    aside.take("container-" + r.id.str(), dir(r.id) + kRecord, "its sandbox has no record: " + r.sandbox.str());
    return true;
  });
  out.newly_quarantined = aside.taken();
  out.quarantined = aside.list();
  return out;
}

Result<std::vector<SandboxRecord>> Journal::peek_sandboxes() const {
  std::vector<SandboxRecord> out;
  for (const auto& name : TRY(sys::list_dir(sandboxes_dir()))) {
    auto text = sys::read_file(sandboxes_dir() + "/" + name + kRecord, kMaxRecord);
    if (!text && text.error().is_shortage()) return fail(std::move(text).error().within("read the records"));
    if (!text) continue;
    if (auto record = decode_sandbox(*text)) out.push_back(*std::move(record));
  }
  std::sort(out.begin(), out.end(), [](const SandboxRecord& a, const SandboxRecord& b) {
    return std::tie(a.ready, a.created_at_ns) > std::tie(b.ready, b.created_at_ns);
  });
  return out;
}

}  // namespace podshim::state
