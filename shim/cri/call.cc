#include "shim/cri/call.h"

#include <utility>

#include "common/log.h"

namespace podshim::cri {
namespace {

constexpr std::size_t kReceiveLimit = 16 << 20;
constexpr std::size_t kMaxHeld = 512UL << 20;  // of all calls: clients that never read are refused before memory ends
constexpr int kBadRequest = 400, kUnsupportedMediaType = 415;

// A call's end: counted, and told in the log. `error`: none, it went well.
void count_and_log(Metrics* metrics, const Method& method, const std::string& subject, const Error* error,
                   Clock::duration took) {
  const auto name = short_name(method.name);
  const auto code = error == nullptr ? Code::ok : status_code(*error);
  if (metrics != nullptr) metrics->rpc(name, code_name(code), took);
  const long us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  if (error == nullptr) {  // the lifecycle told what changed
    if (log::enabled(log::Level::debug)) log::debug("done", {{"rpc", name}, {"id", subject}, {"us", us}});
    return;
  }
  // Not found is an everyday answer of status calls: a client asks about what has just gone. Of one that gave up nobody
  // hears.
  const bool everyday = code == Code::cancelled || (!method.changes && code == Code::not_found);
  log::write(everyday ? log::Level::debug : log::Level::warn, "failed",
             {{"rpc", name}, {"id", subject}, {"us", us}, {"code", code_name(code)}, {"error", error->text()}});
}

// Libraries below may throw (memory, JSON); a call must end all the same.
template <typename T, typename Work>
Result<T> guarded(const Method& method, Work work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return fail(Error::of(ErrorKind::internal, "exception", std::string(method.name), e.what()));
  }
}

}  // namespace

std::string_view short_name(std::string_view method) { return method.substr(method.rfind('/') + 1); }

void Call::header(std::string_view name, std::string_view value) {
  if (stage_ != Stage::receiving) return;
  header_bytes_ += name.size() + value.size() + kFieldOverhead;
  if (header_bytes_ > kMaxHeaders) return;
  if (name == ":path") path_ = value;
  if (name == "content-type") content_type_ = value;
  if (name != "grpc-timeout" || deadline_ != Clock::time_point::max()) return;
  const auto timeout = parse_timeout(value);
  if (!timeout) {
    bad_timeout_ = value;
    return;
  }
  deadline_ = Clock::now() + *timeout;
  context_.deadlines.emplace(deadline_, this);
}

Call::Act Call::data(std::string_view bytes) {
  if (stage_ != Stage::receiving) return Act::none;
  if (body_.size() + bytes.size() > kPrefixBytes + kReceiveLimit)
    return end({.code = Code::resource_exhausted,
                .message = "a request of more than " + std::to_string(kReceiveLimit) + " bytes"});
  body_ += bytes;
  count_bytes();
  if (context_.held_bytes <= kMaxHeld) return Act::none;
  return end({.code = Code::resource_exhausted,
              .message = "requests and unread answers of more than " + std::to_string(kMaxHeld) + " bytes"});
}

Call::Act Call::end_of_request() {
  if (stage_ != Stage::receiving) return Act::none;
  if (header_bytes_ > kMaxHeaders)
    return end({.code = Code::resource_exhausted,
                .message = "headers of more than " + std::to_string(kMaxHeaders) + " bytes"});
  if (!content_type_.starts_with("application/grpc")) {
    http_status_ = kUnsupportedMediaType;
    return end({.code = Code::internal, .message = "content-type \"" + content_type_ + "\" is not application/grpc"});
  }
  if (bad_timeout_) {  // as gRPC's server in Go, the one that clients of CRI know
    http_status_ = kBadRequest;
    return end({.code = Code::internal, .message = "malformed grpc-timeout \"" + *bad_timeout_ + "\""});
  }
  method_ = find_method(path_);
  if (method_ == nullptr) {
    log::debug("not served", {{"rpc", path_}});
    return end({.code = Code::unimplemented, .message = "podshim does not serve " + path_});
  }
  const auto request = only_message(body_);
  return request ? dispatch(*request) : end(request.error());
}

Call::Act Call::dispatch(std::string_view request) {
  request_ = request;
  since_ = Clock::now();
  if (deadline_ <= since_) return not_begun(ErrorKind::deadline_exceeded, "the deadline of the call has passed");
  stage_ = Stage::running;
  token_ = context_.border.activity.begin(method_->name);
  Pool* pool = context_.lanes.of(method_->lane);
  if (pool == nullptr) {
    run();
    return settle();
  }
  if (pool->submit([self = shared_from_this(), deadline = deadline_]() mutable {
        self->run_in_lane(deadline);
        auto& inbox = self->context_.inbox;
        inbox.put({std::move(self), Returned::Why::ran});
      }))
    return Act::none;
  context_.border.activity.end(token_);
  return not_begun(ErrorKind::unavailable, "too many calls of its lane are under way, or podshim is stopping");
}

Call::Act Call::not_begun(ErrorKind kind, std::string why) {
  const auto error = Error::of(kind, "begin", std::string(short_name(method_->name)), std::move(why));
  note_end(&error);
  return end(status_of(error));
}

