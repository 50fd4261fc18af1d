// GetContainerEvents. An event says what happened; the statuses beside it are those of the moment it is sent, of the
// whole Pod, so what a slow client reads last is the state as it is. Kubelets ignore events without the sandbox's
// status and forget a Pod when the deleted event has it: a sandbox that is gone is told as it was last, NOTREADY and
// without address. created_at only grows. An id's events of one type may come as one, those before its deletion as that
// alone.
#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

v1::ContainerEventType encode_type(PodEventType type) {
  switch (type) {
    case PodEventType::created:
      return v1::CONTAINER_CREATED_EVENT;
    case PodEventType::started:
      return v1::CONTAINER_STARTED_EVENT;
    case PodEventType::stopped:
      return v1::CONTAINER_STOPPED_EVENT;
    case PodEventType::deleted:
      return v1::CONTAINER_DELETED_EVENT;
  }
  return v1::CONTAINER_CREATED_EVENT;
}

void encode_gone(const SandboxView& last, v1::PodSandboxStatus* out) {
  encode_sandbox_status(last, out);
  out->set_state(v1::SANDBOX_NOTREADY);
  out->clear_network();
}

class Events final : public MessageSource {
 public:
  Events(Runtime& runtime, std::unique_ptr<EventSubscription> subscription)
      : runtime_(runtime), subscription_(std::move(subscription)) {}

  Result<Next> next(std::string* message) override {
    const auto event = TRY(subscription_->next());
    if (!event) return Next::later;
    v1::ContainerEventResponse out;
    out.set_container_id(event->id);
    out.set_container_event_type(encode_type(event->type));
    out.set_created_at(event->at_ns);
    if (event->sandbox) add_statuses(*event->sandbox, &out);
    if (!out.SerializeToString(message))
      return fail(Error::of(ErrorKind::internal, "serialize", "container event " + event->id));
    return Next::message;
  }

 private:
  void add_statuses(const SandboxView& last, v1::ContainerEventResponse* out) {
    if (const auto now = runtime_.sandbox(last.id.str()))
      encode_sandbox_status(**now, out->mutable_pod_sandbox_status());
    else
      encode_gone(last, out->mutable_pod_sandbox_status());
    for (const auto& view : runtime_.containers_of(last.id))
      encode_container_status(*view, out->add_containers_statuses());
  }

  Runtime& runtime_;
  const std::unique_ptr<EventSubscription> subscription_;
};

}  // namespace

Result<std::unique_ptr<MessageSource>> container_events(Border& border, const v1::GetEventsRequest&, Wake wake) {
  return std::make_unique<Events>(border.runtime, TRY(border.runtime.subscribe(std::move(wake))));
}

}  // namespace podshim::cri
