// Exec, Attach and PortForward: everything is judged here, from snapshots; the answer is where the client is served.
#include "shim/cri/rpc.h"
#include "shim/streaming/server.h"

namespace podshim::cri {
namespace {

using streaming::Kind;
using streaming::Order;

Result<std::string> issue(Border& border, Order order) {
  if (border.streaming == nullptr)
    return fail(Error::of(ErrorKind::unimplemented, "stream", order.id, "this daemon has no streaming server"));
  return border.streaming->issue(std::move(order));
}

template <typename Request>
Result<StreamRequest> decode_streams(const Request& request) {
  if (!request.stdin() && !request.stdout() && !request.stderr())
    return fail(Error::invalid("stdin", "one of stdin, stdout and stderr must be set"));
  if (request.tty() && request.stderr())
    return fail(Error::invalid("stderr", "must not be set with tty: a terminal has one output"));
  return StreamRequest{.in = request.stdin(), .out = request.stdout(), .err = request.stderr(), .tty = request.tty()};
}

Result<> order_running(const Border& border, const std::string& id, Order* order) {
  const auto view = TRY(border.runtime.container(id));
  if (view->state != ContainerState::running)
    return fail(Error::of(ErrorKind::failed_precondition, "stream", id, "the container does not run"));
  order->id = view->id.str();
  order->sandbox = view->sandbox.str();
  return {};
}

}  // namespace

Result<v1::ExecResponse> exec(Border& border, const v1::ExecRequest& request) {
  const std::string doing = "exec in container " + request.container_id();
  Order order{.kind = Kind::exec, .command = {request.cmd().begin(), request.cmd().end()}};
  if (order.command.empty() || order.command.front().empty())
    return fail(Error::invalid("cmd", "must not be empty").within(doing));
  order.streams = TRY_IN(decode_streams(request), doing);
  TRY_IN(order_running(border, request.container_id(), &order), doing);
  v1::ExecResponse out;
  out.set_url(TRY_IN(issue(border, std::move(order)), doing));
  return out;
}

Result<v1::AttachResponse> attach(Border& border, const v1::AttachRequest& request) {
  const std::string doing = "attach to container " + request.container_id();
  Order order{.kind = Kind::attach};
  order.streams = TRY_IN(decode_streams(request), doing);
  TRY_IN(order_running(border, request.container_id(), &order), doing);
  // The client of a terminal opens no stderr: a container's without one would be lost without a word. A container's
  // terminal without tty, or stdin that it does not have, loses nothing: it is attached to as it is.
  if (order.streams.tty && !TRY_IN(border.runtime.container(order.id), doing)->spec.tty)
    return fail(Error::invalid("tty", "is set, but the container has no terminal: attach without it").within(doing));
  v1::AttachResponse out;
  out.set_url(TRY_IN(issue(border, std::move(order)), doing));
  return out;
}

Result<v1::PortForwardResponse> port_forward(Border& border, const v1::PortForwardRequest& request) {
  const std::string doing = "forward ports of sandbox " + request.pod_sandbox_id();
  Order order{.kind = Kind::port_forward};
  for (int i = 0; i < request.port_size(); i++) {
    if (request.port(i) < 1 || request.port(i) > UINT16_MAX)
      return fail(
          Error::invalid("port[" + std::to_string(i) + "]", std::to_string(request.port(i)) + " is not within 1..65535")
              .within(doing));
    order.ports.push_back(static_cast<std::uint16_t>(request.port(i)));
  }
  const auto view = TRY_IN(border.runtime.sandbox(request.pod_sandbox_id()), doing);
  if (view->state != SandboxState::ready)
    return fail(
        Error::of(ErrorKind::failed_precondition, "stream", view->id.str(), "the sandbox is not ready").within(doing));
  order.id = view->id.str();
  v1::PortForwardResponse out;
  out.set_url(TRY_IN(issue(border, std::move(order)), doing));
  return out;
}

}  // namespace podshim::cri
