// Content digests: sha256 over bytes, the only algorithm that images here may use. A Digest in hand is well formed.
// Sha256 hashes a stream (OpenSSL EVP, hardware instructions where the CPU has them). Values; any thread.
#pragma once

#include <compare>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim::image {

class Digest {
 public:
  Digest() = default;  // empty: no digest
  // "sha256:<64 lower-case hex digits>"; another algorithm is `unimplemented`.
  static Result<Digest> parse(std::string_view text);
  static Digest of(std::string_view bytes);

  const std::string& hex() const { return hex_; }
  std::string text() const { return "sha256:" + hex_; }
  bool empty() const { return hex_.empty(); }
  auto operator<=>(const Digest&) const = default;

 private:
  friend class Sha256;
  std::string hex_;
};

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(const void* bytes, std::size_t size);
  Digest finish();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The identity of a layer on top of others (OCI image-spec config.md, "Layer ChainID"). An empty parent: the bottom.
Digest chain_id(const Digest& parent, const Digest& diff_id);

}  // namespace podshim::image
