#include "shim/monitor/attach.h"

#include <algorithm>

#include "common/sys/retry.h"

namespace podshim {

Attachments::~Attachments() {
  while (!all_.empty()) finish(*all_.back(), false);
}

Result<> Attachments::add(AttachSinks given) {
  if (all_.size() >= kMaxAttachments)
    return fail(Error::of(ErrorKind::resource_exhausted, "attach", "container",
                          "has " + std::to_string(kMaxAttachments) + " clients already"));
  auto attachment = std::make_unique<Attachment>();
  attachment->all = this;
  attachment->id = given.id;
  attachment->connection = given.connection;
  attachment->quiet = given.quiet;
  attachment->sinks[0].fd = std::move(given.out);
  attachment->sinks[1].fd = std::move(given.err);
  for (Sink& sink : attachment->sinks) {
    sink.attachment = attachment.get();
    // No event but the error that a pipe without readers has (epoll_ctl(2): always reported).
    if (!sink.fd) continue;
    if (auto added = loop_.add(sink.fd, &sink, 0); !added) {
      for (Sink& s : attachment->sinks) close(s);
      return added;
    }
  }
  all_.push_back(std::move(attachment));
  return {};
}

void Attachments::Sink::ready(std::uint32_t) { attachment->all->close_and_look(*attachment, *this); }

Attachments::Delivery Attachments::deliver(const Sink& sink, std::string_view data) {
  const ssize_t n = sys::retry([&] { return ::write(sink.fd.get(), data.data(), data.size()); });
  if (n == static_cast<ssize_t>(data.size())) return Delivery::whole;
  return n < 0 && errno != EAGAIN ? Delivery::no_reader : Delivery::no_room;
}

void Attachments::write(LogStream stream, std::string_view data) {
  for (std::size_t i = all_.size(); i-- > 0;) {  // from the end: one may go
    Attachment& attachment = *all_[i];
    Sink& sink = attachment.sinks[static_cast<std::size_t>(stream)];
    if (!sink.fd || attachment.quiet) continue;
    const Delivery delivery = deliver(sink, data);
    if (delivery == Delivery::no_room) finish(attachment, true);
    if (delivery == Delivery::no_reader) close_and_look(attachment, sink);
  }
}

void Attachments::end(LogStream stream) {
  for (std::size_t i = all_.size(); i-- > 0;) {
    Sink& sink = all_[i]->sinks[static_cast<std::size_t>(stream)];
    if (sink.fd) close_and_look(*all_[i], sink);
  }
}

void Attachments::close(Sink& sink) {
  loop_.remove(sink.fd, &sink);
  sink.fd.reset();
}

void Attachments::close_and_look(Attachment& attachment, Sink& sink) {
  close(sink);
  if (!attachment.sinks[0].fd && !attachment.sinks[1].fd) finish(attachment, false);
}

void Attachments::finish(const Attachment& attachment, bool lost) {
  auto found = std::find_if(all_.begin(), all_.end(), [&](const auto& a) { return a.get() == &attachment; });
  auto ended = std::move(*found);
  all_.erase(found);
  for (Sink& sink : ended->sinks) close(sink);
  owner_.attach_ended(ended->id, ended->connection, lost);
}

}  // namespace podshim
