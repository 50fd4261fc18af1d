#include "shim/plan/user.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace podshim {
namespace {

// (uid_t)-1 means "no change" to the kernel, so it names nobody.
constexpr std::int64_t kMaxId = std::numeric_limits<std::uint32_t>::max() - 1LL;

std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value > kMaxId) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    auto at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

template <typename Line>
void for_each_line(std::string_view text, Line line) {
  for (auto one : split(text, '\n')) {
    if (one.ends_with('\r')) one.remove_suffix(1);
    if (!one.empty() && one[0] != '#') line(one);
  }
}

Result<std::uint32_t> check_id(const std::string& field, std::int64_t value) {
  if (value < 0 || value > kMaxId)
    return fail(Error::invalid(field, std::to_string(value) + " is not within 0.." + std::to_string(kMaxId)));
  return static_cast<std::uint32_t>(value);
}

struct Tables {
  std::vector<PasswdEntry> users;
  std::vector<GroupEntry> groups;

  const PasswdEntry* by_uid(std::uint32_t uid) const {
    auto it = std::find_if(users.begin(), users.end(), [&](const auto& u) { return u.uid == uid; });
    return it == users.end() ? nullptr : &*it;
  }
  const PasswdEntry* by_name(std::string_view name) const {
    auto it = std::find_if(users.begin(), users.end(), [&](const auto& u) { return u.name == name; });
    return it == users.end() ? nullptr : &*it;
  }
};

struct Found {
  std::uint32_t uid = 0, gid = 0;
  std::string name, home = "/";
};

Found from_uid(const Tables& tables, std::uint32_t uid) {
  const PasswdEntry* entry = tables.by_uid(uid);
  if (entry == nullptr) return {.uid = uid, .gid = 0};
  return {.uid = uid, .gid = entry->gid, .name = entry->name, .home = entry->home};
}

Result<Found> from_name(const Tables& tables, const std::string& field, std::string_view name) {
  const PasswdEntry* entry = tables.by_name(name);
  if (entry == nullptr)
    return fail(Error::invalid(field, "user \"" + std::string(name) + "\" is not in the image's /etc/passwd"));
  return Found{.uid = entry->uid, .gid = entry->gid, .name = entry->name, .home = entry->home};
}

Result<std::uint32_t> group_id(const Tables& tables, const std::string& field, std::string_view group) {
  for (const auto& entry : tables.groups)
    if (entry.name == group) return entry.gid;
  if (auto id = parse_id(group)) return *id;
  return fail(Error::invalid(field, "group \"" + std::string(group) + "\" is not in the image's /etc/group"));
}

// The image config's User: "uid", "name", "uid:gid", "name:group" and mixes of both (image-spec, config.md).
Result<Found> from_image(const Tables& tables, const std::string& user) {
  const std::string field = "image config User";
  if (user.empty()) return from_uid(tables, 0);
  auto colon = user.find(':');
  std::string name = user.substr(0, colon);
  if (name.empty()) return fail(Error::invalid(field, "\"" + user + "\" names no user"));
  Found out;
  if (auto uid = parse_id(name)) {
    out = from_uid(tables, *uid);
  } else {
    out = TRY(from_name(tables, field, name));
  }
  if (colon != std::string::npos && colon + 1 < user.size())
    out.gid = TRY(group_id(tables, field, std::string_view(user).substr(colon + 1)));
  return out;
}

Result<Found> find_user(const SecurityContext& s, const std::string& image_user, const Tables& tables) {
  const std::string field = "config.linux.security_context.";
  bool named = s.run_as_user || !s.run_as_username.empty();
  if (s.run_as_group && !named)
    return fail(Error::invalid(field + "run_as_group",
                               std::to_string(*s.run_as_group) + " without run_as_user or run_as_username"));
  Found out;
  if (s.run_as_user) {
    out = from_uid(tables, TRY(check_id(field + "run_as_user", *s.run_as_user)));
  } else if (!s.run_as_username.empty()) {
    out = TRY(from_name(tables, field + "run_as_username", s.run_as_username));
  } else {
    out = TRY(from_image(tables, image_user));
  }
  if (s.run_as_group) out.gid = TRY(check_id(field + "run_as_group", *s.run_as_group));
  return out;
}

}  // namespace

std::vector<PasswdEntry> parse_passwd(std::string_view text) {
  std::vector<PasswdEntry> out;
  for_each_line(text, [&](std::string_view line) {
    auto fields = split(line, ':');  // name:password:uid:gid:gecos:home:shell
    if (fields.size() < 4 || fields[0].empty()) return;
    auto uid = parse_id(fields[2]), gid = parse_id(fields[3]);
    if (!uid || !gid) return;
    std::string home = fields.size() > 5 ? std::string(fields[5]) : "";
    out.push_back({.name = std::string(fields[0]), .uid = *uid, .gid = *gid, .home = home.empty() ? "/" : home});
  });
  return out;
}

std::vector<GroupEntry> parse_group(std::string_view text) {
  std::vector<GroupEntry> out;
  for_each_line(text, [&](std::string_view line) {
    auto fields = split(line, ':');  // name:password:gid:member,member
    if (fields.size() < 3 || fields[0].empty()) return;
    auto gid = parse_id(fields[2]);
    if (!gid) return;
    GroupEntry entry{.name = std::string(fields[0]), .gid = *gid};
    if (fields.size() > 3)
      for (auto member : split(fields[3], ','))
        if (!member.empty()) entry.members.emplace_back(member);
    out.push_back(std::move(entry));
  });
  return out;
}

Result<ProcessUser> resolve_user(const SecurityContext& security, const std::string& image_user,
                                 const UserFiles& files) {
  Tables tables{.users = parse_passwd(files.passwd), .groups = parse_group(files.group)};
  Found found = TRY(find_user(security, image_user, tables));
  ProcessUser out{.uid = found.uid, .gid = found.gid, .home = found.home};
  out.groups.push_back(found.gid);
  for (std::size_t i = 0; i < security.supplemental_groups.size(); i++)
    out.groups.push_back(TRY(check_id("config.linux.security_context.supplemental_groups[" + std::to_string(i) + "]",
                                      security.supplemental_groups[i])));
  if (!security.strict_groups && !found.name.empty())
    for (const auto& group : tables.groups)
      if (std::find(group.members.begin(), group.members.end(), found.name) != group.members.end())
        out.groups.push_back(group.gid);
  std::sort(out.groups.begin(), out.groups.end());
  out.groups.erase(std::unique(out.groups.begin(), out.groups.end()), out.groups.end());
  return out;
}

}  // namespace podshim
