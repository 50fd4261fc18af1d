// What a pull is asked for, how it is to be done, and how far it is: values only. Secrets are in RegistryAuth and in
// Registries; nothing prints them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace podshim {

namespace image {
struct Registries;
}

// As CRI's AuthConfig has it. `auth` is base64 of "username:password". What counts is decode_credentials'.
struct RegistryAuth {
  std::string username, password, auth, server_address, identity_token, registry_token;
  bool empty() const {
    return username.empty() && password.empty() && auth.empty() && identity_token.empty() && registry_token.empty();
  }
};

struct PullRequest {
  std::string reference;
  RegistryAuth auth;
  std::stop_token given_up{};  // the client has gone: the call does not wait for others any more
};

struct PullSettings {
  std::shared_ptr<const image::Registries> registries;  // nullptr: every registry by HTTPS at its own address
  std::chrono::seconds stall{30};                       // next to nothing came for so long: the transfer is given up
};

enum class LayerStage { waiting, fetching, unpacking, done };

struct LayerProgress {
  std::string digest;  // of the blob
  std::uint64_t size = 0, fetched = 0;
  LayerStage stage = LayerStage::waiting;
};

struct PullProgress {
  std::string reference;              // canonical
  std::vector<LayerProgress> layers;  // empty until the manifest is here
};

}  // namespace podshim
