// One file of the source directory, read and decoded to a value. Nothing is remembered and nothing is logged, so that
// many files are read at once. Any thread.
#pragma once

#include <variant>

#include "common/kube/endpoint_slice.h"

namespace podshim::netproxy {

struct ObjectFile {
  std::variant<std::monostate, kube::Service, kube::EndpointSlice> object;
  std::string other_kind;      // of an object that is neither
  kube::Unknowns unknowns;     // fields that nobody reads
  std::optional<Error> error;  // no object in it; names file, line and field
  bool missing = false;        // there is no such file
};

bool is_object_file(std::string_view name);  // .json, .yaml, .yml; not hidden
ObjectFile read_object_file(const std::string& path, const std::string& name);
// Several at once, on as many threads as there are processors (two at most); in the order of `names`.
std::vector<ObjectFile> read_object_files(const std::string& path, const std::vector<std::string>& names);

}  // namespace podshim::netproxy
