#include "shim/image/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

namespace podshim::image {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) std::abort();  // out of memory
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(const void* bytes, std::size_t size) { EVP_DigestUpdate(state_->context, bytes, size); }

Digest Sha256::finish() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context, raw, &size);
  static constexpr char kHex[] = "0123456789abcdef";
  Digest digest;
  digest.hex_.reserve(2UL * size);
  for (unsigned i = 0; i < size; i++) {
    digest.hex_ += kHex[raw[i] >> 4];
    digest.hex_ += kHex[raw[i] & 15];
  }
  return digest;
}

Digest Digest::of(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.finish();
}

Result<Digest> Digest::parse(std::string_view text) {
  auto colon = text.find(':');
  if (colon == std::string_view::npos) return fail(Error::invalid("digest", "'" + std::string(text) + "' has no ':'"));
  if (text.substr(0, colon) != "sha256") {
    return fail(Error::of(ErrorKind::unimplemented, "digest", std::string(text), "only sha256 is known"));
  }
  std::string_view hex = text.substr(colon + 1);
  bool ok = hex.size() == 64 && std::all_of(hex.begin(), hex.end(),
                                            [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!ok) return fail(Error::invalid("digest", "'" + std::string(text) + "' is not sha256: and 64 hex digits"));
  Digest digest;
  digest.hex_ = hex;
  return digest;
}

Digest chain_id(const Digest& parent, const Digest& diff_id) {
  return parent.empty() ? diff_id : Digest::of(parent.text() + " " + diff_id.text());
}

}  // namespace podshim::image
