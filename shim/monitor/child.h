// Child: one process that the monitor cloned, from the clone until it was reaped. Reads the child's report pipe
// (child_plan.h) and tells its owner how the start went.
#pragma once

#include "shim/monitor/child_plan.h"
#include "shim/monitor/launch.h"
#include "shim/monitor/loop.h"
#include "shim/monitor/protocol.h"

namespace podshim {

class Child;

class ChildOwner {
 public:
  virtual void child_started(Child& child) = 0;  // exec happened

 protected:
  ~ChildOwner() = default;
};

enum class ChildRole { pause, container, exec };

class Child final : public Watch {
 public:
  enum class Phase { starting, failed, running };

  Child(ChildOwner& owner, Loop& loop, ChildRole role, Launched launched);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  Result<> listen();
  // Everything that the pipe holds; after the child's end that is all of it.
  void ready(std::uint32_t events) override;

  ChildRole role() const { return role_; }
  Phase phase() const { return phase_; }
  const WireProcess& process() const { return process_; }
  StartedRecord started_record() const;
  // Why a failed one failed; a child that was killed before exec has no report.
  bool has_failure() const { return has_failure_; }
  const ChildReport& failure() const { return failure_; }

  // Whom to answer: the request and the connection it came by.
  std::uint64_t request = 0;
  std::uint64_t connection = 0;

 private:
  void take(const ChildReport& report);
  void finish();

  ChildOwner& owner_;
  Loop& loop_;
  ChildRole role_;
  Phase phase_ = Phase::starting;
  WireProcess process_;
  Fd report_;
  bool at_exec_ = false;
  bool has_failure_ = false;
  ChildReport failure_;
  std::uint32_t note_count_ = 0;
  StepNote notes_[kMaxStepNotes];
};

}  // namespace podshim
