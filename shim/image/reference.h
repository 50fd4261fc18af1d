// Image references as Docker's distribution grammar has them, made canonical: "busybox" is
// docker.io/library/busybox:latest. A reference with tag and digest keeps the digest only, as CRI clients expect.
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim::image {

struct Reference {
  std::string domain;  // docker.io, localhost:5000, [::1]:5000
  std::string path;    // library/busybox
  std::string tag;     // empty when there is a digest
  std::string digest;  // sha256:..., or empty

  std::string repository() const { return domain + "/" + path; }
  std::string text() const { return repository() + (digest.empty() ? ":" + tag : "@" + digest); }
  bool operator==(const Reference&) const = default;
};

Result<Reference> parse_reference(std::string_view text);

}  // namespace podshim::image
