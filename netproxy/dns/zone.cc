#include "netproxy/dns/zone.h"

#include <algorithm>
#include <array>

namespace podshim::netproxy::dns {
namespace {

std::string_view namespace_of(std::string_view key) { return key.substr(0, key.find('/')); }

template <typename Visit>
void each_address(const ServiceRecords& r, Visit visit) {
  for (const auto& ip : r.addresses) visit(ip, std::string());
  for (const auto& e : r.endpoints)
    for (const auto& ip : e.addresses) visit(ip, e.name);
}

}  // namespace

std::size_t Zone::AddressHash::operator()(const IpAddress& ip) const {
  auto bytes = ip.bytes();
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void Zone::index(const std::string& key, const ServiceRecords& records) {
  each_address(records, [&](const IpAddress& ip, std::string endpoint) {
    owners_[ip].push_back({.key = key, .endpoint = std::move(endpoint)});
  });
}

void Zone::unindex(const std::string& key, const ServiceRecords& records) {
  each_address(records, [&](const IpAddress& ip, const std::string&) {
    auto it = owners_.find(ip);
    if (it == owners_.end()) return;
    std::erase_if(it->second, [&](const AddressOwner& o) { return o.key == key; });
    if (it->second.empty()) owners_.erase(it);
  });
}

void Zone::apply(Change change) {
  auto it = services_.find(change.key);
  bool known = it != services_.end();
  if (known ? change.records && it->second == *change.records : !change.records) return;
  serial_++;
  if (known) unindex(change.key, it->second);
  auto name_space = namespace_of(change.key);
  if (change.records) {
    index(change.key, *change.records);
    if (!known) namespaces_[std::string(name_space)]++;
    services_.insert_or_assign(change.key, *std::move(change.records));
    return;
  }
  services_.erase(it);
  if (auto ns = namespaces_.find(name_space); --ns->second == 0) namespaces_.erase(ns);
}

const ServiceRecords* Zone::find(std::string_view name_space, std::string_view name) const {
  // Labels are 63 bytes at most.
  std::array<char, 128> key;
  if (name_space.size() + 1 + name.size() > key.size()) return nullptr;
  auto at = std::ranges::copy(name_space, key.begin()).out;
  *at++ = '/';
  at = std::ranges::copy(name, at).out;
  auto it = services_.find(std::string_view(key.data(), static_cast<std::size_t>(at - key.begin())));
  return it == services_.end() ? nullptr : &it->second;
}

bool Zone::has_namespace(std::string_view name_space) const { return namespaces_.contains(name_space); }

const std::vector<AddressOwner>* Zone::owners(const IpAddress& address) const {
  auto it = owners_.find(address);
  return it == owners_.end() ? nullptr : &it->second;
}

}  // namespace podshim::netproxy::dns