void Call::run() {
  auto& border = context_.border;
  if (method_->open == nullptr) {
    result_ = guarded<std::string>(*method_,
                                   [&] { return method_->call(border, request_, given_up_.get_token(), &subject_); });
  } else {
    opened_ = guarded<std::unique_ptr<MessageSource>>(*method_, [&] {
      return method_->open(border, request_, [this] { wake(); }, given_up_.get_token(), &subject_);
    });
  }
}

// Nobody waits any more for what has only got its thread by now: it is not begun.
void Call::run_in_lane(Clock::time_point deadline) {
  const bool late = deadline <= Clock::now();
  if (!late && !given_up_.stop_requested()) return run();
  auto error = Error::of(late ? ErrorKind::deadline_exceeded : ErrorKind::cancelled, "begin",
                         std::string(short_name(method_->name)),
                         late ? "its deadline passed while it waited for a thread of its lane"
                              : "its client gave it up while it waited for a thread of its lane");
  if (method_->open == nullptr)
    result_ = fail(std::move(error));
  else
    opened_ = fail(std::move(error));
}

// The function has returned. From here on a stream costs its source and this object; it is no call under way for who
// looks for slow ones.
Call::Act Call::settle() {
  body_ = {};
  context_.border.activity.end(token_);
  const bool streams = method_->open != nullptr;
  const Error* error = streams ? (opened_ ? nullptr : &opened_.error()) : (result_ ? nullptr : &result_.error());
  if (error != nullptr || !streams) note_end(error);
  if (stage_ == Stage::ended) {  // its client has gone meanwhile
    if (streams && error == nullptr) note_gone(status_.code);
    opened_ = nullptr;
    result_ = std::string();
    count_bytes();
    return Act::none;
  }
  if (error != nullptr) return end(status_of(*error));
  stage_ = Stage::answering;
  if (streams)
    source_ = *std::move(opened_);
  else
    out_ = OutMessage(*std::move(result_));
  count_bytes();
  return Act::answer;
}

Call::Act Call::came_back(Returned::Why why) {
  if (why == Returned::Why::ran) return settle();
  return std::exchange(waiting_, false) ? Act::go_on : Act::none;
}

// On a thread of anybody, with locks held.
void Call::wake() {
  if (woken_.exchange(true)) return;
  // The last to hold the call is the I/O thread: what is put there is taken there.
  if (auto self = weak_from_this().lock()) context_.inbox.put({std::move(self), Returned::Why::woken});
}

Call::Piece Call::read(std::uint8_t* to, std::size_t room) {
  if (stage_ == Stage::ended) return {Piece::What::end};
  if (out_.done() && !next_message()) return {stage_ == Stage::ended ? Piece::What::end : Piece::What::later};
  const std::size_t size = out_.take(to, room);
  if (source_ || !out_.done()) return {Piece::What::bytes, size};
  (void)end({});  // in the same breath: the client's window may be closed behind its message
  return {Piece::What::last, size};
}

// False: there is none now, or the call has ended.
bool Call::next_message() {
  woken_ = false;  // before the source is asked: who wakes it from now on means what it did not see
  std::string message;
  const auto next = guarded<MessageSource::Next>(*method_, [&] { return source_->next(&message); });
  if (!next || *next == MessageSource::Next::end) {
    note_end(next ? nullptr : &next.error());
    (void)end(next ? Status{} : status_of(next.error()));
    return false;
  }
  waiting_ = *next == MessageSource::Next::later;
  if (!waiting_) out_ = OutMessage(std::move(message));
  count_bytes();
  return !waiting_;
}

Call::Act Call::deadline_passed() {
  if (source_) note_gone(Code::deadline_exceeded);
  given_up_.request_stop();
  const bool begun = stage_ == Stage::answering;
  const Act act = end({.code = Code::deadline_exceeded, .message = "the deadline of the call has passed"});
  return begun ? Act::finish : act;
}

void Call::gone() {
  if (source_) note_gone(Code::cancelled);
  given_up_.request_stop();
  (void)end({.code = Code::cancelled});
}

Call::Act Call::end(Status status) {
  forget_deadline();
  source_.reset();
  const Stage before = std::exchange(stage_, Stage::ended);
  if (before == Stage::ended) return Act::none;
  status_ = std::move(status);
  out_ = {};
  if (before != Stage::running) body_ = {};  // which a lane still reads
  count_bytes();
  if (before != Stage::answering) return Act::refuse;
  return std::exchange(waiting_, false) ? Act::go_on : Act::none;
}

void Call::forget_deadline() {
  if (deadline_ == Clock::time_point::max()) return;
  context_.deadlines.erase({deadline_, this});
  deadline_ = Clock::time_point::max();
}

void Call::note_end(const Error* error) {
  count_and_log(context_.border.metrics, *method_, subject_, error, Clock::now() - since_);
}

// A stream whose client does not wait for its end.
void Call::note_gone(Code code) {
  const auto name = short_name(method_->name);
  log::debug("stream ended", {{"rpc", name}, {"id", subject_}, {"code", code_name(code)}});
  if (context_.border.metrics != nullptr) context_.border.metrics->rpc(name, code_name(code), Clock::now() - since_);
}

void Call::count_bytes() {
  const std::size_t now = body_.size() + out_.size();
  context_.held_bytes += now - held_;
  held_ = now;
}

}  // namespace podshim::cri
