#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::PullImageResponse> pull_image(Border& border, const v1::PullImageRequest& request,
                                         const std::stop_token& given_up) {
  const std::string& name = request.image().image();
  if (name.empty()) return fail(Error::invalid("image.image", "is required"));
  const auto& auth = request.auth();
  const PullRequest pull{.reference = name,
                         .auth = {.username = auth.username(),
                                  .password = auth.password(),
                                  .auth = auth.auth(),
                                  .server_address = auth.server_address(),
                                  .identity_token = auth.identity_token(),
                                  .registry_token = auth.registry_token()},
                         .given_up = given_up};
  v1::PullImageResponse out;
  out.set_image_ref(TRY(border.runtime.images().pull(pull)).id);
  return out;
}

Result<admin::PullsResponse> admin_pulls(Border& border, const admin::PullsRequest&) {
  admin::PullsResponse out;
  for (const auto& pull : border.runtime.images().pulls()) {
    auto* entry = out.add_pulls();
    entry->set_reference(utf8(pull.reference));
    for (const auto& layer : pull.layers) {
      auto* line = entry->add_layers();
      line->set_digest(layer.digest);
      line->set_size(layer.size);
      line->set_fetched(layer.fetched);
      line->set_stage(static_cast<admin::PullingLayer::Stage>(layer.stage));
    }
  }
  return out;
}

}  // namespace podshim::cri
