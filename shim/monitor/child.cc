#include "shim/monitor/child.h"

#include <algorithm>

#include "common/sys/retry.h"

namespace podshim {

Child::Child(ChildOwner& owner, Loop& loop, ChildRole role, Launched launched)
    : owner_(owner), loop_(loop), role_(role), process_(launched.process), report_(std::move(launched.report)) {}

Child::~Child() { loop_.remove(report_, this); }

// No event but the hang-up (epoll_ctl(2): always reported): the few records wait in the pipe for it, and a start wakes
// this thread once.
Result<> Child::listen() { return loop_.add(report_, this, 0); }

void Child::ready(std::uint32_t) {
  while (report_) {
    ChildReport report;
    // Records are far below PIPE_BUF: each comes whole (pipe(7)).
    ssize_t n = sys::retry([&] { return ::read(report_.get(), &report, sizeof report); });
    if (n == sizeof report) {
      take(report);
    } else if (n < 0 && errno == EAGAIN) {
      return;
    } else {
      finish();
    }
  }
}

void Child::take(const ChildReport& report) {
  switch (report.kind) {
    case ChildReportKind::noted:
      if (note_count_ < kMaxStepNotes) notes_[note_count_++] = {report.step, report.err};
      break;
    case ChildReportKind::failed:
      failure_ = report;
      has_failure_ = true;
      break;
    case ChildReportKind::at_exec:
      at_exec_ = true;
      break;
  }
}

void Child::finish() {
  loop_.remove(report_, this);
  report_.reset();
  phase_ = at_exec_ && !has_failure_ ? Phase::running : Phase::failed;
  if (phase_ == Phase::running) owner_.child_started(*this);
}

StartedRecord Child::started_record() const {
  StartedRecord record{.process = process_, .note_count = note_count_};
  std::copy_n(notes_, note_count_, record.notes);
  return record;
}

}  // namespace podshim
