// zone: all Services' records, found by name and by address. A change costs what it touches. One thread: the server's;
// changes come to it as whole batches between two questions, so that a question never sees half of one.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "netproxy/dns/records.h"

namespace podshim::netproxy::dns {

// The records of one Service as they are from now on; nothing = it is gone.
struct Change {
  std::string key;  // namespace/name
  std::optional<ServiceRecords> records;
};

// Whose an address is: a Service's cluster IP, or an endpoint's of a headless one.
struct AddressOwner {
  std::string key;
  std::string endpoint;  // "" = the Service itself
  bool operator==(const AddressOwner&) const = default;
};

class Zone {
 public:
  void apply(Change change);

  // nullptr when there is no such Service.
  const ServiceRecords* find(std::string_view name_space, std::string_view name) const;
  // It has Services: its name exists.
  bool has_namespace(std::string_view name_space) const;
  const std::vector<AddressOwner>* owners(const IpAddress& address) const;
  std::size_t size() const { return services_.size(); }
  std::uint32_t serial() const { return serial_; }  // grows with every change

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct AddressHash {
    std::size_t operator()(const IpAddress& ip) const;
  };
  template <typename T>
  using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

  void index(const std::string& key, const ServiceRecords& records);
  void unindex(const std::string& key, const ServiceRecords& records);

  ByText<ServiceRecords> services_;
  ByText<std::size_t> namespaces_;  // Services in it
  std::unordered_map<IpAddress, std::vector<AddressOwner>, AddressHash> owners_;
  std::uint32_t serial_ = 1;
};

}  // namespace podshim::netproxy::dns
